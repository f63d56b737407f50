using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Serialization;
using HdrHistogram;

namespace Chat.LoadTests.Verify;

/// <summary>A distribution of times, in ms.</summary>
internal sealed record Times(long Count, long P50, long P99, long Max);

/// <summary>The result of a run; <c>verify.json</c> is this.</summary>
internal sealed record VerifyReport
{
    private static readonly JsonSerializerOptions Options = new()
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower) },
    };

    public required bool Passed { get; init; }

    /// <summary>Why there is no verdict; null when there is one.</summary>
    public string? Incomplete { get; init; }

    public required int Seed { get; init; }

    public required string Command { get; init; }

    public required DateTimeOffset StartedAt { get; init; }

    public required double DurationS { get; init; }

    public required string Machine { get; init; }

    public required IReadOnlyList<string> ComparedWith { get; init; }

    /// <summary>Messages in the history at the end.</summary>
    public required long Stored { get; init; }

    public required IReadOnlyDictionary<string, long> Counts { get; init; }

    /// <summary>Connections that the server closed, by code.</summary>
    public required IReadOnlyDictionary<int, long> Closes { get; init; }

    /// <summary>From the start of the server's process to the first acknowledgement after it.</summary>
    public required Times FirstAckAfterServerStartMs { get; init; }

    /// <summary>From the database's return to the first acknowledgement after it.</summary>
    public required Times FirstAckAfterDatabaseReturnMs { get; init; }

    public required ImmutableArray<Finding> Findings { get; init; }

    public static VerifyReport Make(VerifyRun run, VerifySettings settings, string command, DateTimeOffset startedAt, string? incomplete)
    {
        Tally tally = run.Tally;
        var counts = new Dictionary<string, long>
        {
            ["clients"] = settings.Clients,
            ["rooms"] = settings.Rooms,
            ["messages_sent_with_resends"] = tally.Sent,
            ["acknowledged"] = tally.Acknowledged,
            ["acknowledged_as_duplicate"] = tally.Duplicates,
            ["put_off_as_overloaded"] = tally.Overloaded,
            ["refused"] = tally.Refused,
            ["delivered"] = tally.Deliveries,
            ["connections"] = tally.Connections,
            ["resumed_over_the_socket"] = tally.Resumed,
            ["reloaded_over_rest"] = tally.Reloaded,
            ["rollback_notices"] = tally.Rollbacks,
            ["socket_cuts"] = run.Cuts?.Done ?? 0,
            ["server_kills"] = tally.Kills,
            ["server_terminations"] = tally.Terminations,
            ["stops_that_left_messages_unsaved"] = tally.UncleanStops,
            ["database_stops"] = tally.DatabaseStops,
            ["database_freezes"] = tally.DatabaseFreezes,
        };
        return new VerifyReport
        {
            Passed = incomplete is null && run.Findings.Total == 0,
            Incomplete = incomplete,
            Seed = settings.Seed,
            Command = command,
            StartedAt = startedAt,
            DurationS = Math.Round((DateTimeOffset.UtcNow - startedAt).TotalSeconds, 1),
            Machine = $"{RuntimeInformation.OSDescription}, {Environment.ProcessorCount} cores, {RuntimeInformation.FrameworkDescription}",
            ComparedWith = run.Sources,
            Stored = run.Stored,
            Counts = counts,
            Closes = tally.Closes,
            FirstAckAfterServerStartMs = Summarize(tally.AfterServer),
            FirstAckAfterDatabaseReturnMs = Summarize(tally.AfterDatabase),
            Findings = run.Findings.All,
        };
    }

    /// <summary>Writes <c>verify.json</c> into a folder, which is made when it is not there.</summary>
    /// <returns>The file's path.</returns>
    public string Save(string folder)
    {
        string path = Path.Combine(Directory.CreateDirectory(folder).FullName, "verify.json");
        File.WriteAllText(path, JsonSerializer.Serialize(this, Options) + "\n");
        return path;
    }

    private static Times Summarize(LongHistogram histogram) => histogram.TotalCount == 0
        ? new Times(0, 0, 0, 0)
        : new Times(histogram.TotalCount, histogram.GetValueAtPercentile(50), histogram.GetValueAtPercentile(99), histogram.GetMaxValue());
}
