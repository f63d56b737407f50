using System.Text.Json;
using System.Text.Json.Serialization;
using HdrHistogram;

namespace Chat.LoadTests.Reports;

/// <summary>Everything that a run found out, as it is written to <c>report.json</c> and read by <c>compare</c>.</summary>
internal sealed record RunReport
{
    /// <summary>Of this format.</summary>
    public int Version { get; init; } = 1;

    public required string Scenario { get; init; }

    public required string Command { get; init; }

    public required string Commit { get; init; }

    public required DateTimeOffset StartedAt { get; init; }

    /// <summary>Measured time, in seconds.</summary>
    public double Seconds { get; init; }

    /// <summary>Why the run ended early; null when it did not.</summary>
    public string? BrokenOff { get; init; }

    public required MachineFacts Machine { get; init; }

    public required IReadOnlyDictionary<string, string> Settings { get; init; }

    /// <summary>The first is the main one, whose latencies are figures of their own.</summary>
    public IReadOnlyList<StepResult> Steps { get; init; } = [];

    /// <summary>By <see cref="Figure.Name"/>.</summary>
    public IReadOnlyDictionary<string, double> Figures { get; init; } = new Dictionary<string, double>();

    public IReadOnlyList<TimelineRow> Timeline { get; init; } = [];

    /// <summary>What went wrong first, and what limits the figures.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];
}

/// <summary>The machine that both sides ran on, or that the clients ran on.</summary>
internal sealed record MachineFacts(string Cpu, int Cores, double MemoryGib, string System, string Runtime);

/// <summary>Something that is done many times: delivering, acknowledging, connecting, a REST call.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Ok">How often it went well.</param>
/// <param name="Fail">How often not.</param>
/// <param name="PerS">Those that went well, a second.</param>
/// <param name="Latency">In milliseconds.</param>
/// <param name="Curve">Latency by percentile, for the plot.</param>
internal sealed record StepResult(string Name, long Ok, long Fail, double PerS, LatencyFigures Latency, IReadOnlyList<CurvePoint> Curve);

internal sealed record CurvePoint(double Percentile, double Ms);

/// <summary>Milliseconds.</summary>
internal sealed record LatencyFigures(double Min, double Mean, double P50, double P75, double P90, double P99, double P999, double Max)
{
    public static LatencyFigures None { get; } = new(0, 0, 0, 0, 0, 0, 0, 0);

    private static readonly double[] CurvePercentiles = [1, 10, 25, 50, 75, 90, 95, 97.5, 99, 99.5, 99.9, 99.95, 99.99, 99.999];

    /// <summary>All 0 when nothing was timed.</summary>
    public static LatencyFigures Of(LongHistogram histogram) => histogram.TotalCount == 0 ? None : new(
        At(histogram, 0), histogram.GetMean() / 1000, At(histogram, 50), At(histogram, 75), At(histogram, 90), At(histogram, 99),
        At(histogram, 99.9), At(histogram, 100));

    public static IReadOnlyList<CurvePoint> CurveOf(LongHistogram histogram) =>
        [.. CurvePercentiles.Where(percentile => histogram.TotalCount * (100 - percentile) >= 100).Append(100).Select(percentile => new CurvePoint(percentile, At(histogram, percentile)))];

    /// <summary>By the names that expressions use; null when there is no such one.</summary>
    public double? Named(string name) => name switch
    {
        "min" => Min,
        "mean" => Mean,
        "p50" => P50,
        "p75" => P75,
        "p90" => P90,
        "p99" => P99,
        "p999" => P999,
        "max" => Max,
        _ => null,
    };

    private static double At(LongHistogram histogram, double percentile) => histogram.GetValueAtPercentile(percentile) / 1000.0;
}

/// <summary>About one second of a run.</summary>
/// <param name="AtS">Its end, in seconds from the start of the load.</param>
/// <param name="MessagesPerS">Messages sent.</param>
/// <param name="DeliveriesPerS">Message events received; for REST, calls answered.</param>
/// <param name="P50Ms">Of the main step, of what was timed in it; 0 when that was nothing.</param>
/// <param name="P99Ms">The same.</param>
/// <param name="Errors">Refused, failed, closed, lost, duplicated and reordered so far.</param>
/// <param name="Members">Connections that are welcome now.</param>
/// <param name="ServerCpu">Percent of a core; null when the server runs elsewhere.</param>
/// <param name="ServerMemoryMib">Null when it runs elsewhere.</param>
/// <param name="ClientCpu">Percent of a core.</param>
internal sealed record TimelineRow(
    double AtS, double MessagesPerS, double DeliveriesPerS, double P50Ms, double P99Ms, long Errors, int Members,
    double? ServerCpu, double? ServerMemoryMib, double ClientCpu);

/// <summary>How reports look as JSON.</summary>
internal static class ReportJson
{
    public static JsonSerializerOptions Options { get; } = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        WriteIndented = true,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    };
}
