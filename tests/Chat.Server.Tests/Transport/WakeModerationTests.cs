using System.Diagnostics;
using Chat.Server.Transport;

namespace Chat.Server.Tests.Transport;

public sealed class WakeModerationTests
{
    private const int IntervalUs = 1_000;
    private const int Bytes = 10_000;
    private const int Often = 4 * WakeModeration.WakesPerWindowMin;

    private static readonly long WindowTicks = WakeModeration.WindowMs * Stopwatch.Frequency / 1000;

    private readonly WakeModeration _moderation = new(IntervalUs);
    private long _now;

    /// <summary>A window with so many turns, evenly spread.</summary>
    private void Window(int turns, int bytes, bool areWakes = true)
    {
        long start = _now;
        _moderation.OnInput(bytes);
        for (int i = 1; i <= turns; i++)
        {
            _now = start + (WindowTicks * i / turns);
            _moderation.BeginTurn(_now, areWakes);
        }
    }

    /// <summary>With turns kept apart there are as many as fit.</summary>
    private void ModeratedWindow(int bytes) => Window(WakeModeration.WindowMs * 1000 / IntervalUs, bytes);

    [Fact]
    public void Who_is_woken_often_has_turns_an_interval_apart()
    {
        Window(Often, Bytes);
        Assert.True(_moderation.IsOn);
        Assert.Equal(_now + (IntervalUs * Stopwatch.Frequency / 1_000_000), _moderation.NextTurn);
        for (int i = 0; i < WakeModeration.WindowsModerated; i++)
        {
            ModeratedWindow(Bytes);
            Assert.True(_moderation.IsOn);
        }
    }

    [Fact]
    public void After_a_second_it_looks_again_for_a_window()
    {
        Window(Often, Bytes);
        for (int i = 0; i <= WakeModeration.WindowsModerated; i++)
        {
            Assert.True(_moderation.IsOn);
            ModeratedWindow(Bytes);
        }

        Assert.False(_moderation.IsOn);
        Assert.True(_moderation.NextTurn <= _now);
        Window(Often, Bytes);
        Assert.True(_moderation.IsOn);
    }

    [Theory]
    [InlineData(WakeModeration.WakesPerWindowMin - 1, true)] // Not often.
    [InlineData(Often, false)] // Looks at what is left over, and a saturated shard's turns are no wake-ups.
    public void Otherwise_turns_begin_at_once(int turns, bool areWakes)
    {
        for (int i = 0; i < 100; i++)
        {
            Window(turns, Bytes, areWakes);
            Assert.False(_moderation.IsOn);
            Assert.True(_moderation.NextTurn <= _now);
        }
    }

    [Fact]
    public void Senders_who_wait_for_answers_lose_a_hundredth_of_their_time()
    {
        int on = 0;
        const int Windows = 4000;
        for (int i = 0; i < Windows; i++)
        {
            if (_moderation.IsOn)
            {
                on++;
                ModeratedWindow(Bytes / 2);
            }
            else
            {
                Window(Often, Bytes);
            }
        }

        Assert.InRange(on, 10, Windows / 100);
    }

    [Fact]
    public void A_trial_that_slows_nobody_down_forgets_those_that_did()
    {
        for (int i = 0; i < 1000; i++)
        {
            if (_moderation.IsOn)
            {
                ModeratedWindow(Bytes / 2);
            }
            else
            {
                Window(Often, Bytes);
            }
        }

        while (!_moderation.IsOn)
        {
            Window(Often, Bytes);
        }

        ModeratedWindow(Bytes);
        Assert.True(_moderation.IsOn);
        while (_moderation.IsOn)
        {
            ModeratedWindow(Bytes);
        }

        Window(Often, Bytes);
        ModeratedWindow(Bytes / 2);
        int refrained = 0;
        for (; !_moderation.IsOn; refrained++)
        {
            Window(Often, Bytes);
        }

        Assert.Equal(WakeModeration.WindowsRefrainedMin + 1, refrained);
    }

    [Fact]
    public void Traffic_that_ends_is_not_taken_for_somebody_who_waits()
    {
        Window(Often, Bytes);
        Assert.True(_moderation.IsOn);
        _now += 100 * WindowTicks;
        _moderation.BeginTurn(_now, wasAsleep: true);
        Assert.False(_moderation.IsOn);
        Window(Often, Bytes);
        Assert.True(_moderation.IsOn);
    }

    [Fact]
    public void An_interval_of_0_is_none()
    {
        var off = new WakeModeration(0);
        for (long now = 0; now < 100 * WindowTicks; now += WindowTicks / Often)
        {
            off.BeginTurn(now, wasAsleep: true);
            Assert.False(off.IsOn);
        }
    }
}
