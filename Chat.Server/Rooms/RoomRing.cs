using System.Diagnostics;
using Chat.Protocol;
using Chat.Protocol.WebSocket;

namespace Chat.Server.Rooms;

/// <summary>What became of an attempt to publish.</summary>
internal enum PublishStatus
{
    /// <summary>The event stands in the ring and has its sequence number.</summary>
    Published,

    /// <summary>No room before the slowest reader; nothing was changed.</summary>
    Full,

    /// <summary>The room has another ring by now; nothing was changed. Read the room's ring again.</summary>
    Sealed,
}

/// <summary>
/// The events of one room, already framed for the wire and contiguous, in a power-of-two ring of bytes with absolute
/// positions. Many producers, one reader per shard. What a reader lacks is one range (two at the wrap) that every
/// member shares: an event is encoded and framed once, whatever the number of members.
/// <para>
/// Producers are lock-free: a claim is one compare-and-swap of the tail, which gives an event its sequence number and
/// its position in one step (they cannot be taken apart: the digits of the number are part of the length). Events
/// become readable in claim order by a commit word each, so that a producer preempted between claim and commit delays
/// what stands behind its own event; other producers only where the ring is full, or replaced by another one.
/// </para>
/// <para>
/// A ring never changes its capacity. To grow or to shrink, <see cref="Reseat"/> seals it and copies what it holds
/// into another one with the same positions; readers keep their cursors.
/// </para>
/// Order of calls: <see cref="TryPublish"/> from any thread; <see cref="Published"/>, <see cref="Range"/> and then
/// <see cref="RingCursor.MoveTo"/> from the thread that owns the cursor.
/// </summary>
internal sealed class RoomRing
{
    /// <summary>
    /// Every event is longer: the fixed parts of a message event alone take more than 120 bytes. It bounds the number of
    /// events a ring can hold to fewer than there are commit words, so that the word of the event before the oldest one
    /// is there as well: it says where the oldest starts, and it may be the head's.
    /// </summary>
    public const int EventBytesMin = 64;

    /// <summary>16 bits of a commit word tell laps apart; 2^15 slots leave one of them for that, which is enough.</summary>
    public const int CapacityMax = (1 << 15) * EventBytesMin;

    private const int TagBits = 16;
    private const long TagMask = (1L << TagBits) - 1;

    private readonly byte[] _bytes;
    private readonly long[] _commits;
    private readonly RingCursor?[] _readers;
    private readonly long _retainedFrom;
    private Tail _tail;
    private long _headSeq;

    /// <param name="capacity">Bytes, a power of two up to <see cref="CapacityMax"/>; 0 makes a ring that is always full (an idle room).</param>
    /// <param name="seq">Sequence number of the newest event of the room; the next one published gets the number after it.</param>
    /// <param name="position">Absolute position at which the next event starts.</param>
    /// <param name="readers">The cursors that gate producers, indexed by shard; shared by all rings of one room.</param>
    public RoomRing(int capacity, long seq, long position, RingCursor?[] readers)
    {
        Invariant.Require(capacity == 0 || (int.IsPow2(capacity) && capacity is >= EventBytesMin and <= CapacityMax));
        Capacity = capacity;
        _readers = readers;
        _retainedFrom = position;
        // Pinned: the kernel reads these bytes while fan-out sends them.
        _bytes = capacity == 0 ? [] : GC.AllocateUninitializedArray<byte>(capacity, pinned: true);
        _commits = new long[Math.Max(2, capacity / EventBytesMin)];
        for (int slot = 0; slot < _commits.Length; slot++)
        {
            _commits[slot] = slot ^ 1; // A tag that no sequence number of this slot has.
        }

        _commits[Slot(seq)] = CommitWord(seq, position);
        _headSeq = seq;
        _tail = new Tail(seq, position, false);
    }

    /// <summary>Bytes this ring holds.</summary>
    public int Capacity { get; }

    /// <summary>Sequence number of the newest event that is readable together with all before it.</summary>
    public long HeadSeq => Volatile.Read(ref _headSeq);

