using Chat.Server.Connections;

namespace Chat.Server.Tests.Connections;

public sealed class RateLimitsTests
{
    private const int Messages = 100;

    private readonly SteppedTime _time = new();
    private readonly RateLimits _limits;

    public RateLimitsTests() => _limits = new RateLimits(
        new Rate(MessagesPerS: 10, BytesPerS: 1000, CommandsPerS: 5), new Rate(MessagesPerS: 20, BytesPerS: 2000, CommandsPerS: 10), burstMs: 2000, _time);

    [Fact]
    public void A_user_may_send_a_burst_and_then_the_average()
    {
        Assert.Equal(40, TakeUntilRefused(7, out int retryAfterMs));
        Assert.Equal(51, retryAfterMs); // One message is 50 ms.
        _time.Step(retryAfterMs);
        Assert.Equal(1, TakeUntilRefused(7, out _));
        _time.Step(1000);
        Assert.Equal(20, TakeUntilRefused(7, out _));
        _time.Step(3_600_000);
        Assert.Equal(40, TakeUntilRefused(7, out _)); // No more than a burst, however long the pause.
    }

    [Fact]
    public void Users_do_not_share_their_buckets()
    {
        TakeUntilRefused(7, out _);
        Assert.Equal(40, TakeUntilRefused(8, out _));
    }

    [Fact]
    public void Bytes_and_commands_have_buckets_of_their_own()
    {
        TakeUntilRefused(7, out _);
        Assert.Equal(0, _limits.TakeCommand(7, 3000, _limits.NowMs));
        Assert.Equal(0, _limits.TakeCommand(7, 1000, _limits.NowMs));
        Assert.Equal(251, _limits.TakeCommand(7, 500, _limits.NowMs));
    }

    [Fact]
    public void What_is_refused_is_owed_up_to_a_burst_and_takes_nothing_from_the_buckets()
    {
        for (int i = 0; i < 40; i++)
        {
            Assert.False(_limits.Owe(7, 1, 0, 0, _limits.NowMs));
        }

        Assert.True(_limits.Owe(7, 1, 0, 0, _limits.NowMs));
        Assert.False(_limits.Owe(8, 1, 0, 0, _limits.NowMs));
        Assert.Equal(40, TakeUntilRefused(7, out _));
        _time.Step(50);
        Assert.False(_limits.Owe(7, 1, 0, 0, _limits.NowMs));
        Assert.True(_limits.Owe(7, 1, 0, 0, _limits.NowMs));
    }

    [Fact]
    public void Commands_and_bytes_are_owed_by_themselves()
    {
        Assert.False(_limits.Owe(7, 0, 20, 4000, _limits.NowMs));
        Assert.True(_limits.Owe(7, 0, 1, 0, _limits.NowMs));
        Assert.True(_limits.Owe(7, 0, 0, 1, _limits.NowMs));
        Assert.False(_limits.Owe(7, 40, 0, 0, _limits.NowMs));
    }

    [Fact]
    public async Task Many_threads_get_no_more_than_the_burst_together()
    {
        int[] taken = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => TakeUntilRefused(7, out int _))));
        Assert.Equal(40, taken.Sum());
    }

    [Fact]
    public void A_user_is_forgotten_when_the_buckets_are_full_again_and_nothing_is_owed_and_not_before()
    {
        TakeUntilRefused(7, out _);
        _limits.TakeCommand(8, 0, _limits.NowMs);
        _limits.Owe(9, 40, 0, 0, _limits.NowMs);
        Assert.Equal(3, _limits.UserCount);
        _time.Step(1999);
        _limits.Sweep(_limits.NowMs);
        Assert.Equal(2, _limits.UserCount);
        _time.Step(1);
        _limits.Sweep(_limits.NowMs);
        Assert.Equal(0, _limits.UserCount);
    }

    [Fact]
    public void Users_beyond_the_table_are_let_through()
    {
        for (long userId = 1; userId <= RateLimits.UsersMax + 10; userId++)
        {
            Assert.Equal(0, _limits.TakeMessage(userId, 0, _limits.NowMs));
        }

        Assert.Equal(RateLimits.UsersMax, _limits.UserCount);
    }

    [Fact]
    public void A_limit_of_0_is_none()
    {
        var limits = new RateLimits(new Rate(0, 0, 0), new Rate(0, 0, 0), burstMs: 1000, _time);
        ConnectionRate rate = default;
        for (int i = 0; i < 100_000; i++)
        {
            Assert.Equal(0, limits.TakeMessage(7, 1 << 20, limits.NowMs) + rate.TakeMessage(limits, 1 << 20, limits.NowMs));
            Assert.False(limits.Owe(7, 1, 1, 1 << 20, limits.NowMs));
        }

        Assert.False(rate.IsExhausted(limits));
    }

    [Fact]
    public void A_connection_that_waits_as_told_goes_on_for_ever()
    {
        ConnectionRate rate = default;
        for (int i = 0; i < 20; i++)
        {
            Assert.Equal(0, rate.TakeMessage(_limits, 0, _limits.NowMs));
        }

        for (int i = 0; i < 1000; i++)
        {
            int retryAfterMs = rate.TakeMessage(_limits, 0, _limits.NowMs);
            Assert.InRange(retryAfterMs, 100, 301);
            Assert.False(rate.IsExhausted(_limits));
            _time.Step(retryAfterMs);
            Assert.Equal(0, rate.TakeMessage(_limits, 0, _limits.NowMs));
        }
    }

    [Fact]
    public void A_connection_that_does_not_wait_digs_itself_in_until_it_is_exhausted()
    {
        ConnectionRate rate = default;
        int lastRetryAfterMs = 0;
        for (int i = 1; i <= 40; i++)
        {
            int retryAfterMs = rate.TakeMessage(_limits, 0, _limits.NowMs);
            Assert.True(i <= 20 ? retryAfterMs == 0 : retryAfterMs > lastRetryAfterMs);
            Assert.False(rate.IsExhausted(_limits));
            lastRetryAfterMs = retryAfterMs;
        }

        rate.TakeMessage(_limits, 0, _limits.NowMs);
        Assert.True(rate.IsExhausted(_limits));
        _time.Step(10_000);
        Assert.Equal(0, rate.TakeMessage(_limits, 0, _limits.NowMs));
    }

    [Fact]
    public void The_buckets_of_a_connection_take_16_bytes() => Assert.Equal(16, System.Runtime.CompilerServices.Unsafe.SizeOf<ConnectionRate>());

    [Fact]
    public void Taking_allocates_nothing()
    {
        ConnectionRate rate = default;
        TakeAndOwe(); // The user's entry, and what a first call costs.
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < Messages; i++)
        {
            TakeAndOwe();
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

        void TakeAndOwe()
        {
            rate.TakeMessage(_limits, 10, _limits.NowMs);
            _limits.TakeMessage(7, 10, _limits.NowMs);
            _limits.Owe(7, 1, 0, 10, _limits.NowMs);
        }
    }

    private int TakeUntilRefused(long userId, out int retryAfterMs)
    {
        for (int taken = 0; ; taken++)
        {
            retryAfterMs = _limits.TakeMessage(userId, 0, _limits.NowMs);
            if (retryAfterMs > 0)
            {
                return taken;
            }
        }
    }
}
