namespace Chat.Storage.Sqlite;

/// <summary>
/// The messages that are durable and not yet in <c>message_runs</c>: for each room, the newest. Rows of <c>messages</c> lie in the order
/// of their commits, so a batch is a few pages of its own; in the index each busy room has its own last page, which would be written
/// with every batch. Here they wait until a run is full or some seconds are over, and the next batch takes them along. A crash loses
/// nothing: the rows are in <c>messages</c>, and <see cref="MessageRuns.AddAll"/> begins every session.
/// </summary>
/// <remarks>Changed by whoever holds <see cref="SqliteConnections.WriteGate"/>, read by any thread.</remarks>
internal sealed class IndexBacklog(TimeProvider time)
{
    /// <summary>
    /// Of the rooms that wait, a batch takes at most this part because they are full, and this part because of their age. Rooms that came
    /// together would otherwise leave together, and make one commit in some seconds a long one.
    /// </summary>
    private const int DuePart = 16;

    private static readonly TimeSpan AgeMax = TimeSpan.FromSeconds(4);

    private readonly Lock _lock = new();
    private readonly Dictionary<long, Room> _rooms = [];

    /// <summary>By the age of their first message here. A room that left because it was full stays until it comes to the front.</summary>
    private readonly Queue<Room> _byAge = new();

    /// <summary>Those with a whole run, by the time at which they had it.</summary>
    private readonly Queue<Room> _full = new();
    private long _markedAt;

    /// <summary>A room's newest messages, from <see cref="FirstSeq"/> on without holes.</summary>
    internal sealed class Room(long id, long firstSeq, long since)
    {
        internal long Id => id;

        internal long FirstSeq => firstSeq;

        internal long LastSeq => firstSeq + MessageIds.Count - 1;

        /// <summary>A timestamp of the time provider.</summary>
        internal long Since => since;

        internal List<long> MessageIds { get; } = [];

        internal long MessageIdMin { get; set; } = long.MaxValue;

        internal bool IsIndexed { get; set; }
    }

    /// <summary>
    /// Which messages a page holds, and the ids of its newest, as many as are here. To be asked before the index: what moves in between is then in
    /// both, and not in neither.
    /// </summary>
    /// <returns>False when the room has nothing here: where it ends, the index says.</returns>
    internal bool TryRead(long roomId, PageQuery query, out SeqRange page, out long[] newest)
    {
        lock (_lock)
        {
            if (!_rooms.TryGetValue(roomId, out var room))
            {
                page = default;
                newest = [];
                return false;
            }
            page = query.In(room.LastSeq);
            var first = Math.Max(page.First, room.FirstSeq);
            newest = page.Last < first ? [] : [.. room.MessageIds.GetRange((int)(first - room.FirstSeq), (int)(page.Last - first + 1))];
            return true;
        }
    }

    /// <summary>The rooms whose messages the next transaction should put into the index. They stay until <see cref="Committed"/>.</summary>
    internal List<Room> Due()
    {
        var due = new List<Room>();
        var partMax = Math.Max(1, _rooms.Count / DuePart);
        foreach (var room in _full)
        {
            if (due.Count == partMax)
                break;
            if (!room.IsIndexed)
                due.Add(room);
        }
        // Beside the full ones, not after them: a busy room has a run for every batch.
        var dueMax = due.Count + partMax;
        foreach (var room in _byAge)
        {
            if (due.Count == dueMax || time.GetElapsedTime(room.Since) < AgeMax)
                break;
            if (!room.IsIndexed && room.MessageIds.Count < MessageRuns.MessagesMax)
                due.Add(room);
        }
        return due;
    }

    /// <summary>
    /// What <c>server_state.unindexed_from</c> is to be once <paramref name="due"/> is in the index and the batch is not: not above the id of any
    /// message that waits. It is lowered at once when an id comes late, and raised every few seconds: a session that begins looks at a few
    /// seconds' messages more, and the commits in between do not write its page.
    /// </summary>
    internal long NextUnindexedFrom(long current, List<Room> due, ReadOnlySpan<MessageRecord> batch)
    {
        var from = current;
        if (time.GetElapsedTime(_markedAt) >= AgeMax)
        {
            from = _rooms.Values.Except(due).Select(static room => room.MessageIdMin).DefaultIfEmpty(long.MaxValue).Min();
            _markedAt = time.GetTimestamp();
        }
        foreach (var record in batch)
            from = Math.Min(from, record.Id);
        return from;
    }

    /// <summary>The transaction has committed that put <paramref name="due"/> into the index and the batch into <c>messages</c>.</summary>
    internal void Committed(List<Room> due, ReadOnlySpan<MessageRecord> batch)
    {
        lock (_lock)
        {
            foreach (var room in due)
            {
                room.IsIndexed = true;
                _rooms.Remove(room.Id);
            }
            DropIndexed(_full);
            DropIndexed(_byAge);
            Add(batch);
        }
    }

    /// <summary>All messages are in the index.</summary>
    internal void Clear()
    {
        lock (_lock)
        {
            _rooms.Clear();
            _byAge.Clear();
            _full.Clear();
        }
    }

    private void Add(ReadOnlySpan<MessageRecord> batch)
    {
        Room? room = null;
        foreach (var record in batch)
        {
            if (room?.Id != record.RoomId && !_rooms.TryGetValue(record.RoomId, out room))
            {
                room = new Room(record.RoomId, record.Seq, time.GetTimestamp());
                _rooms.Add(room.Id, room);
                _byAge.Enqueue(room);
            }
            // The transaction has raised rooms.last_seq from the seq before.
            Invariant.Require(record.Seq == room.LastSeq + 1);
            room.MessageIds.Add(record.Id);
            room.MessageIdMin = Math.Min(room.MessageIdMin, record.Id);
            if (room.MessageIds.Count == MessageRuns.MessagesMax)
                _full.Enqueue(room);
        }
    }

    private static void DropIndexed(Queue<Room> rooms)
    {
        while (rooms.TryPeek(out var first) && first.IsIndexed)
            rooms.Dequeue();
    }
}
