using System.Numerics;
using HdrHistogram;

namespace Chat.LoadTests.Clients;

/// <summary>
/// What millions of times a second are recorded into: the buckets of a histogram of <see cref="Latencies"/> as a bare array, since
/// HdrHistogram's own recording is a third of what a delivery costs here. With each sample it is poured into such a histogram,
/// where each value lands in the same bucket as if it had been recorded there. One loop's.
/// </summary>
internal sealed class LatencyCounts
{
    /// <summary>Three significant digits take 2 x 10^3 buckets, rounded up to a power of two; of each further power of two, half of them.</summary>
    private const int HalfBits = 10;

    private const int Half = 1 << HalfBits;

    private readonly int[] _counts = new int[IndexOf(Latencies.LongestUs) + 1];

    public void Record(long us) => _counts[IndexOf(Math.Clamp(us, 1, Latencies.LongestUs))]++;

    /// <summary>Hands over all that was recorded, and forgets it.</summary>
    public void PourInto(LongHistogram histogram)
    {
        for (int index = 0; index < _counts.Length; index++)
        {
            if (_counts[index] > 0)
            {
                histogram.RecordValueWithCount(ValueOf(index), _counts[index]);
                _counts[index] = 0;
            }
        }
    }

    private static int IndexOf(long us)
    {
        int shift = Math.Max(0, BitOperations.Log2((ulong)us) - HalfBits);
        return (shift << HalfBits) + (int)(us >> shift);
    }

    /// <summary>The least value of a bucket.</summary>
    private static long ValueOf(int index) => index < Half ? index : (long)(Half + index % Half) << (index / Half - 1);
}
