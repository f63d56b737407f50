using System.Threading.Channels;
using Chat.Server.Nodes;
using Chat.Storage;
using Chat.TestKit;
using Microsoft.Extensions.Logging.Abstractions;
using StackExchange.Redis;

namespace Chat.Server.Tests.Nodes;

public sealed class NodeBusTests
{
    private const long RoomId = 7;

    private static MessageRecord Record(long seq) => new()
    {
        Id = seq,
        RoomId = RoomId,
        Seq = seq,
        Epoch = 1,
        SenderId = 1,
        SenderName = "Ann",
        Content = "hi"u8.ToArray(),
        CreatedAtUnixMs = 1,
    };

    private static Task<NodeBus> ConnectAsync(RedisServer redis)
    {
        Assert.True(BrokerUrl.TryParse(redis.Url, out ConfigurationOptions options));
        return NodeBus.ConnectAsync(options, "cluster", NullLogger<NodeBus>.Instance);
    }

    /// <summary>A room whose loading failed behind its subscription is subscribed to again by the next who asks for it.</summary>
    [Fact]
    public async Task Who_subscribes_to_a_room_again_is_told_everything_once()
    {
        Assert.SkipWhen(RedisServer.WhyUnavailable is not null, RedisServer.WhyUnavailable ?? "");
        await using RedisServer redis = await RedisServer.StartAsync();
        await using NodeBus here = await ConnectAsync(redis);
        await using NodeBus there = await ConnectAsync(redis);
        var received = Channel.CreateUnbounded<long>();
        for (int i = 0; i < 3; i++)
        {
            await here.SubscribeAsync(RoomId, records => Assert.True(received.Writer.TryWrite(records[0].Seq)));
        }

        here.Unsubscribe(RoomId); // Unloaded, and loaded again.
        await here.SubscribeAsync(RoomId, records => Assert.True(received.Writer.TryWrite(records[0].Seq)));
        for (long seq = 1; seq <= 50; seq++)
        {
            there.Publish([Record(seq)]);
        }

        var seqs = new List<long>();
        while (!seqs.Contains(50))
        {
            seqs.Add(await received.Reader.ReadAsync(TestContext.Current.CancellationToken).AsTask().WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken));
        }

        Assert.Equal(Enumerable.Range(1, 50).Select(static seq => (long)seq), seqs);
    }
}
