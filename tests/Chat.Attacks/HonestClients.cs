using System.Globalization;
using Chat.LoadTests;
using Chat.LoadTests.Reports;
using Chat.LoadTests.Scenarios;

namespace Chat.Attacks;

/// <summary>
/// Those for whom the server is there: members of some rooms who talk at a steady rate, and time every delivery and every
/// acknowledgement. It is the scenario <c>fanout</c> of the load tool, which also counts what is lost, doubled or out of order.
/// </summary>
internal static class HonestClients
{
    private const int Rooms = 4;
    private const int MembersPerRoom = 10;
    private const int MessagesPerS = 100;

    /// <summary>Of the load: the attack begins and settles meanwhile.</summary>
    private const int WarmUpS = 5;

    /// <param name="url">The server.</param>
    /// <param name="processId">Its process.</param>
    /// <param name="seconds">Measured time.</param>
    /// <param name="begun">Called when all of them are connected: the attack may begin.</param>
    /// <param name="warmUpS">Before the measured time.</param>
    public static async Task<Experience> TalkAsync(Uri url, int processId, int seconds, Action begun, int warmUpS = WarmUpS)
    {
        string folder = Directory.CreateTempSubdirectory("chat-attacks-").FullName;
        try
        {
            int exitCode = await LoadTestCommand.RunAsync(
                [
                    "fanout", "--url", url.ToString(), "--server-pid", Text(processId), "--rooms", Text(Rooms), "--members", Text(MembersPerRoom),
                    "--publishers", "2", "--rate", Text(MessagesPerS), "--nonces", "--seconds", Text(seconds), "--warm-up", Text(warmUpS), "--report", folder,
                ],
                [FanoutCommand.Make(begun)]);
            RunReport report = ReportFiles.Read(Path.Combine(folder, "report.json"));
            return new Experience(
                report.Steps.Single(static step => step.Name == "deliver").Latency,
                report.Steps.Single(static step => step.Name == "ack").Latency,
                report.Figures,
                exitCode == ExitCode.Ok ? null : $"exit code {exitCode}");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}

/// <summary>How it was for the honest clients.</summary>
/// <param name="Delivery">From when a message was due to when a member had it.</param>
/// <param name="Ack">From the same to when its sender knew that it is durable.</param>
/// <param name="Figures">All others, by the names of the load tool.</param>
/// <param name="Failure">Why the run is worth nothing; null when it is.</param>
internal sealed record Experience(LatencyFigures Delivery, LatencyFigures Ack, IReadOnlyDictionary<string, double> Figures, string? Failure)
{
    /// <summary>What must not happen to an honest client, and how often it did.</summary>
    public double Harm => new[] { "lost", "duplicates", "reordered", "misrouted", "unanswered", "refused", "failed", "closed" }
        .Sum(name => Figures.GetValueOrDefault(name));
}
