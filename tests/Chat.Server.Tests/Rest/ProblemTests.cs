using System.Text;
using Chat.Server.Rest;

namespace Chat.Server.Tests.Rest;

public sealed class ProblemTests
{
    private static string RetryAfter(Response refusal) =>
        Assert.Single(refusal.Fields, static field => field.Name.AsSpan().SequenceEqual("Retry-After"u8)).Value is { } value ? Encoding.ASCII.GetString(value) : "";

    [Theory]
    [InlineData(0, "1")]
    [InlineData(1, "1")]
    [InlineData(1000, "1")]
    [InlineData(1001, "2")]
    [InlineData(60_000, "60")]
    [InlineData(60_001, "61")]
    [InlineData(3_600_000, "3600")]
    public void A_refusal_tells_when_to_come_again_in_whole_seconds(int ms, string seconds)
    {
        Assert.Equal(seconds, RetryAfter(Problem.RateLimited(ms)));
        Assert.Equal(seconds, RetryAfter(Problem.Overloaded(ms)));
    }

    [Fact]
    public void Refusals_of_a_flood_are_made_once_and_are_those_of_their_kind()
    {
        Assert.Same(Problem.RateLimited(1500), Problem.RateLimited(2000));
        Assert.Same(Problem.Busy(2), Problem.Busy(2));
        Assert.NotSame(Problem.RateLimited(2000), Problem.RateLimited(3000));
        Assert.NotEqual(Problem.RateLimited(2000).Content.ToArray(), Problem.TooManyAttempts(2).Content.ToArray());
    }
}
