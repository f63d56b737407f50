using Chat.LoadTests.Clients;
using Chat.LoadTests.Reports;
using HdrHistogram;

namespace Chat.LoadTests.Tests.Clients;

public sealed class LatencyCountsTests
{
    private static LongHistogram NewHistogram() => new Latencies().Deliver;

    [Fact]
    public void What_is_poured_out_is_what_a_histogram_would_have_recorded()
    {
        var random = new Random(1);
        long[] values =
        [
            0, 1, 1023, 1024, 2047, 2048, 2049, 4095, 4096, Latencies.LongestUs - 1, Latencies.LongestUs, long.MaxValue,
            .. Enumerable.Range(0, 10_000).Select(_ => (long)Math.Exp(random.NextDouble() * Math.Log(Latencies.LongestUs))),
        ];
        var counts = new LatencyCounts();
        LongHistogram expected = NewHistogram();
        foreach (long value in values)
        {
            counts.Record(value);
            Latencies.Record(expected, value);
        }

        LongHistogram poured = NewHistogram();
        counts.PourInto(poured);

        Assert.Equal(values.Length, poured.TotalCount);
        Assert.Equal(expected.RecordedValues().Select(static value => (value.ValueIteratedTo, value.CountAtValueIteratedTo)),
            poured.RecordedValues().Select(static value => (value.ValueIteratedTo, value.CountAtValueIteratedTo)));
        Assert.Equal(LatencyFigures.Of(expected), LatencyFigures.Of(poured));
    }

    [Fact]
    public void What_was_poured_out_is_not_poured_again()
    {
        var counts = new LatencyCounts();
        counts.Record(5);
        counts.PourInto(NewHistogram());

        LongHistogram second = NewHistogram();
        counts.PourInto(second);

        Assert.Equal(0, second.TotalCount);
    }
}
