using System.Diagnostics;

namespace Chat.Server.Rooms;

/// <summary>
/// Whether the next fan-out of a large room waits a little for more events. A fan-out costs nearly the same with one event as with eighty, and
/// senders who answer the last one come one after the other: the first of them would have a fan-out alone, and the others wait behind it. So in a
/// room in full flow a fan-out that would carry much less than the last ones did waits for what they make likely, a quarter of the last one's
/// time at most. A room with one event at a time waits for nothing. Only the shard's thread; times are those of <see cref="Stopwatch"/>.
/// </summary>
internal struct FanOutGathering()
{
    /// <summary>Enough, of what is expected.</summary>
    private const double EnoughShare = 0.75;

    /// <summary>What is expected after a smaller fan-out, of what was expected before: four small ones, and a third is left.</summary>
    private const double Decay = 0.75;

    /// <summary>The wait is this part of the time that the last fan-out took.</summary>
    private const int WaitPart = 4;

    /// <summary>A room is in full flow when its last fan-out ended no longer ago than this many times what it took.</summary>
    private const int FlowTimes = 4;

    /// <summary>Milliseconds, however long the last fan-out took.</summary>
    public const int WaitMsMax = 2;

    private double _expected;
    private long _took;
    private long _end;

    /// <summary>The wait ends then at the latest; 0 when there is none.</summary>
    public long Until { get; private set; }

    /// <summary>A fan-out has carried so many events.</summary>
    public void Carried(long events, long start, long end)
    {
        _expected = Math.Max(events, _expected * Decay);
        _took = end - start;
        _end = end;
    }

    /// <summary>Asked before each fan-out, again and again while it waits: so many events have come since the last one.</summary>
    public bool ShouldWait(long events, long now)
    {
        bool isWaiting = Until != 0;
        if (events >= EnoughShare * _expected || (isWaiting ? now >= Until : now - _end > FlowTimes * _took))
        {
            Until = 0;
            return false;
        }

        if (!isWaiting)
        {
            Until = now + Math.Min(_took / WaitPart, WaitMsMax * Stopwatch.Frequency / 1000);
        }

        return true;
    }
}
