using System.Diagnostics;
using System.Numerics;

namespace Chat.Storage;

/// <summary>
/// How long things took: a count for each power of two of half a millisecond, up to four seconds, and one for all that took longer. One
/// thread at a time records; any thread reads. Recording costs a few nanoseconds and allocates nothing.
/// </summary>
public sealed class DurationHistogram
{
    private const double FirstSeconds = 0.0005;
    private const int BoundCount = 14;

    private static readonly long FirstTicks = (long)(FirstSeconds * Stopwatch.Frequency);

    private readonly long[] _counts = new long[BoundCount + 1];
    private long _ticks;

    /// <summary>The longest duration of each count but the last, in seconds: 0.0005, 0.001, 0.002, ... 4.096.</summary>
    public static IReadOnlyList<double> BoundsSeconds { get; } = [.. Enumerable.Range(0, BoundCount).Select(static i => FirstSeconds * (1L << i))];

    /// <param name="ticks">Of <see cref="Stopwatch"/>; 0 and more.</param>
    public void Record(long ticks)
    {
        // The first bound that is not less: the k-th is FirstTicks << k.
        int place = ticks <= FirstTicks ? 0 : Math.Min(BoundCount, BitOperations.Log2((ulong)(ticks - 1) / (ulong)FirstTicks) + 1);
        Volatile.Write(ref _counts[place], _counts[place] + 1);
        Volatile.Write(ref _ticks, _ticks + ticks);
    }

    /// <summary>What was recorded by now, by all of some. What comes meanwhile may be counted and not yet in the sum.</summary>
    public static DurationCounts Sum(IEnumerable<DurationHistogram> histograms)
    {
        var counts = new long[BoundCount + 1];
        long ticks = 0;
        foreach (var histogram in histograms)
        {
            for (var i = 0; i < counts.Length; i++)
                counts[i] += Volatile.Read(ref histogram._counts[i]);
            ticks += Volatile.Read(ref histogram._ticks);
        }
        return new DurationCounts(counts, (double)ticks / Stopwatch.Frequency);
    }
}

/// <summary>The content of a histogram.</summary>
/// <param name="Counts">How many took at most each of <see cref="DurationHistogram.BoundsSeconds"/> and more than the one before; then how many took longer than all.</param>
/// <param name="SumSeconds">All of them together.</param>
public readonly record struct DurationCounts(IReadOnlyList<long> Counts, double SumSeconds)
{
    /// <summary>How many there were.</summary>
    public long Total => Counts.Sum();
}
