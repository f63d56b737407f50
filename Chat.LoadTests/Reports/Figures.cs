using System.Globalization;

namespace Chat.LoadTests.Reports;

/// <summary>Which way a figure should go, for comparisons.</summary>
internal enum Better
{
    Neither,
    Lower,
    Higher,
}

/// <summary>A number that reports hold and that <c>--assert</c> may name.</summary>
/// <param name="Name">As in JSON and in expressions.</param>
/// <param name="Unit">Empty for a count.</param>
/// <param name="Better">Which way is better.</param>
/// <param name="Meaning">For tables.</param>
internal sealed record Figure(string Name, string Unit, Better Better, string Meaning)
{
    /// <summary>Three significant digits, thousands apart; counts whole.</summary>
    public static string Text(double value) => Math.Abs(value) >= 100 || value == Math.Floor(value)
        ? value.ToString("#,0", CultureInfo.InvariantCulture)
        : value.ToString("G3", CultureInfo.InvariantCulture);

    public string TextWithUnit(double value) => Unit.Length == 0 ? Text(value) : $"{Text(value)} {Unit}";
}

/// <summary>All figures, in the order in which tables show them. A scenario has those that mean something for it.</summary>
internal static class Figures
{
    public const string MessagesPerS = "messages_per_s";
    public const string DeliveriesPerS = "deliveries_per_s";
    public const string CallsPerS = "calls_per_s";
    public const string ConnectsPerS = "connects_per_s";
    public const string Lost = "lost";
    public const string Duplicates = "duplicates";
    public const string Reordered = "reordered";
    public const string Misrouted = "misrouted";
    public const string Foreign = "foreign";
    public const string Unanswered = "unanswered";
    public const string Refused = "refused";
    public const string Failed = "failed";
    public const string Closed = "closed";
    public const string ClosedAsSlow = "closed_as_slow";
    public const string Reloads = "reloads";
    public const string ServerCpu = "server_cpu";
    public const string ServerUsPerDelivery = "server_us_per_delivery";
    public const string ServerMemoryMib = "server_memory_mib";
    public const string MemoryPerConnection = "memory_per_connection";
    public const string MemoryGrowth = "memory_growth";
    public const string ClientCpu = "client_cpu";
    public const string ClientUsPerDelivery = "client_us_per_delivery";
    public const string OtherCpu = "other_cpu";
    public const string DeliveriesPerRead = "deliveries_per_read";
    public const string Stalled = "stalled";
    public const string Pongs = "pongs";

    public static IReadOnlyList<Figure> All { get; } =
    [
        new(MessagesPerS, "/s", Better.Higher, "messages sent"),
        new(DeliveriesPerS, "/s", Better.Higher, "message events received by members"),
        new(CallsPerS, "/s", Better.Higher, "REST calls answered"),
        new(ConnectsPerS, "/s", Better.Higher, "connections welcomed"),
        new("p50", "ms", Better.Lower, "latency of the main step, half are below"),
        new("p90", "ms", Better.Lower, "nine of ten are below"),
        new("p99", "ms", Better.Lower, "99 % are below"),
        new("p999", "ms", Better.Lower, "99.9 % are below"),
        new("max", "ms", Better.Lower, "the slowest"),
        new("mean", "ms", Better.Lower, "the average"),
        new(Lost, "", Better.Lower, "message events that a member should have got and did not"),
        new(Duplicates, "", Better.Lower, "message events that came twice"),
        new(Reordered, "", Better.Lower, "message events that came after a later one"),
        new(Misrouted, "", Better.Lower, "message events of a foreign room"),
        new(Foreign, "", Better.Lower, "message events that this run did not send"),
        new(Unanswered, "", Better.Lower, "messages that neither came back nor were refused"),
        new(Refused, "", Better.Lower, "commands or calls answered with an error"),
        new(Failed, "", Better.Lower, "connections that were never welcomed"),
        new(Closed, "", Better.Lower, "connections that the server ended"),
        new(ClosedAsSlow, "", Better.Neither, "of those, closed as slow consumers (4002)"),
        new(Stalled, "", Better.Neither, "connections that never read"),
        new(Reloads, "", Better.Lower, "resumes whose gap was too long to replay"),
        new(Pongs, "", Better.Neither, "answers to a ping"),
        new(ServerCpu, "% of a core", Better.Neither, "CPU time of the server in the measured time"),
        new(ServerUsPerDelivery, "us", Better.Lower, "CPU time of the server for each delivery"),
        new(ServerMemoryMib, "MiB", Better.Lower, "resident memory of the server, at the end"),
        new(MemoryPerConnection, "bytes", Better.Lower, "growth of that memory for each connection"),
        new(MemoryGrowth, "MiB/h", Better.Lower, "slope of that memory over the run"),
        new(ClientCpu, "% of a core", Better.Neither, "CPU time of this program in the measured time"),
        new(ClientUsPerDelivery, "us", Better.Lower, "CPU time of this program for each delivery"),
        new(OtherCpu, "% of a core", Better.Neither, "CPU time of everything else on this machine"),
        new(DeliveriesPerRead, "", Better.Neither, "message events that one read brought"),
    ];

    public static Figure? Find(string name) => All.FirstOrDefault(figure => figure.Name == name);
}