    /// <summary>
    /// Claims the next sequence number and writes one text frame whose payload is <paramref name="prefix"/>, the
    /// number's digits, <paramref name="suffix"/>. Any thread. Wait-free but for the compare-and-swap.
    /// </summary>
    public PublishStatus TryPublish(ReadOnlySpan<byte> prefix, ReadOnlySpan<byte> suffix, out long seq)
    {
        while (true)
        {
            Tail tail = Volatile.Read(ref _tail);
            seq = tail.Seq + 1;
            if (tail.IsSealed)
            {
                return PublishStatus.Sealed;
            }

            int payloadLength = prefix.Length + DigitCount(seq) + suffix.Length;
            int length = FrameWriter.HeaderBytes(payloadLength) + payloadLength;
            Debug.Assert(length > EventBytesMin);
            long end = tail.Position + length;
            // Gating positions only move forward, and a reader that becomes active later starts at the head, which
            // gates too: what was free when we looked stays free.
            if (end - Capacity > GatingPosition())
            {
                return PublishStatus.Full;
            }

            if (Interlocked.CompareExchange(ref _tail, new Tail(seq, end, false), tail) == tail)
            {
                WriteEvent(tail.Position, payloadLength, prefix, seq, suffix);
                Commit(seq, end);
                return PublishStatus.Published;
            }
        }
    }

    /// <summary>
    /// The end of what is readable behind <paramref name="cursor"/>: false when there is nothing new. At most
    /// <paramref name="bytesMax"/> bytes, but always one whole event. Only the cursor's thread.
    /// </summary>
    public bool Published(RingCursor cursor, int bytesMax, out long seq, out long position)
    {
        seq = cursor.Seq;
        position = cursor.Position;
        long start = position;
        // Commit words between the cursor and the tail cannot be overwritten: our own cursor gates the producers.
        while (TryGetEnd(seq + 1, out long end))
        {
            if (end - start > bytesMax && position != start)
            {
                break;
            }

            seq++;
            position = end;
        }

        if (seq > HeadSeq)
        {
            // Its producer has written the commit word and not moved the head yet. Nobody may be sent what the head has not reached: a client
            // that comes back with that number would be ahead of the room.
            AdvanceHead();
        }

        return position != start;
    }

    /// <summary>The bytes [from, to): one span, two at the wrap. Valid until the cursor that gates them is moved.</summary>
    public void Range(long from, long to, out ReadOnlySpan<byte> first, out ReadOnlySpan<byte> second)
    {
        int length = checked((int)(to - from));
        Invariant.Require(length <= Capacity);
        if (length == 0)
        {
            first = second = default;
            return;
        }

        int offset = (int)(from & (Capacity - 1));
        int untilWrap = Capacity - offset;
        if (length <= untilWrap)
        {
            first = _bytes.AsSpan(offset, length);
            second = default;
        }
        else
        {
            first = _bytes.AsSpan(offset, untilWrap);
            second = _bytes.AsSpan(0, length - untilWrap);
        }
    }

    /// <summary>Where the event after <paramref name="seq"/> starts, when this ring still holds it. Any thread; see <see cref="TryCopy"/>.</summary>
    public bool TryGetStartAfter(long seq, out long position)
    {
        // Only where the words are, or a number 65,536 before one of them would pass for it: tags are the low bits.
        long head = HeadSeq;
        if (seq <= head && head - seq < _commits.Length && TryGetEnd(seq, out position))
        {
            return position >= RetainedFrom;
        }

        position = 0;
        return false;
    }

    /// <summary>
    /// Copies [from, from + destination.Length) although no cursor guards it: false when producers have claimed any of
    /// it meanwhile (the copy is then worthless). Any thread.
    /// </summary>
    public bool TryCopy(long from, Span<byte> destination)
    {
        if (from < RetainedFrom)
        {
            return false;
        }

        Range(from, from + destination.Length, out ReadOnlySpan<byte> first, out ReadOnlySpan<byte> second);
        first.CopyTo(destination);
        second.CopyTo(destination[first.Length..]);
        // Orders the copy before the second look at the tail: a producer moves the tail before it writes, so bytes
        // written over during the copy imply a tail that this look sees. Without the barrier the look could come first.
        Interlocked.MemoryBarrier();
        return from >= RetainedFrom;
    }

    /// <summary>Sequence number and end position of the newest readable event.</summary>
    public void GetHead(out long seq, out long position)
    {
        do
        {
            seq = HeadSeq;
        }
        while (!TryGetEnd(seq, out position)); // False only when the ring went round between the two reads.
    }

    /// <summary>
    /// Seals this ring and makes one of <paramref name="capacity"/> bytes that goes on where it ends. Keeps as much as
    /// fits. One caller at a time (the room sees to that); producers meanwhile get <see cref="PublishStatus.Sealed"/>.
    /// A smaller ring is made only when no reader lacks anything; otherwise the new one has the old capacity.
    /// </summary>
    public RoomRing Reseat(int capacity)
    {
        Tail tail = Seal();
        var spin = new SpinWait();
        while (HeadSeq != tail.Seq)
        {
            spin.SpinOnce(); // A producer between claim and commit: some tens of nanoseconds of copying.
            AdvanceHead();
        }

        if (capacity < Capacity && GatingPosition() < tail.Position)
        {
            capacity = Capacity;
        }

        return new RoomRing(capacity, tail.Seq, tail.Position, _readers, this);
    }

