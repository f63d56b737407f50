using System.Collections.Concurrent;
using System.Threading.Channels;
using Chat.Protocol;
using Chat.Server.Rooms;
using Chat.Storage;
using Chat.Storage.Postgres;
using Microsoft.Extensions.Logging;
using StackExchange.Redis;

namespace Chat.Server.Nodes;

/// <summary>
/// Brings what other nodes store into this node's rooms. The bus is quick and may lose; the database has everything, and is asked where a room has a gap, and
/// for the heads of all rooms once a second. So a message is late when Redis is away, and never missing. Any thread, unless it says otherwise.
/// </summary>
internal sealed partial class NodeFeed : IOtherNodes, IAsyncDisposable
{
    /// <summary>Between two looks at the heads of all rooms.</summary>
    private static readonly TimeSpan HeadsInterval = TimeSpan.FromSeconds(1);

    /// <summary>What a gap is given to close by itself: packets of two nodes may overtake each other on the way.</summary>
    private static readonly TimeSpan GapPatience = TimeSpan.FromMilliseconds(20);

    private const int MessagesPerRead = 100;

    /// <summary>Rooms that are read at a time: some of the store's connections.</summary>
    private const int RoomsAtATime = 4;

    /// <summary>
    /// What a room is given of what it lacks: 16 MB/s. All at once it would be more than its members' sockets and backlogs hold, and they would be closed as slow.
    /// </summary>
    private const int BytesPerMs = 16 * 1024;

