using Chat.Storage;

namespace Chat.Server.Rooms;

/// <summary>What a nonce says about a message.</summary>
internal enum NonceStatus
{
    /// <summary>Not seen in the window: publish the message.</summary>
    New,

    /// <summary>The original has not been committed yet; the publisher is told together with the original's.</summary>
    Pending,

    /// <summary>The original is committed; acknowledge it again.</summary>
    Committed,
}

/// <summary>
/// The nonces of one room's recent messages, so that a message sent again is acknowledged again instead of being seen
/// twice. A nonce counts from its commit, whose acknowledgement may be lost: by age and by number, the oldest go first. Those that are still
/// on their way to the store are bounded by the log, and stay whatever their age.
/// <para>Any thread. Guarded by a lock that is held for a dictionary access.</para>
/// </summary>
internal sealed class NonceWindow(int windowMs, int countMax)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<(long SenderId, string Nonce), Entry> _entries = [];
    private readonly Queue<Entry> _committed = new();

    /// <summary>Nonces known now, of committed messages and of those on their way.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _entries.Count;
            }
        }
    }

    /// <summary>
    /// Takes the nonce for a new message, or finds its original. <paramref name="seq"/> and <paramref name="id"/> are
    /// the original's when it is committed.
    /// </summary>
    public NonceStatus Begin(long senderId, string nonce, IPublisher publisher, long nowMs, out long seq, out long id)
    {
        lock (_lock)
        {
            Evict(nowMs);
            if (!_entries.TryGetValue((senderId, nonce), out Entry? entry))
            {
                _entries.Add((senderId, nonce), new Entry(senderId, nonce));
                seq = id = 0;
                return NonceStatus.New;
            }

            seq = entry.Seq;
            id = entry.Id;
            if (entry.Seq != 0)
            {
                return NonceStatus.Committed;
            }

            entry.Waiting ??= [];
            if (!entry.Waiting.Contains(publisher)) // One that sends again and again is told once.
            {
                entry.Waiting.Add(publisher);
            }

            return NonceStatus.Pending;
        }
    }

    /// <summary>The message is durable. Returns who else waits for it, or null.</summary>
    public List<IPublisher>? Commit(MessageRecord record, long nowMs)
    {
        lock (_lock)
        {
            if (!_entries.TryGetValue((record.SenderId, record.Nonce!), out Entry? entry))
            {
                return null;
            }

            List<IPublisher>? waiting = entry.Waiting;
            entry.Waiting = null;
            Keep(entry, record, nowMs);
            Evict(nowMs);
            return waiting;
        }
    }

    /// <summary>
    /// Another node has made the message durable. One that is on its way from here with the same nonce stays: its commit will find the other.
    /// </summary>
    public void Observe(MessageRecord record, long nowMs)
    {
        lock (_lock)
        {
            var entry = new Entry(record.SenderId, record.Nonce!);
            if (_entries.TryAdd((record.SenderId, record.Nonce!), entry))
            {
                Keep(entry, record, nowMs);
                Evict(nowMs);
            }
        }
    }

    /// <summary>The message will never be durable: the nonce is free again. Returns who else waits for it, or null.</summary>
    public List<IPublisher>? Forget(long senderId, string nonce)
    {
        lock (_lock)
        {
            return _entries.Remove((senderId, nonce), out Entry? entry) ? entry.Waiting : null;
        }
    }

    /// <summary>Fills the window with what the store holds, before the room serves anybody.</summary>
    /// <param name="records">Ascending by seq.</param>
    /// <param name="nowMs">Now, on the clock given to <see cref="Begin"/>.</param>
    public void Warm(IEnumerable<MessageRecord> records, long nowMs)
    {
        lock (_lock)
        {
            foreach (MessageRecord record in records)
            {
                if (record.Nonce is { Length: > 0 } nonce)
                {
                    var entry = new Entry(record.SenderId, nonce);
                    _entries[(record.SenderId, nonce)] = entry; // The newest: an older one had left the window when it was taken again.
                    Keep(entry, record, nowMs);
                }
            }

            Evict(nowMs);
        }
    }

    /// <summary>Lets go of what is too old, and of the memory when that was all: a room that has fallen silent begins nothing.</summary>
    public void Sweep(long nowMs)
    {
        lock (_lock)
        {
            Evict(nowMs);
            if (_entries.Count == 0)
            {
                _entries.TrimExcess();
                _committed.TrimExcess();
            }
        }
    }

    private void Keep(Entry entry, MessageRecord record, long nowMs)
    {
        entry.Seq = record.Seq;
        entry.Id = record.Id;
        entry.CommittedMs = nowMs;
        _committed.Enqueue(entry);
    }

    private void Evict(long nowMs)
    {
        while (_committed.TryPeek(out Entry? oldest) && (nowMs - oldest.CommittedMs > windowMs || _committed.Count > countMax))
        {
            _committed.Dequeue();
            if (_entries.TryGetValue((oldest.SenderId, oldest.Nonce), out Entry? current) && current == oldest)
            {
                _entries.Remove((oldest.SenderId, oldest.Nonce));
            }
        }
    }

    private sealed class Entry(long senderId, string nonce)
    {
        public long SenderId { get; } = senderId;

        public string Nonce { get; } = nonce;

        public long CommittedMs { get; set; }

        /// <summary>0 until the message is committed.</summary>
        public long Seq { get; set; }

        public long Id { get; set; }

        public List<IPublisher>? Waiting { get; set; }
    }
}
