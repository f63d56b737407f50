using HdrHistogram;

namespace Chat.LoadTests.Clients;

/// <summary>
/// What is timed, each in a histogram of its own. Microseconds, from 1 to an hour, three significant digits. One loop writes;
/// with each sample it hands the filled set over and goes on with an empty one, so recording never meets a reader.
/// </summary>
internal sealed class Latencies
{
    private const long LongestUs = 3_600_000_000;
    private const int SignificantDigits = 3;

    private readonly Dictionary<string, LongHistogram> _steps = [];
    private readonly Dictionary<string, long> _fails = [];

    /// <summary>From the intended time of a message to its arrival at a member.</summary>
    public LongHistogram Deliver { get; } = NewHistogram();

    /// <summary>From the intended time of a message to its acknowledgement, which means that it is durable.</summary>
    public LongHistogram Ack { get; } = NewHistogram();

    /// <summary>From the first packet of a connection to its welcome.</summary>
    public LongHistogram Connect { get; } = NewHistogram();

    /// <summary>From the first packet of a reconnect to the last event that was missed.</summary>
    public LongHistogram Resume { get; } = NewHistogram();

    /// <summary>The histogram of a step that a scenario names itself, such as a REST call.</summary>
    public LongHistogram Step(string name)
    {
        if (!_steps.TryGetValue(name, out LongHistogram? histogram))
        {
            histogram = NewHistogram();
            _steps.Add(name, histogram);
        }

        return histogram;
    }

    /// <summary>How often a step was answered otherwise than expected.</summary>
    public long FailsOf(string name) => _fails.GetValueOrDefault(name);

    public IReadOnlyDictionary<string, long> Fails => _fails;

    public void Fail(string name, long count = 1) => _fails[name] = FailsOf(name) + count;

    /// <summary>All that have a value, by name.</summary>
    public IEnumerable<(string Name, LongHistogram Histogram)> Recorded =>
        new[] { ("deliver", Deliver), ("ack", Ack), ("connect", Connect), ("resume", Resume) }
            .Concat(_steps.Select(static step => (step.Key, step.Value)))
            .Where(static step => step.Item2.TotalCount > 0);

    /// <summary>A value beyond the longest counts as the longest: a histogram must not throw on a bad day.</summary>
    public static void Record(LongHistogram histogram, long us) => histogram.RecordValue(Math.Clamp(us, 1, LongestUs));

    public void Add(Latencies other)
    {
        foreach ((string name, LongHistogram histogram) in other.Recorded)
        {
            Named(name).Add(histogram);
        }

        foreach ((string name, long count) in other._fails)
        {
            Fail(name, count);
        }
    }

    /// <summary>The histogram of that name, one of the four or a step's.</summary>
    public LongHistogram Named(string name) => name switch
    {
        "deliver" => Deliver,
        "ack" => Ack,
        "connect" => Connect,
        "resume" => Resume,
        _ => Step(name),
    };

    private static LongHistogram NewHistogram() => new(1, LongestUs, SignificantDigits);
}
