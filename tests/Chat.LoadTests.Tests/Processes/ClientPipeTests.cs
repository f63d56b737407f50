using System.Net;
using System.Text.Json;
using Chat.LoadTests.Clients;
using Chat.LoadTests.Loads;
using Chat.LoadTests.Processes;
using Chat.LoadTests.Reports;

namespace Chat.LoadTests.Tests.Processes;

public sealed class ClientPipeTests
{
    private static T Sent<T>(T value) => JsonSerializer.Deserialize<T>(JsonSerializer.Serialize(value, ClientPipe.Json), ClientPipe.Json)!;

    private static GroupSample Sample(params long[] deliveredUs)
    {
        var latencies = new Latencies();
        foreach (long us in deliveredUs)
        {
            Latencies.Record(latencies.Deliver, us);
        }

        return new GroupSample(new Counters { Delivered = deliveredUs.Length, Lost = 1 }, latencies, null, Members: 2, CpuS: 0.5);
    }

    [Fact]
    public void A_sample_comes_through_the_pipe_as_it_was()
    {
        GroupSample sample = Sample(1, 250, 3_600_000_000) with { Note = "a \"note\"\nof two lines" };
        sample.Latencies.Fail("login", 3);
        Latencies.Record(sample.Latencies.Step("login"), 52_000);

        string line = JsonSerializer.Serialize(new ClientAnswer(7) { Sample = sample }, ClientPipe.Json);
        GroupSample received = JsonSerializer.Deserialize<ClientAnswer>(line, ClientPipe.Json)!.Sample!;

        Assert.DoesNotContain('\n', line);
        Assert.Equal(sample.Counters, received.Counters);
        Assert.Equal((sample.Note, sample.Members, sample.CpuS), (received.Note, received.Members, received.CpuS));
        Assert.Equal(LatencyFigures.Of(sample.Latencies.Deliver), LatencyFigures.Of(received.Latencies.Deliver));
        Assert.Equal(LatencyFigures.Of(sample.Latencies.Step("login")), LatencyFigures.Of(received.Latencies.Step("login")));
        Assert.Equal(3, received.Latencies.FailsOf("login"));
    }

    /// <summary>99 fast values in one process and 99 slow ones in the other: the average of the two 99th percentiles would be far off.</summary>
    [Fact]
    public void Merged_percentiles_are_those_of_all_values_together()
    {
        long[] fast = [.. Enumerable.Repeat(1_000L, 900)];
        long[] slow = [.. Enumerable.Repeat(100_000L, 100)];

        var merged = GroupSample.Merge([Sent(Sample(fast)), Sent(Sample(slow))]);

        Assert.Equal(LatencyFigures.Of(Sample([.. fast, .. slow]).Latencies.Deliver), LatencyFigures.Of(merged.Latencies.Deliver));
        Assert.Equal(1, LatencyFigures.Of(merged.Latencies.Deliver).P90, 2);
        Assert.Equal(new Counters { Delivered = 1000, Lost = 2 }, merged.Counters);
        Assert.Equal((4, 1.0), (merged.Members, merged.CpuS));
    }

    [Fact]
    public void Requests_come_through_the_pipe_as_they_were()
    {
        Assert.True(LoadPlan.TryParse("ramp:0-500:10,constant:500:2", out LoadPlan load, out _));
        var plan = new PublishPlan(load, Window: 3, ContentBytes: 128, WithNonces: true, Skew: 1.5, StartNs: 1, MeasureFromNs: 2, MeasureToNs: long.MaxValue);
        var mix = new RestMix([new RestKind(0, [new RestCall("login", [1, 2], 200)]), new RestKind(1000, [new RestCall("history", [3], 200)])]);

        var published = Assert.IsType<PublishRequest>(Sent<ClientRequest>(new PublishRequest(plan) { Id = 3 }));
        Assert.Equal(plan with { Load = null }, published.Plan with { Load = null });
        Assert.Equal(load.Stretches, published.Plan.Load!.Stretches);
        Assert.Equal(3, published.Id);
        var entered = Assert.IsType<EnterRequest>(Sent<ClientRequest>(new EnterRequest(new GroupPlan(
            new LoopTarget(new IPEndPoint(IPAddress.IPv6Loopback, 3000), "localhost:3000", [4, 5]), ["token"], 10, 1, 2, new ProcessShare(1, 3)))));
        Assert.Equal(new IPEndPoint(IPAddress.IPv6Loopback, 3000), entered.Plan.Target.Address);
        Assert.Equal([4, 5], entered.Plan.Target.Rooms);
        Assert.Equal(new ProcessShare(1, 3), entered.Plan.Share);
        var called = Assert.IsType<CallRequest>(Sent<ClientRequest>(new CallRequest(4, mix)));
        Assert.Equal([3], called.Mix.Next().Request);
    }
}
