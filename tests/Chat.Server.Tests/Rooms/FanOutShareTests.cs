using Chat.Server.Rooms;
using CsCheck;

namespace Chat.Server.Tests.Rooms;

public sealed class FanOutShareTests
{
    [Fact]
    public void A_fan_out_that_takes_too_long_is_followed_by_shorter_ones()
    {
        var share = new FanOutShare();
        Assert.Equal(FanOutShare.BytesMax, share.Bytes);

        share.Took(share.Bytes, FanOutShare.MsMax * 4);
        Assert.Equal(FanOutShare.BytesMax / 4, share.Bytes);
        for (int fanOuts = 0; share.Bytes < FanOutShare.BytesMax; fanOuts++)
        {
            Assert.InRange(fanOuts, 0, 10);
            share.Took(share.Bytes, FanOutShare.MsMax);
        }
    }

    /// <summary>Whatever it costs: by the byte or by the member, the share settles where a fan-out takes its time, or at a limit.</summary>
    [Fact]
    public void It_settles_within_the_time_or_at_a_limit() =>
        Gen.Select(Gen.Double[0, 100], Gen.Double[0, 100]).Sample((msForAll, msPerSend) =>
        {
            var share = new FanOutShare();
            double Cost(int bytes) => msPerSend + (msForAll * bytes / FanOutShare.BytesMax);
            for (int i = 0; i < 1_000; i++)
            {
                share.Took(share.Bytes, Cost(share.Bytes));
                Assert.InRange(share.Bytes, FanOutShare.BytesMin, FanOutShare.BytesMax);
            }

            // It asks for a little more each time, until that is too much. What is too much by less than a hundredth takes thousands of steps.
            Assert.True(Cost(share.Bytes * 4 / 5) <= FanOutShare.MsMax * 1.01 || share.Bytes == FanOutShare.BytesMin);
            Assert.True(Cost(share.Bytes * 8 / 5) >= FanOutShare.MsMax || share.Bytes == FanOutShare.BytesMax);
        });

    [Fact]
    public void A_few_bytes_that_took_long_leave_enough_for_the_next()
    {
        var share = new FanOutShare();
        share.Took(200, ms: 500);
        Assert.Equal(FanOutShare.BytesMin, share.Bytes);
    }
}
