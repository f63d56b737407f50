using HdrHistogram;

namespace Chat.LoadTests.Verify;

/// <summary>Counts what happens during a run, for the display and the report. Any thread; the fields by Interlocked.</summary>
internal sealed class Tally
{
    private const long RecoveryMsMax = 10 * 60 * 1000;

    public long Sent;
    public long Acknowledged;
    public long Duplicates;
    public long Deliveries;
    public long Connections;
    public long Resumed;
    public long Reloaded;
    public long Rollbacks;
    public long Overloaded;
    public long Refused;
    public long Kills;
    public long Terminations;
    public long UncleanStops;
    public long DatabaseStops;
    public long DatabaseFreezes;

    /// <summary>From the start of the server's process to the first acknowledgement after it, in ms.</summary>
    public LongHistogram AfterServer { get; } = new(RecoveryMsMax, 3);

    /// <summary>From the database's return to the first acknowledgement after it, in ms.</summary>
    public LongHistogram AfterDatabase { get; } = new(RecoveryMsMax, 3);

    /// <summary>How often the server ended a connection with a close code.</summary>
    public SortedDictionary<int, long> Closes { get; } = [];

    public void CountClose(int code)
    {
        lock (Closes)
        {
            Closes[code] = Closes.GetValueOrDefault(code) + 1;
        }
    }
}
