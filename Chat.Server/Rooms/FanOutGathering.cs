using System.Diagnostics;

namespace Chat.Server.Rooms;

/// <summary>
/// Whether the next fan-out of a large room waits a little for more events. A fan-out costs nearly the same with one event as with eighty, and
/// senders who answer the last one come one after the other: the first of them would have a fan-out alone, and the others wait behind it. So in a
/// room in full flow a fan-out that would carry much less than the last ones did waits for what they make likely: up to three times what the last one took
/// where they carried many, up to a quarter of it where they carried few. A room with one event at a time waits for nothing. Only the shard's thread;
/// times are those of <see cref="Stopwatch"/>.
/// </summary>
internal struct FanOutGathering()
{
    /// <summary>So many expected events are many.</summary>
    public const int ManyEvents = 16;

    /// <summary>Milliseconds, however long the last fan-out took, where many events are expected; and where few are.</summary>
    public const int WaitForManyMsMax = 20;
    public const int WaitForFewMsMax = 2;

    /// <summary>The same as parts of the time that the last fan-out took.</summary>
    private const double WaitForManyPart = 3;
    private const double WaitForFewPart = 0.25;

    /// <summary>Enough, of what is expected.</summary>
    private const double EnoughShare = 0.75;

    /// <summary>
    /// What is expected after a smaller fan-out, of what was expected before. Slowly: the shards of a room whose senders answer each shard on its own
    /// would else come to send them by halves, and find that usual.
    /// </summary>
    private const double Decay = 0.9;

    /// <summary>The same after a wait that was in vain: who has stopped sending is not waited for many times.</summary>
    private const double DecayInVain = 0.6;

    /// <summary>A room is in full flow when its last fan-out ended no longer ago than this many times what it took.</summary>
    private const int FlowTimes = 4;

    private double _expected;
    private bool _wasInVain;
    private long _took;
    private long _end;

    /// <summary>The wait ends then at the latest; 0 when there is none.</summary>
    public long Until { get; private set; }

    /// <summary>A fan-out has carried so many events.</summary>
    public void Carried(long events, long start, long end)
    {
        _expected = Math.Max(events, _expected * (_wasInVain ? DecayInVain : Decay));
        _wasInVain = false;
        _took = end - start;
        _end = end;
    }

    /// <summary>Asked before each fan-out, again and again while it waits: so many events have come since the last one.</summary>
    public bool ShouldWait(long events, long now)
    {
        bool isWaiting = Until != 0;
        bool isEnough = events >= EnoughShare * _expected;
        if (isEnough || (isWaiting ? now >= Until : now - _end > FlowTimes * _took))
        {
            _wasInVain = isWaiting && !isEnough;
            Until = 0;
            return false;
        }

        if (!isWaiting)
        {
            Until = now + WaitMax();
        }

        return true;
    }

    private readonly long WaitMax() => _expected >= ManyEvents
        ? Math.Min((long)(_took * WaitForManyPart), WaitForManyMsMax * Stopwatch.Frequency / 1000)
        : Math.Min((long)(_took * WaitForFewPart), WaitForFewMsMax * Stopwatch.Frequency / 1000);
}
