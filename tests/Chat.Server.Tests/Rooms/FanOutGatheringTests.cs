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
        Assert.Equal(now + (12 * _ms), gathering.Until); // Three times what the last one took.
        Assert.True(gathering.ShouldWait(59, now + (11 * _ms)));
        Assert.Equal(now + (12 * _ms), gathering.Until);
        Assert.False(gathering.ShouldWait(60, now + (11 * _ms)));
        Assert.Equal(0, gathering.Until);
    }

    [Theory]
    [InlineData(FanOutGathering.ManyEvents - 1, 1)]
    [InlineData(FanOutGathering.ManyEvents, 12)]
    public void The_wait_for_few_is_short_and_ends_without_them(int events, int ms)
    {
        FanOutGathering gathering = After(events, tookMs: 4);
        Assert.True(gathering.ShouldWait(1, 4 * _ms));
        Assert.True(gathering.ShouldWait(1, ((4 + ms) * _ms) - 1));
        Assert.False(gathering.ShouldWait(1, (4 + ms) * _ms));
    }

    [Theory]
    [InlineData(10, FanOutGathering.WaitForFewMsMax)]
    [InlineData(80, FanOutGathering.WaitForManyMsMax)]
    public void It_has_a_limit_however_long_the_last_fan_out_took(int events, int ms)
    {
        FanOutGathering gathering = After(events, tookMs: 200);
        Assert.True(gathering.ShouldWait(1, 200 * _ms));
        Assert.Equal((200 + ms) * _ms, gathering.Until);
    }

    [Fact]
    public void A_room_that_was_quiet_waits_for_nothing()
    {
        FanOutGathering gathering = After(events: 80, tookMs: 4);
        Assert.False(gathering.ShouldWait(1, (20 * _ms) + 1)); // Four times 4 ms since its end.
        Assert.True(gathering.ShouldWait(1, 20 * _ms));
    }

    [Fact]
    public void Halves_do_not_become_usual_at_once()
    {
        FanOutGathering gathering = After(events: 80, tookMs: 4);
        long now = 4 * _ms;
        for (int i = 0; i < 4; i++)
        {
            Assert.True(gathering.ShouldWait(39, now));
            Assert.False(gathering.ShouldWait(60, now)); // 60 are enough for 80, and for what is expected of the next ones.
            gathering.Carried(40, now, now + _ms);
            now += _ms;
        }

        Assert.False(gathering.ShouldWait(40, now)); // 80 times 0.9 to the fourth, and three quarters of it.
    }

    [Fact]
    public void What_did_not_come_is_soon_not_expected()
    {
        FanOutGathering gathering = After(events: 80, tookMs: 4);
        long now = 4 * _ms;
        int waits = 0;
        while (gathering.ShouldWait(1, now))
        {
            waits++;
            now = gathering.Until;
            Assert.False(gathering.ShouldWait(1, now));
            gathering.Carried(1, now, now + (4 * _ms));
            now += 4 * _ms;
        }

        Assert.Equal(9, waits); // 80 times 0.6 to the eighth is the last that is more than 1.33.
        Assert.Equal((4 + (4 * (12 + 4)) + (5 * (1 + 4))) * _ms, now); // The first four were for many: 80, 48, 29 and 17.
    }

    private static FanOutGathering After(int events, int tookMs)
    {
        var gathering = new FanOutGathering();
        gathering.Carried(events, 0, tookMs * _ms);
        return gathering;
    }
}
