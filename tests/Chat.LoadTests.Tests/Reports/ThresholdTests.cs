using Chat.LoadTests.Reports;

namespace Chat.LoadTests.Tests.Reports;

public sealed class ThresholdTests
{
    [Theory]
    [InlineData("p99<20ms", 19.9, true)]
    [InlineData("p99<20ms", 20, false)]
    [InlineData("p99<=20000us", 20, true)]
    [InlineData("lost=0", 1, false)]
    [InlineData("deliveries_per_s >= 100k", 100_000, true)]
    [InlineData("ack.p99<1s", 999, true)]
    public void An_expression_holds_or_does_not(string text, double value, bool holds)
    {
        Assert.True(Threshold.TryParse(text, out Threshold threshold, out string error), error);

        Assert.Equal(holds, threshold.HoldsFor(value));
    }

    [Theory]
    [InlineData("")]
    [InlineData("p99")]
    [InlineData("p99<")]
    [InlineData("p99<fast")]
    [InlineData("p99<20parsecs")]
    [InlineData("nothing_like_it<1")]
    [InlineData("ack.p12<1")]
    public void A_wrong_expression_is_refused_with_a_reason_that_repeats_it(string text)
    {
        Assert.False(Threshold.TryParse(text, out _, out string error));

        Assert.Contains($"\"{text}\"", error, StringComparison.Ordinal);
    }
}