    private readonly PostgresStore _store;
    private readonly NodeBus _bus;
    private readonly NodePresence _presence;
    private readonly ServerMetrics _metrics;
    private readonly TimeProvider _time;
    private readonly ILogger<NodeFeed> _logger;
    private readonly ConcurrentDictionary<long, Room> _rooms = new();
    private readonly ConcurrentDictionary<Room, long> _gaps = new(); // And where its head was.
    private readonly Channel<bool> _wakeUps = Channel.CreateBounded<bool>(
        new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite, SingleReader = true });
    private readonly SemaphoreSlim _catchingUp = new(RoomsAtATime);
    private bool _isAllDue;

    private NodeFeed(PostgresStore store, NodeBus bus, ServerMetrics metrics, TimeProvider time, ILogger<NodeFeed> logger)
    {
        _store = store;
        _bus = bus;
        _presence = new NodePresence(time);
        _metrics = metrics;
        _time = time;
        _logger = logger;
    }

    public bool IsBrokerConnected => _bus.IsConnected;

    /// <summary>Connections in the room that other nodes have, as of about a second ago.</summary>
    public int ConnectionsElsewhere(long roomId) => _presence.ConnectionsElsewhere(roomId);

    /// <summary>Also when Redis does not answer, which is then waited for while the server serves.</summary>
    /// <param name="redisUrl">That <see cref="BrokerUrl"/> can read.</param>
    /// <param name="store">With a shared session. Outlives the feed.</param>
    /// <param name="metrics">Where it counts.</param>
    /// <param name="time">For its waits.</param>
    /// <param name="loggers">For what it cannot do.</param>
    public static async Task<NodeFeed> ConnectAsync(
        string redisUrl, PostgresStore store, ServerMetrics metrics, TimeProvider time, ILoggerFactory loggers)
    {
        bool isUrl = BrokerUrl.TryParse(redisUrl, out ConfigurationOptions options);
        Invariant.Require(isUrl);
        string cluster = await store.ClusterAsync(CancellationToken.None);
        NodeBus bus = await NodeBus.ConnectAsync(options, cluster, loggers.CreateLogger<NodeBus>());
        return new NodeFeed(store, bus, metrics, time, loggers.CreateLogger<NodeFeed>());
    }

    public void Publish(ReadOnlySpan<MessageRecord> batch)
    {
        for (int start = 0; start < batch.Length;)
        {
            int end = start;
            while (end < batch.Length && batch[end].RoomId == batch[start].RoomId && !batch[end].IsDuplicate)
            {
                end++;
            }

            if (end > start)
            {
                _bus.Publish(batch[start..end]);
            }

            start = Math.Max(end, start + 1);
        }
    }

    public Task SubscribeAsync(long roomId) => _bus.SubscribeAsync(roomId, Receive);

    public void Add(Room room)
    {
        _rooms[room.Id] = room;
        ReadMissing(room);
    }

    public void Remove(Room room)
    {
        _bus.Unsubscribe(room.Id);
        _rooms.TryRemove(KeyValuePair.Create(room.Id, room));
        _gaps.TryRemove(room, out _);
    }

    public void ReadMissing(Room room)
    {
        if (_gaps.TryAdd(room, room.HeadSeq))
        {
            _wakeUps.Writer.TryWrite(true);
        }
    }

    public async Task CatchUpAsync(Room room, long seenSeq, CancellationToken cancellationToken)
    {
        await _catchingUp.WaitAsync(cancellationToken);
        try
        {
            if (room.HeadSeq >= seenSeq)
            {
                return; // Others who came at the same time have waited for it.
            }

            foreach ((_, long lastSeq) in await _store.LastSeqsAsync([room.Id], cancellationToken))
            {
                await ReadAsync(room, lastSeq, cancellationToken);
            }
        }
        finally
        {
            _catchingUp.Release();
        }
    }

    /// <summary>Until the server stops.</summary>
    public async Task RunAsync(MessageLog log, CancellationToken stopping)
    {
        _bus.Restored += ReadAllMissing;
        using ITimer timer = _time.CreateTimer(_ => Tick(), null, HeadsInterval, HeadsInterval);
        bool isListening = false;
        bool isAway = false;
        try
        {
            while (await _wakeUps.Reader.WaitToReadAsync(stopping))
            {
                await Task.Delay(GapPatience, _time, stopping);
                _wakeUps.Reader.TryRead(out _);
                try
                {
                    await ReadGapsAsync(log, stopping);
                    isAway = false;
                    if (!isListening)
                    {
                        await _bus.SubscribeAsync(_presence);
                        isListening = true;
                    }
                }
                catch (Exception exception) when (exception is not OperationCanceledException)
                {
                    if (!isAway) // Said once; a second later it is tried again.
                    {
                        ReadFailed(_logger, exception.Message, exception is StoreUnavailableException ? null : exception);
                        isAway = true;
                    }
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The server stops.
        }
        finally
        {
            _bus.Restored -= ReadAllMissing;
        }
    }

    public ValueTask DisposeAsync() => _bus.DisposeAsync();

    private void Tick()
    {
        ReadAllMissing();
        _bus.PublishPresence([.. _rooms.Values.Select(static room => (room.Id, room.MemberCount)).Where(static room => room.MemberCount > 0)]);
        _presence.Sweep();
    }

    private void ReadAllMissing()
    {
        Volatile.Write(ref _isAllDue, true);
        _wakeUps.Writer.TryWrite(true);
    }

    private async Task ReadGapsAsync(MessageLog log, CancellationToken stopping)
    {
        if (log.NeedsMessageIds)
        {
            log.AddMessageIds(await _store.NextMessageIdsAsync(stopping));
        }

        List<long> roomIds = TakeGaps();
        if (Interlocked.Exchange(ref _isAllDue, false))
        {
            roomIds = [.. _rooms.Keys];
        }

        if (roomIds.Count > 0)
        {
            await Parallel.ForEachAsync(
                await _store.LastSeqsAsync(roomIds, stopping),
                new ParallelOptions { MaxDegreeOfParallelism = RoomsAtATime, CancellationToken = stopping },
                async (head, cancellationToken) =>
                {
                    if (_rooms.TryGetValue(head.RoomId, out Room? room)) // It may have been unloaded meanwhile.
                    {
                        await ReadAsync(room, head.LastSeq, cancellationToken);
                    }
                });
        }
    }

    /// <summary>The rooms whose gap has not closed by itself. In a room to which several nodes write there is always one, and mostly another.</summary>
    private List<long> TakeGaps()
    {
        var roomIds = new List<long>();
        foreach ((Room room, long headSeq) in _gaps)
        {
            _gaps.TryRemove(room, out _); // Before the look: what is missing afterwards is noted again.
            if (room.HeadSeq == headSeq)
            {
                roomIds.Add(room.Id);
            }
            else if (room.HasGap)
            {
                ReadMissing(room);
            }
        }

        return roomIds;
    }

    private async Task ReadAsync(Room room, long lastSeq, CancellationToken cancellationToken)
    {
        for (long headSeq = -1; room.HeadSeq < lastSeq && room.HeadSeq > headSeq;) // Without the second it would ask for ever for what is not there.
        {
            headSeq = room.HeadSeq;
            IReadOnlyList<MessageRecord> missing =
                await _store.ReadMessagesAsync(room.Id, beforeSeq: null, headSeq, MessagesPerRead, cancellationToken);
            int bytes = 0;
            foreach (MessageRecord record in missing)
            {
                room.Arrive(record);
                bytes += record.Content.Length;
            }

            _metrics.NodeEventsRead.Add(missing.Count);
            if (room.HeadSeq < lastSeq)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(bytes / BytesPerMs), _time, cancellationToken);
            }
        }
    }

    /// <summary>The bus, one packet of a room at a time.</summary>
    private void Receive(IReadOnlyList<MessageRecord> records)
    {
        if (!_rooms.TryGetValue(records[0].RoomId, out Room? room))
        {
            return; // It is being loaded, and looked at as soon as it is there.
        }

        foreach (MessageRecord record in records)
        {
            room.Arrive(record);
        }

        _metrics.NodeEventsReceived.Add(records.Count);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "What other nodes have stored could not be read, and is tried again: {Reason}")]
    private static partial void ReadFailed(ILogger logger, string reason, Exception? unexpected);
}
