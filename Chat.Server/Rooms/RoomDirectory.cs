using System.Collections.Concurrent;
using Chat.Storage;

namespace Chat.Server.Rooms;

/// <summary>
/// The rooms of this server. A room is read from the store when somebody first asks for it and kept until nobody has needed it for a while; concurrent askers
/// share one read. Any thread; on a shard's, nothing is done there that asks the database.
/// </summary>
internal sealed class RoomDirectory(IChatStore store, RoomServices services)
{
    /// <summary>Newest messages that are always read to warm the nonce window, however old: after a long stop their senders come back with them.</summary>
    private const int WarmMessagesMin = 200;

    /// <summary>Read at a time when a busy room's window reaches further back.</summary>
    private const int WarmMessagesPerRead = 2_000;

    private readonly ConcurrentDictionary<long, Lazy<Task<Room?>>> _rooms = new();

    /// <summary>The room if it has been loaded. Does not wait.</summary>
    public Room? FindLoaded(long roomId) =>
        _rooms.TryGetValue(roomId, out Lazy<Task<Room?>>? entry) && entry.IsValueCreated && entry.Value.IsCompletedSuccessfully
            ? entry.Value.Result
            : null;

    /// <summary>The room, or null when there is none.</summary>
    /// <exception cref="StoreUnavailableException">The database cannot be reached now.</exception>
    public async ValueTask<Room?> FindAsync(long roomId, CancellationToken cancellationToken)
    {
        Lazy<Task<Room?>> entry = _rooms.GetOrAdd(roomId, id => new Lazy<Task<Room?>>(() => LoadAsync(id)));
        try
        {
            Room? room = await entry.Value.WaitAsync(cancellationToken);
            if (room is null)
            {
                _rooms.TryRemove(KeyValuePair.Create(roomId, entry)); // Unknown ids are a stranger's choice: keep none.
            }

            room?.Touch();
            return room;
        }
        catch (Exception) when (entry.Value.IsFaulted || entry.Value.IsCanceled)
        {
            _rooms.TryRemove(KeyValuePair.Create(roomId, entry)); // The next asker tries again.
            throw;
        }
    }

    /// <summary>Rooms loaded, being loaded, and looked for in vain; for tests.</summary>
    public int Count => _rooms.Count;

    /// <summary>Loaded rooms, in no order.</summary>
    public IEnumerable<Room> Loaded
    {
        get
        {
            foreach (KeyValuePair<long, Lazy<Task<Room?>>> entry in _rooms)
            {
                if (FindLoaded(entry.Key) is { } room)
                {
                    yield return room;
                }
            }
        }
    }

    /// <summary>Gives back what quiet rooms hold, and unloads those that nobody needs. Any thread, one at a time, now and then.</summary>
    /// <param name="nowMs">Of the rooms' clock.</param>
    /// <param name="quietMs">Without a message.</param>
    /// <param name="unusedMs">Without a member, a message or a question.</param>
    public void Sweep(long nowMs, int quietMs, int unusedMs)
    {
        foreach (KeyValuePair<long, Lazy<Task<Room?>>> entry in _rooms)
        {
            if (!entry.Value.IsValueCreated || !entry.Value.Value.IsCompleted)
            {
                continue; // It is being loaded.
            }

            Room? room = entry.Value.Value.IsCompletedSuccessfully ? entry.Value.Value.Result : null;
            if (room is null)
            {
                _rooms.TryRemove(entry); // No such room, or no answer, and who asked for it has not waited to remove that.
                continue;
            }

            room.Sweep(nowMs, quietMs);
            if (room.TryRetire(nowMs, unusedMs))
            {
                services.Nodes?.Remove(room); // Before it can be loaded again.
                _rooms.TryRemove(entry);
            }
        }
    }

    /// <summary>The message log's word that a batch is durable. The log's thread.</summary>
    public void Committed(ReadOnlyMemory<MessageRecord> batch)
    {
        services.Nodes?.Publish(batch.Span);
        foreach (MessageRecord record in batch.Span)
        {
            FindLoaded(record.RoomId)!.Committed(record);
        }
    }

    /// <summary>The message log's word that it gives one message up. The log's thread.</summary>
    public void Failed(MessageRecord record, AppendFailure failure) => FindLoaded(record.RoomId)!.Failed(record, failure switch
    {
        AppendFailure.UnknownSender => ErrorCode.UnknownUser,
        AppendFailure.InvalidRow or AppendFailure.UnknownRoom => ErrorCode.NotStored,
        _ => ErrorCode.Unavailable, // The server stops; whether the message is durable is not known, and sending it again finds out.
    });

    private async Task<Room?> LoadAsync(long roomId)
    {
        RoomRecord? record = await store.FindRoomAsync(roomId, CancellationToken.None);
        if (record is null)
        {
            return null;
        }

        // Before its seq is read: what comes later is told.
        await (services.Nodes?.SubscribeAsync(roomId) ?? Task.CompletedTask);
        long lastSeq = await store.LastSeqAsync(roomId, CancellationToken.None);
        var room = new Room(record, lastSeq, services, await ReadRecentAsync(roomId));
        services.Nodes?.Add(room);
        return room;
    }

    /// <summary>
    /// The newest messages, ascending: as many as the nonce window holds, of its time. When the server died, batches of thousands may have
    /// been durable whose acknowledgements never went out; all of that is sent again. The window is counted from the newest
    /// message, not from now: a server that was down for an hour must still know what it was sent before.
    /// </summary>
    private async Task<List<MessageRecord>> ReadRecentAsync(long roomId)
    {
        var recent = new List<MessageRecord>(
            await store.ReadMessagesAsync(roomId, beforeSeq: null, afterSeq: null, Math.Min(WarmMessagesMin, services.NoncesPerRoomMax), CancellationToken.None));
        bool hasMore = recent.Count == WarmMessagesMin;
        while (hasMore
            && recent.Count < services.NoncesPerRoomMax
            && recent[^1].CreatedAtUnixMs - recent[0].CreatedAtUnixMs < services.NonceWindowMs)
        {
            int count = Math.Min(WarmMessagesPerRead, services.NoncesPerRoomMax - recent.Count);
            IReadOnlyList<MessageRecord> older =
                await store.ReadMessagesAsync(roomId, recent[0].Seq, afterSeq: null, count, CancellationToken.None);
            recent.InsertRange(0, older.Select(WithoutContent));
            hasMore = older.Count == count;
        }

        return recent;
    }

    /// <summary>Thousands of long messages would be kept for the sake of their nonces.</summary>
    private static MessageRecord WithoutContent(MessageRecord record) => new()
    {
        Id = record.Id,
        RoomId = record.RoomId,
        Seq = record.Seq,
        Epoch = record.Epoch,
        SenderId = record.SenderId,
        SenderName = record.SenderName,
        Nonce = record.Nonce,
        Content = default,
        CreatedAtUnixMs = record.CreatedAtUnixMs,
    };
}
