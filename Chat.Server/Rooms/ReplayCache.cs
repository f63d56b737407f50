using System.Buffers;
using System.Text;
using Chat.Protocol;
using Chat.Protocol.Messages;
using Chat.Protocol.WebSocket;
using Chat.Storage;

namespace Chat.Server.Rooms;

/// <summary>
/// Reads what clients missed from history, and keeps it for a moment: after a restart all members of a room come back at once, with the same last
/// seq, and one query serves them all. Whoever asks while a read is on its way gets that one's result; whoever needs more goes on where it ends.
/// <para>
/// What is kept never changes: an event of this epoch has its bytes for good, unless it is refused, and an older epoch its end. Any thread, but not a shard's: it awaits the database.
/// </para>
/// </summary>
internal sealed class ReplayCache(MessageLog log, IChatStore store, TimeProvider time)
{
    /// <summary>Longer than a thousand clients need to come back, shorter than anybody minds the memory.</summary>
    private const int KeptMs = 5_000;

    /// <summary>Framed events of all rooms together that may be kept; beyond it the oldest go, and cost another query when asked for.</summary>
    private const int KeptBytesMax = 16 * 1024 * 1024;

    private readonly Lock _lock = new();
    private readonly Dictionary<Key, Entry> _entries = [];
    private readonly Queue<Entry> _byAge = new();
    private long _keptBytes;

    /// <summary>
    /// The framed events (<paramref name="since"/>, <paramref name="upTo"/>], all of them; null when they take more than
    /// <paramref name="bytesMax"/>. The memory is shared: read only.
    /// </summary>
    /// <exception cref="StoreUnavailableException">The database cannot be reached now.</exception>
    public async Task<ReadOnlyMemory<byte>?> ReadAsync(Room room, long since, long upTo, int eventsMax, int bytesMax)
    {
        Invariant.Require(upTo - since <= eventsMax);
        ReadOnlyMemory<byte> frames = default;
        while (since < upTo)
        {
            long start = since;
            var segment = (Segment)await GetAsync(
                new Key(room.Id, since, null, room.LastRefusedSeq), () => ReadSegmentAsync(room, start, Math.Min(room.HeadSeq, start + eventsMax), bytesMax));
            long end = Math.Min(upTo, since + segment.Ends.Length);
            ReadOnlyMemory<byte> part = segment.Frames.AsMemory(0, segment.Ends[end - since - 1]);
            if (frames.Length + part.Length > bytesMax)
            {
                return null;
            }

            frames = frames.IsEmpty ? part : (byte[])[.. frames.Span, .. part.Span];
            since = end;
        }

        return frames;
    }

    /// <summary>The last durable seq of the room up to an epoch that is over.</summary>
    /// <exception cref="StoreUnavailableException">The database cannot be reached now.</exception>
    public async Task<long> LastSeqUpToEpochAsync(Room room, int epoch)
    {
        Invariant.Require(epoch < room.Epoch);
        return (long)await GetAsync(
            new Key(room.Id, null, epoch, 0), async () => await store.LastSeqUpToEpochAsync(room.Id, epoch, CancellationToken.None));
    }

    /// <summary>Forgets what is too old. Now and then, so that a server that nobody comes back to keeps nothing.</summary>
    public void Sweep()
    {
        lock (_lock)
        {
            Evict();
        }
    }

    private async Task<object> GetAsync(Key key, Func<Task<object>> read)
    {
        Entry? entry;
        lock (_lock)
        {
            Evict();
            if (!_entries.TryGetValue(key, out entry))
            {
                entry = new Entry(key, NowMs, new Lazy<Task<object>>(read));
                _entries.Add(key, entry);
                _byAge.Enqueue(entry);
            }
        }

        try
        {
            object value = await entry.Value.Value;
            Count(entry, value);
            return value;
        }
        catch
        {
            lock (_lock)
            {
                Remove(entry); // The next to ask tries again.
            }

            throw;
        }
    }

