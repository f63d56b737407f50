using System.Text;
using Chat.Server.Auth;
using Chat.TestKit;

namespace Chat.Server.Tests.Auth;

public sealed class AttemptLimitTests
{
    private readonly ManualTime _time = new(DateTimeOffset.UnixEpoch);

    [Fact]
    public void A_burst_is_allowed_and_then_comes_back_evenly()
    {
        var limit = new AttemptLimit(10, TimeSpan.FromSeconds(100), _time);
        for (int i = 0; i < 10; i++)
        {
            Assert.True(limit.TryTake("a"u8, out _));
        }

        Assert.False(limit.TryTake("a"u8, out int retryAfterSeconds));
        Assert.Equal(10, retryAfterSeconds);
        Assert.True(limit.TryTake("b"u8, out _));

        _time.Advance(TimeSpan.FromSeconds(9));
        Assert.False(limit.TryTake("a"u8, out retryAfterSeconds));
        Assert.Equal(1, retryAfterSeconds);
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.True(limit.TryTake("a"u8, out _));
        Assert.False(limit.TryTake("a"u8, out _));

        _time.Advance(TimeSpan.FromSeconds(1000)); // Never more than a burst.
        int allowed = 0;
        while (limit.TryTake("a"u8, out _))
        {
            allowed++;
        }

        Assert.Equal(10, allowed);
    }

    [Fact]
    public void An_attempt_that_was_given_back_does_not_count()
    {
        var limit = new AttemptLimit(1, TimeSpan.FromHours(1), _time);
        for (int i = 0; i < 100; i++)
        {
            Assert.True(limit.TryTake("a"u8, out _));
            limit.GiveBack("a"u8);
        }

        limit.GiveBack("a"u8); // Nor does it make more of them.
        Assert.True(limit.TryTake("a"u8, out _));
        Assert.False(limit.TryTake("a"u8, out int retryAfterSeconds));
        Assert.Equal(3600, retryAfterSeconds);
    }

    [Fact]
    public void Zero_is_no_limit()
    {
        var limit = new AttemptLimit(0, TimeSpan.FromHours(1), _time);
        for (int i = 0; i < 1000; i++)
        {
            Assert.True(limit.TryTake("a"u8, out _));
        }

        limit.GiveBack("a"u8);
    }

    [Fact]
    public void Who_has_used_most_is_remembered_however_many_keys_come()
    {
        var limit = new AttemptLimit(100, TimeSpan.FromHours(1), _time);
        while (limit.TryTake("guessed"u8, out _))
        {
        }

        Take(limit, 300_000); // Several times what the table holds.

        Assert.False(limit.TryTake("guessed"u8, out _));
    }

    private static void Take(AttemptLimit limit, int count)
    {
        Span<byte> key = stackalloc byte[16];
        for (int i = 0; i < count; i++)
        {
            Assert.True(Encoding.ASCII.TryGetBytes($"{i}", key, out int length));
            limit.TryTake(key[..length], out _);
        }
    }
}
