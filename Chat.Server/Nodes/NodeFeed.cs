using System.Collections.Concurrent;
using System.Threading.Channels;
using Chat.Server.Rooms;
using Chat.Storage;
using Chat.Storage.Postgres;
using Microsoft.Extensions.Logging;

namespace Chat.Server.Nodes;

/// <summary>
/// Brings what other nodes store into this node's rooms. The bus is quick and may lose; the database has everything, and is asked where a room has a gap, and
/// for the heads of all rooms once a second. So a message is late when Redis is away, and never missing. Any thread, unless it says otherwise.
/// </summary>
internal sealed partial class NodeFeed(PostgresStore store, NodeBus bus, ServerMetrics metrics, TimeProvider time, ILogger<NodeFeed> logger) : IOtherNodes
{
    /// <summary>Between two looks at the heads of all rooms.</summary>
    private static readonly TimeSpan HeadsInterval = TimeSpan.FromSeconds(1);

    /// <summary>What a gap is given to close by itself: packets of two nodes may overtake each other on the way.</summary>
    private static readonly TimeSpan GapPatience = TimeSpan.FromMilliseconds(20);

    private const int MessagesPerRead = 500;

    private readonly ConcurrentDictionary<long, Room> _rooms = new();
    private readonly ConcurrentDictionary<Room, long> _gaps = new(); // And where its head was.
    private readonly Channel<bool> _wakeUps = Channel.CreateBounded<bool>(
        new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite, SingleReader = true });
    private bool _isAllDue;

    private readonly NodePresence _presence = new(time);

    public bool IsBrokerConnected => bus.IsConnected;

    /// <summary>Connections in the room that other nodes have, as of about a second ago.</summary>
    public int ConnectionsElsewhere(long roomId) => _presence.ConnectionsElsewhere(roomId);

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
                bus.Publish(batch[start..end]);
            }

            start = Math.Max(end, start + 1);
        }
    }

    public Task SubscribeAsync(long roomId) => bus.SubscribeAsync(roomId, Receive);

    public void Add(Room room)
    {
        _rooms[room.Id] = room;
        ReadMissing(room);
    }

    public void ReadMissing(Room room)
    {
        if (_gaps.TryAdd(room, room.HeadSeq))
        {
            _wakeUps.Writer.TryWrite(true);
        }
    }

    public async Task CatchUpAsync(Room room, CancellationToken cancellationToken)
    {
        foreach ((_, long lastSeq) in await store.LastSeqsAsync([room.Id], cancellationToken))
        {
            await ReadAsync(room, lastSeq, cancellationToken);
        }
    }

    /// <summary>Until the server stops.</summary>
    public async Task RunAsync(MessageLog log, CancellationToken stopping)
    {
        bus.Restored += ReadAllMissing;
        using ITimer timer = time.CreateTimer(_ => Tick(), null, HeadsInterval, HeadsInterval);
        bool isAway = false;
        try
        {
            await bus.SubscribeAsync(_presence);
            while (await _wakeUps.Reader.WaitToReadAsync(stopping))
            {
                await Task.Delay(GapPatience, time, stopping);
                _wakeUps.Reader.TryRead(out _);
                try
                {
                    await ReadGapsAsync(log, stopping);
                    isAway = false;
                }
                catch (Exception exception) when (exception is not OperationCanceledException)
                {
                    if (!isAway) // Said once; a second later it is tried again.
                    {
                        ReadFailed(logger, exception.Message, exception is StoreUnavailableException ? null : exception);
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
            bus.Restored -= ReadAllMissing;
        }
    }

    private void Tick()
    {
        ReadAllMissing();
        bus.PublishPresence([.. _rooms.Values.Select(static room => (room.Id, room.MemberCount)).Where(static room => room.MemberCount > 0)]);
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
            log.AddMessageIds(await store.NextMessageIdsAsync(stopping));
        }

        List<long> roomIds = TakeGaps();
        if (Interlocked.Exchange(ref _isAllDue, false))
        {
            roomIds = [.. _rooms.Keys];
        }

        if (roomIds.Count > 0)
        {
            foreach ((long roomId, long lastSeq) in await store.LastSeqsAsync(roomIds, stopping))
            {
                await ReadAsync(_rooms[roomId], lastSeq, stopping);
            }
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
        for (long headSeq = -1; room.HeadSeq < lastSeq && room.HeadSeq > headSeq;) // The other way round it would ask for ever for what is not there.
        {
            headSeq = room.HeadSeq;
            IReadOnlyList<MessageRecord> missing =
                await store.ReadMessagesAsync(room.Id, beforeSeq: null, headSeq, MessagesPerRead, cancellationToken);
            foreach (MessageRecord record in missing)
            {
                room.Arrive(record);
            }

            metrics.NodeEventsRead.Add(missing.Count);
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

        metrics.NodeEventsReceived.Add(records.Count);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "What other nodes have stored could not be read, and is tried again: {Reason}")]
    private static partial void ReadFailed(ILogger logger, string reason, Exception? unexpected);
}