    private RoomRing(int capacity, long seq, long position, RingCursor?[] readers, RoomRing old)
        : this(capacity, seq, position, readers)
    {
        long kept = Math.Min(Math.Min(old.Capacity, capacity), position - old.RetainedFrom);
        long start = position - kept;
        // Walk back to the oldest event that stands wholly in the kept bytes: only whole events are of use.
        long oldest = seq;
        while (old.TryGetEnd(oldest - 1, out long end) && end >= start && end < position)
        {
            _commits[Slot(oldest - 1)] = CommitWord(oldest - 1, end);
            oldest--;
            _retainedFrom = end;
        }

        if (_retainedFrom < position)
        {
            old.Range(_retainedFrom, position, out ReadOnlySpan<byte> first, out ReadOnlySpan<byte> second);
            CopyIn(_retainedFrom, first);
            CopyIn(_retainedFrom + first.Length, second);
        }
    }

    /// <summary>Position of the oldest byte that no producer has claimed again.</summary>
    private long RetainedFrom => Math.Max(_retainedFrom, Volatile.Read(ref _tail).Position - Capacity);

    private Tail Seal()
    {
        while (true)
        {
            Tail tail = Volatile.Read(ref _tail);
            Invariant.Require(!tail.IsSealed);
            if (Interlocked.CompareExchange(ref _tail, new Tail(tail.Seq, tail.Position, true), tail) == tail)
            {
                return tail;
            }
        }
    }

    private long GatingPosition()
    {
        // The head gates even without readers: what is not yet readable must not be overwritten.
        GetHead(out _, out long gate);
        foreach (RingCursor? reader in _readers)
        {
            if (reader is not null)
            {
                gate = Math.Min(gate, reader.Position);
            }
        }

        return gate;
    }

    private void WriteEvent(long position, int payloadLength, ReadOnlySpan<byte> prefix, long seq, ReadOnlySpan<byte> suffix)
    {
        Span<byte> small = stackalloc byte[32];
        int headerLength = FrameWriter.WriteHeader(small, Opcode.Text, payloadLength);
        position = CopyIn(position, small[..headerLength]);
        position = CopyIn(position, prefix);
        bool formatted = seq.TryFormat(small, out int digits);
        Debug.Assert(formatted);
        position = CopyIn(position, small[..digits]);
        CopyIn(position, suffix);
    }

    private long CopyIn(long position, ReadOnlySpan<byte> source)
    {
        int offset = (int)(position & (Capacity - 1));
        int untilWrap = Math.Min(source.Length, Capacity - offset);
        source[..untilWrap].CopyTo(_bytes.AsSpan(offset));
        source[untilWrap..].CopyTo(_bytes);
        return position + source.Length;
    }

    private void Commit(long seq, long end)
    {
        // Release: the event's bytes before its commit word. And full: our word before the look at our neighbours'
        // words in AdvanceHead. Two producers that each wrote their word and then missed the other's would leave the
        // head behind for good.
        Interlocked.Exchange(ref _commits[Slot(seq)], CommitWord(seq, end));
        AdvanceHead();
    }

    private void AdvanceHead()
    {
        long head = Volatile.Read(ref _headSeq);
        while (TryGetEnd(head + 1, out _))
        {
            long seen = Interlocked.CompareExchange(ref _headSeq, head + 1, head);
            head = seen == head ? head + 1 : seen;
        }
    }

    private bool TryGetEnd(long seq, out long position)
    {
        long word = Volatile.Read(ref _commits[Slot(seq)]);
        position = word >> TagBits;
        return (word & TagMask) == (seq & TagMask);
    }

    private static long CommitWord(long seq, long position) => (position << TagBits) | (seq & TagMask);

    private int Slot(long seq) => (int)(seq & (_commits.Length - 1));

    private static int DigitCount(long value)
    {
        int digits = 1;
        while (value >= 10)
        {
            value /= 10;
            digits++;
        }

        return digits;
    }

    /// <summary>
    /// The newest claim. An object, so that number and position are swapped together: 40 bytes an event, which the
    /// collector frees young, against two packed halves that wrap around at different times.
    /// </summary>
    private sealed class Tail(long seq, long position, bool isSealed)
    {
        public readonly long Seq = seq;
        public readonly long Position = position;
        public readonly bool IsSealed = isSealed;
    }
}