    private void Count(Entry entry, object value)
    {
        lock (_lock)
        {
            if (entry.Bytes == 0 && value is Segment segment && _entries.GetValueOrDefault(entry.Key) == entry)
            {
                entry.Bytes = segment.Frames.Length;
                _keptBytes += entry.Bytes;
                Evict();
            }
        }
    }

    private void Evict()
    {
        while (_byAge.TryPeek(out Entry? oldest) && (NowMs - oldest.StartedMs > KeptMs || _keptBytes > KeptBytesMax))
        {
            _byAge.Dequeue();
            Remove(oldest); // Who waits for it still gets it.
        }
    }

    private void Remove(Entry entry)
    {
        if (_entries.GetValueOrDefault(entry.Key) == entry)
        {
            _entries.Remove(entry.Key);
            _keptBytes -= entry.Bytes;
        }
    }

    private long NowMs => time.GetTimestamp() / (time.TimestampFrequency / 1000);

    /// <summary>The framed events after <paramref name="since"/>: up to <paramref name="upTo"/>, or the first that take <paramref name="bytesMax"/>, at least one.</summary>
    private async Task<object> ReadSegmentAsync(Room room, long since, long upTo, int bytesMax)
    {
        HistoryPage page = await log.ReadHistoryAsync(
            room.Log, beforeSeq: upTo + 1, afterSeq: since, limit: (int)(upTo - since), seenSeq: upTo, CancellationToken.None);
        IReadOnlyList<MessageRecord> messages = page.Messages;
        if (messages.Count != upTo - since || messages[0].Seq != since + 1 || messages[^1].Seq != upTo)
        {
            throw new InvariantException($"history of room {room.Id} has {messages.Count} of the {upTo - since} events after {since}");
        }

        return Segment.Of(messages, bytesMax);
    }

    /// <summary>Either where events begin, after which refusal, or an epoch whose end is asked for.</summary>
    private readonly record struct Key(long RoomId, long? Since, int? Epoch, long LastRefusedSeq);

    private sealed class Entry(Key key, long startedMs, Lazy<Task<object>> value)
    {
        public Key Key { get; } = key;

        public long StartedMs { get; } = startedMs;

        public Lazy<Task<object>> Value { get; } = value;

        /// <summary>0 until it has been read.</summary>
        public int Bytes { get; set; }
    }

    /// <summary>Consecutive events as they go to a socket, and where each of them ends.</summary>
    private sealed record Segment(byte[] Frames, int[] Ends)
    {
        public static Segment Of(IReadOnlyList<MessageRecord> messages, int bytesMax)
        {
            var frames = new ArrayBufferWriter<byte>(messages.Count * 256);
            var ends = new List<int>(messages.Count);
            foreach (MessageRecord message in messages)
            {
                if (frames.WrittenCount > bytesMax)
                {
                    break; // Too much already for whoever asked.
                }

                WriteFrame(frames, message);
                ends.Add(frames.WrittenCount);
            }

            return new Segment(frames.WrittenSpan.ToArray(), [.. ends]);
        }

        private static void WriteFrame(ArrayBufferWriter<byte> frames, MessageRecord message)
        {
            byte[] username = Encoding.UTF8.GetBytes(message.SenderName);
            byte[] nonce = message.Nonce is null ? [] : Encoding.UTF8.GetBytes(message.Nonce);
            int payloadBytesMax = MessageEvent.BytesMax(username.Length, message.Content.Length, nonce.Length);
            byte[] payload = ArrayPool<byte>.Shared.Rent(payloadBytesMax);
            int length = MessageEvent.Write(
                payload, message.RoomId, message.Seq, message.Id, message.SenderId, username, message.Content.Span, nonce, message.CreatedAtUnixMs);
            Span<byte> frame = frames.GetSpan(FrameWriter.HeaderBytesMax + length);
            frames.Advance(FrameWriter.WriteFrame(frame, Opcode.Text, payload.AsSpan(0, length)));
            ArrayPool<byte>.Shared.Return(payload);
        }
    }
}
