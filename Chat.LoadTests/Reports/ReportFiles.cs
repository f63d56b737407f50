using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Chat.LoadTests.Reports;

/// <summary>Reports on disk: JSON for programs, CSV for spreadsheets, Markdown for documents, HTML for people.</summary>
internal static class ReportFiles
{
    public const string JsonName = "report.json";

    /// <summary>Makes the folder and tries whether it takes files: better known before a run of hours than after it.</summary>
    /// <exception cref="CannotRunException">It does not.</exception>
    public static void RequireWritable(string folder) => Try(() =>
    {
        Directory.CreateDirectory(folder);
        new FileStream(Path.Combine(folder, Path.GetRandomFileName()), FileMode.CreateNew, FileAccess.Write, FileShare.None, 1, FileOptions.DeleteOnClose).Dispose();
    });

    /// <summary>Writes all four into a folder, which is made when it is not there.</summary>
    /// <exception cref="CannotRunException">It cannot be written.</exception>
    public static void Write(RunReport report, string folder) => Try(() =>
    {
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, JsonName), JsonSerializer.Serialize(report, ReportJson.Options));
        File.WriteAllText(Path.Combine(folder, "report.csv"), Csv(report));
        File.WriteAllText(Path.Combine(folder, "report.md"), Markdown(report));
        File.WriteAllText(Path.Combine(folder, "report.html"), HtmlReport.Write(report));
    });

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    /// <param name="path">The folder, or the JSON file in it.</param>
    /// <exception cref="CannotRunException">It is not there, or no report.</exception>
    public static RunReport Read(string path)
    {
        string file = Directory.Exists(path) ? Path.Combine(path, JsonName) : path;
        try
        {
            return JsonSerializer.Deserialize<RunReport>(File.ReadAllText(file), ReportJson.Options)
                ?? throw new CannotRunException($"{file} is empty.");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or JsonException)
        {
            throw new CannotRunException($"{file} is no report of this program: {exception.Message}", exception);
        }
    }

    /// <summary>The timeline, a row a second, numbers as they are.</summary>
    public static string Csv(RunReport report)
    {
        var csv = new StringBuilder("at_s,messages_per_s,deliveries_per_s,p50_ms,p99_ms,errors,members,server_cpu_percent,server_memory_mib,client_cpu_percent\n");
        foreach (TimelineRow row in report.Timeline)
        {
            csv.AppendLine(CultureInfo.InvariantCulture, $"{row.AtS:0.###},{row.MessagesPerS:0.#},{row.DeliveriesPerS:0.#},{row.P50Ms},{row.P99Ms},{row.Errors},{row.Members},{row.ServerCpu:0.#},{row.ServerMemoryMib:0.#},{row.ClientCpu:0.#}");
        }

        return csv.Replace("\r\n", "\n").ToString();
    }

    public static string Markdown(RunReport report)
    {
        var text = new StringBuilder($"# {report.Scenario}\n\n");
        text.Append(CultureInfo.InvariantCulture, $"{report.StartedAt:yyyy-MM-dd HH:mm} UTC, commit {report.Commit}, {report.Seconds:0.#} s measured\n\n");
        text.Append(CultureInfo.InvariantCulture, $"{report.Machine.Cpu}, {report.Machine.Cores} cores, {report.Machine.MemoryGib:0} GiB, {report.Machine.System}, {report.Machine.Runtime}\n\n");
        text.Append(CultureInfo.InvariantCulture, $"    {report.Command}\n\n");
        if (report.BrokenOff is { } reason)
        {
            text.Append(CultureInfo.InvariantCulture, $"**Ended early:** {reason.ReplaceLineEndings(" ")}\n\n");
        }

        text.Append("| step | ok | fail | /s | p50 ms | p90 ms | p99 ms | p99.9 ms | max ms |\n|---|---|---|---|---|---|---|---|---|\n");
        foreach (StepResult step in report.Steps)
        {
            LatencyFigures latency = step.Latency;
            text.Append(CultureInfo.InvariantCulture, $"| {step.Name} | {string.Join(" | ", new[] { step.Ok, step.Fail, step.PerS, latency.P50, latency.P90, latency.P99, latency.P999, latency.Max }.Select(Figure.Text))} |\n");
        }

        text.Append("\n| figure | value | |\n|---|---|---|\n");
        foreach (Figure figure in Figures.All.Where(figure => report.Figures.ContainsKey(figure.Name)))
        {
            text.Append(CultureInfo.InvariantCulture, $"| {figure.Name} | {figure.TextWithUnit(report.Figures[figure.Name])} | {figure.Meaning} |\n");
        }

        text.Append("\nSettings: ").AppendJoin(", ", report.Settings.Select(static setting => $"{setting.Key} {setting.Value}")).Append('\n');
        foreach (string note in report.Notes)
        {
            text.Append('\n').Append(note).Append('\n');
        }

        return text.ToString();
    }

    /// <summary>Writes a text file.</summary>
    /// <exception cref="CannotRunException">It cannot be written.</exception>
    public static void WriteText(string path, string text) => Try(() => File.WriteAllText(path, text));

    private static void Try(Action write)
    {
        try
        {
            write();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new CannotRunException($"It cannot be written: {exception.Message}", exception);
        }
    }
}
