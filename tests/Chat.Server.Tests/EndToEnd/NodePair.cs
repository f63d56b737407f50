using System.Text.Json;
using Chat.TestKit;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>Two servers, one PostgreSQL, one Redis.</summary>
internal sealed class NodePair : IAsyncDisposable
{
    public required RedisServer Redis { get; init; }

    public required RunningServer First { get; init; }

    public required RunningServer Second { get; init; }

    public static string? WhyUnavailable => PostgresCluster.WhyUnavailable ?? RedisServer.WhyUnavailable;

    public static async Task<NodePair> StartAsync(string? database = null)
    {
        Assert.SkipWhen(WhyUnavailable is not null, WhyUnavailable ?? "");
        database ??= await PostgresDatabases.CreateAsync();
        RedisServer redis = await RedisServer.StartAsync();
        ServerLaunch launch = ServerLaunch.Postgres.With("REDIS_URL", redis.Url);
        RunningServer[] nodes = await Task.WhenAll(RunningServer.StartAsync(launch, database), RunningServer.StartAsync(launch, database));
        return new NodePair { Redis = redis, First = nodes[0], Second = nodes[1] };
    }

    /// <summary>A new user in a new room, on both nodes.</summary>
    public async Task<NodeRoom> EnterAsync()
    {
        User user = await First.RegisterAsync();
        long room = await First.CreateRoomAsync(user);
        return new NodeRoom(user, room, await First.EnterAsync(user, room), await Second.EnterAsync(user, room));
    }

    public static async Task SayAsync(ChatSocket socket, int count, string nonces)
    {
        for (int i = 0; i < count; i++)
        {
            await socket.SayAsync($"message {i}", $"{nonces}{i}");
        }
    }

    public static (long Seq, long Id, string Content) Parts(JsonElement message) => (message.Number("seq"), message.Number("id"), message.Text("content"));

    public static async Task<List<(long Seq, long Id, string Content)>> SeenAsync(ChatSocket socket, int count)
    {
        var seen = new List<(long, long, string)>();
        while (seen.Count < count)
        {
            seen.Add(Parts(await socket.SkipToAsync("message")));
        }

        return seen;
    }

    /// <summary>The seqs of acknowledged messages by nonce.</summary>
    public static async Task<Dictionary<string, long>> AcksAsync(ChatSocket socket, int count)
    {
        var acks = new Dictionary<string, long>();
        while (acks.Count < count)
        {
            JsonElement ack = await socket.SkipToAsync("ack");
            acks.Add(ack.Text("nonce"), ack.Number("seq"));
        }

        return acks;
    }

    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(First.DisposeAsync().AsTask(), Second.DisposeAsync().AsTask());
        await Redis.DisposeAsync();
    }
}

/// <summary>A room, and a socket in it on each node.</summary>
internal sealed record NodeRoom(User User, long Id, ChatSocket First, ChatSocket Second) : IDisposable
{
    public void Dispose()
    {
        First.Dispose();
        Second.Dispose();
    }
}

/// <summary>A pair that the tests of a class share.</summary>
public sealed class NodePairFixture : IAsyncLifetime
{
    private NodePair? _nodes;

    /// <summary>The pair; or skips the test that asks.</summary>
    internal NodePair Nodes
    {
        get
        {
            Assert.SkipWhen(NodePair.WhyUnavailable is not null, NodePair.WhyUnavailable ?? "");
            return _nodes!;
        }
    }

    public async ValueTask InitializeAsync() => _nodes = NodePair.WhyUnavailable is null ? await NodePair.StartAsync() : null;

    public async ValueTask DisposeAsync()
    {
        if (_nodes is not null)
        {
            await _nodes.DisposeAsync();
        }
    }
}
