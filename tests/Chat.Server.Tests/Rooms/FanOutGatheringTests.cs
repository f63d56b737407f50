using System.Diagnostics;
using Chat.Server.Rooms;

namespace Chat.Server.Tests.Rooms;

public sealed class FanOutGatheringTests
{
    private static readonly long _ms = Stopwatch.Frequency / 1000;

    [Fact]
    public void The_first_fan_out_waits_for_nothing() => Assert.False(new FanOutGathering().ShouldWait(1, 5 * _ms));

    [Fact]
    public void A_room_with_one_event_at_a_time_waits_for_nothing()
    {
        var gathering = new FanOutGathering();
        for (int i = 0; i < 100; i++)
        {
            Assert.False(gathering.ShouldWait(1, i * 5 * _ms));
            gathering.Carried(1, i * 5 * _ms, ((i * 5) + 4) * _ms);
        }
    }

    [Fact]
    public void Few_events_behind_many_wait_until_there_are_enough()
    {
        FanOutGathering gathering = After(events: 80, tookMs: 4);
        long now = 4 * _ms;
        Assert.True(gathering.ShouldWait(8, now));
        Assert.Equal(now + _ms, gathering.Until); // A quarter of what the last one took.
        Assert.True(gathering.ShouldWait(59, now + (_ms / 2)));
        Assert.Equal(now + _ms, gathering.Until);
        Assert.False(gathering.ShouldWait(60, now + (_ms / 2)));
        Assert.Equal(0, gathering.Until);
    }

    [Fact]
    public void The_wait_ends_without_them()
    {
        FanOutGathering gathering = After(events: 80, tookMs: 4);
        Assert.True(gathering.ShouldWait(8, 4 * _ms));
        Assert.True(gathering.ShouldWait(8, (5 * _ms) - 1));
        Assert.False(gathering.ShouldWait(8, 5 * _ms));
    }

    [Fact]
    public void It_is_short_however_long_the_last_fan_out_took()
    {
        FanOutGathering gathering = After(events: 80, tookMs: 200);
        Assert.True(gathering.ShouldWait(8, 200 * _ms));
        Assert.Equal((200 + FanOutGathering.WaitMsMax) * _ms, gathering.Until);
    }

    [Fact]
    public void A_room_that_was_quiet_waits_for_nothing()
    {
        FanOutGathering gathering = After(events: 80, tookMs: 4);
        Assert.False(gathering.ShouldWait(1, (20 * _ms) + 1)); // Four times 4 ms since its end.
        Assert.True(gathering.ShouldWait(1, 20 * _ms));
    }

    [Fact]
    public void What_was_expected_is_forgotten()
    {
        FanOutGathering gathering = After(events: 80, tookMs: 4);
        int waits = 0;
        for (int i = 1; i <= 30; i++)
        {
            long start = i * 5 * _ms;
            waits += gathering.ShouldWait(1, start) ? 1 : 0;
            gathering.ShouldWait(1, start + _ms);
            gathering.Carried(1, start + _ms, start + (4 * _ms));
        }

        Assert.Equal(15, waits); // 80 times 0.75 to the 14th is the last that is more than 1.33.
    }

    private static FanOutGathering After(int events, int tookMs)
    {
        var gathering = new FanOutGathering();
        gathering.Carried(events, 0, tookMs * _ms);
        return gathering;
    }
}
