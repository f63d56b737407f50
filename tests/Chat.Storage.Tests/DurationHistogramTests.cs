using System.Diagnostics;
using CsCheck;

namespace Chat.Storage.Tests;

public sealed class DurationHistogramTests
{
    private static readonly long HalfMs = Stopwatch.Frequency / 2000;

    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 0)]
    [InlineData(2, 1)]
    [InlineData(3, 2)]
    [InlineData(4, 2)]
    [InlineData(5, 3)]
    [InlineData(8192, 13)]
    [InlineData(8193, 14)]
    [InlineData(1_000_000_000, 14)]
    public void A_duration_counts_at_the_first_bound_that_is_not_less(long halfMs, int place)
    {
        var histogram = new DurationHistogram();

        histogram.Record(halfMs * HalfMs);

        var counts = DurationHistogram.Sum([histogram]);
        Assert.Equal(Enumerable.Range(0, 15).Select(i => i == place ? 1L : 0L), counts.Counts);
        Assert.Equal(halfMs * 0.0005, counts.SumSeconds, 1e-6);
    }

    [Fact]
    public void Histograms_add_up() =>
        Gen.Long[0, 10 * Stopwatch.Frequency].Array[0, 100].Array[0, 4].Sample(durations =>
        {
            var histograms = durations.Select(static some =>
            {
                var histogram = new DurationHistogram();
                Array.ForEach(some, histogram.Record);
                return histogram;
            });
            long[] all = [.. durations.SelectMany(static some => some)];

            var counts = DurationHistogram.Sum(histograms);

            for (var i = 0; i < DurationHistogram.BoundsSeconds.Count; i++)
                Assert.Equal(all.Count(ticks => ticks <= HalfMs << i), counts.Counts.Take(i + 1).Sum());
            Assert.Equal(all.Length, counts.Total);
            Assert.Equal((double)all.Sum() / Stopwatch.Frequency, counts.SumSeconds, 1e-6);
        });
}
