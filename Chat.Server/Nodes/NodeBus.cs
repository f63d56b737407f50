using System.Collections.Concurrent;
using Chat.Storage;
using Microsoft.Extensions.Logging;
using StackExchange.Redis;

namespace Chat.Server.Nodes;

/// <summary>
/// Tells the other nodes what this one has stored, by Redis's publish and subscribe: a channel for each room, which those nodes listen to that have loaded it.
/// At most once: what is lost while Redis or the way to it is away, <see cref="NodeFeed"/> reads from the database. Any thread.
/// </summary>
internal sealed partial class NodeBus : IAsyncDisposable
{
    private static readonly TimeSpan SubscribePatience = TimeSpan.FromMilliseconds(250);

    private readonly ConnectionMultiplexer _redis;
    private readonly ISubscriber _subscriber;
    private readonly string _prefix;
    private readonly RedisChannel _presenceChannel;
    private readonly long _node = Random.Shared.NextInt64();
    private readonly ILogger<NodeBus> _logger;
    private readonly ConcurrentDictionary<long, Lazy<Task<ChannelMessageQueue>>> _rooms = new();
    private int _isAway;

    private NodeBus(ConnectionMultiplexer redis, string cluster, ILogger<NodeBus> logger)
    {
        _redis = redis;
        _subscriber = redis.GetSubscriber();
        _prefix = $"chat:{cluster}:room:";
        _presenceChannel = RedisChannel.Literal($"chat:{cluster}:presence");
        _logger = logger;
        redis.ConnectionFailed += (_, failure) => NoteAway(failure.FailureType.ToString());
        redis.ConnectionRestored += (_, _) => NoteConnected();
        if (!IsConnected)
        {
            NoteAway("no connection");
        }
    }

    /// <summary>The connection to Redis is there again: what was told meanwhile has been lost. Any thread.</summary>
    public event Action? Restored;

    public bool IsConnected => _redis.IsConnected;

    /// <param name="options">From <see cref="BrokerUrl"/>.</param>
    /// <param name="cluster">Nodes of another database may use the same Redis; they have another.</param>
    /// <param name="logger">A line when Redis goes, and when it comes.</param>
    public static async Task<NodeBus> ConnectAsync(ConfigurationOptions options, string cluster, ILogger<NodeBus> logger) =>
        new(await ConnectionMultiplexer.ConnectAsync(options), cluster, logger);

    /// <summary>Returns at once; whether anybody has heard it is not known.</summary>
    /// <param name="records">Durable, of one room.</param>
    public void Publish(ReadOnlySpan<MessageRecord> records)
    {
        if (IsConnected)
        {
            Publish(Channel(records[0].RoomId), NodeEvents.Write(_node, records));
        }
    }

    /// <summary>Likewise, how many connections this node has in its rooms; without those that have none.</summary>
    public void PublishPresence(IReadOnlyCollection<(long RoomId, int Connections)> rooms)
    {
        if (IsConnected)
        {
            Publish(_presenceChannel, NodePresence.Write(_node, rooms));
        }
    }

    /// <summary>
    /// From now on <paramref name="receive"/> is given what other nodes store in the room, one call at a time. When Redis is away, from when it
    /// is back. Once for each room: who asks again, because loading it failed, has the subscription there is.
    /// </summary>
    public async Task SubscribeAsync(long roomId, Action<IReadOnlyList<MessageRecord>> receive)
    {
        Lazy<Task<ChannelMessageQueue>> entry =
            _rooms.GetOrAdd(roomId, id => new Lazy<Task<ChannelMessageQueue>>(() => ListenToRoomAsync(id, receive)));
        await BeSubscribedAsync(entry.Value);
        if (entry.Value.IsFaulted)
        {
            _rooms.TryRemove(KeyValuePair.Create(roomId, entry));
        }
    }

    /// <summary>Ends that, soon. Returns at once.</summary>
    public void Unsubscribe(long roomId)
    {
        if (_rooms.TryRemove(roomId, out Lazy<Task<ChannelMessageQueue>>? entry))
        {
            _ = EndAsync(entry.Value);
        }

        static async Task EndAsync(Task<ChannelMessageQueue> listening)
        {
            try
            {
                await (await listening).UnsubscribeAsync(CommandFlags.FireAndForget);
            }
            catch (Exception exception) when (exception is RedisException or TimeoutException or ObjectDisposedException)
            {
                // There is no subscription, or no connection that has it.
            }
        }
    }

    private Task<ChannelMessageQueue> ListenToRoomAsync(long roomId, Action<IReadOnlyList<MessageRecord>> receive) => ListenAsync(Channel(roomId), packet =>
    {
        if (!NodeEvents.TryRead(packet, _node, out long of, out List<MessageRecord> records) || (records.Count > 0 && of != roomId))
        {
            return false;
        }

        if (records.Count > 0)
        {
            receive(records);
        }

        return true;
    });

    public Task SubscribeAsync(NodePresence presence) => BeSubscribedAsync(ListenAsync(_presenceChannel, packet => presence.TryReceive(packet, _node)));

    public ValueTask DisposeAsync() => _redis.DisposeAsync();

    private void Publish(RedisChannel channel, byte[] packet)
    {
        try
        {
            _ = _subscriber.PublishAsync(channel, packet, CommandFlags.FireAndForget);
        }
        catch (Exception exception) when (exception is RedisException or TimeoutException or ObjectDisposedException)
        {
            // The connection broke just now, of which the log is told; or the server has stopped.
        }
    }

    /// <summary>Waits for Redis, but not long: who subscribes looks into the database afterwards.</summary>
    private static async Task BeSubscribedAsync(Task listening) => await Task.WhenAny(listening, Task.Delay(SubscribePatience));

    private async Task<ChannelMessageQueue> ListenAsync(RedisChannel channel, Func<byte[], bool> tryReceive)
    {
        ChannelMessageQueue queue;
        try
        {
            // Not waited for while Redis is away: the multiplexer knows of it, and subscribes as soon as it connects.
            queue = await _subscriber.SubscribeAsync(channel, IsConnected ? CommandFlags.None : CommandFlags.FireAndForget);
        }
        catch (Exception exception) when (exception is RedisException or TimeoutException)
        {
            queue = await _subscriber.SubscribeAsync(channel, CommandFlags.FireAndForget);
        }

        queue.OnMessage(message =>
        {
            if (!tryReceive((byte[])message.Message!))
            {
                PacketRefused(_logger, channel.ToString());
            }
        });
        return queue;
    }

    private RedisChannel Channel(long roomId) => RedisChannel.Literal($"{_prefix}{roomId}");

    private void NoteAway(string reason)
    {
        if (!IsConnected && Interlocked.Exchange(ref _isAway, 1) == 0)
        {
            BrokerAway(_logger, reason);
        }
    }

    private void NoteConnected()
    {
        if (IsConnected && Interlocked.Exchange(ref _isAway, 0) == 1)
        {
            BrokerBack(_logger);
        }

        Restored?.Invoke();
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Redis is away ({Reason}): messages from other nodes come up to a second late")]
    private static partial void BrokerAway(ILogger logger, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "Redis is back")]
    private static partial void BrokerBack(ILogger logger);

    [LoggerMessage(Level = LogLevel.Warning, Message = "A packet on Redis's channel {Channel} is not one of this version's nodes; it is ignored")]
    private static partial void PacketRefused(ILogger logger, string channel);
}
