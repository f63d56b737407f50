using System.Buffers;
using System.Collections.Concurrent;
using System.Diagnostics;
using Chat.Protocol;
using Chat.Server.Connections;
using Chat.Storage;

namespace Chat.Server.Rooms;

/// <summary>A piece of work for a shard: a static function and its arguments, so that posting allocates nothing.</summary>
internal readonly record struct ShardWork(Action<object, object?> Run, object Target, object? Argument);

/// <summary>
/// Owns a set of sessions: whatever is sent to them, and their place in rooms, is touched by one thread at a time, so
/// none of it needs a lock. Other threads post work or mark a room dirty. What differs between the ways out (pipes of
/// any connection, or the kernel's sockets) is how the shard is woken and how a range of a ring reaches the members.
/// <para>Turn: posted work, dirty rooms, then one flush of every connection that was written to outside a fan-out.</para>
/// </summary>
internal abstract class Shard
{
    /// <summary>Rooms with fewer members here are served in the order of their news, larger ones behind them, the smaller before the larger.</summary>
    protected const int LargeRoomMembersMin = 64;

    /// <summary>
    /// Posted work in one turn, in milliseconds; looked at every so many pieces. What strangers have posted by then (answers to a flood, the
    /// ends of a thousand connections) waits for the next turn instead of having the rooms wait.
    /// </summary>
    private const int PostedMsMax = 1;
    private const int PostedPerLook = 32;

    [ThreadStatic]
    private static Shard? _current;

    private readonly ConcurrentQueue<ShardWork> _posted = new();
    private readonly ConcurrentQueue<RoomMembers> _dirtyRooms = new();
    private readonly List<RoomMembers> _largeRooms = []; // To be served in this turn, after the others.
    private readonly List<RoomMembers> _waitedFor = []; // Served in this turn.
    private readonly List<Outlet> _unflushed = [];
    private readonly ArrayBufferWriter<byte> _compressed = new();
    private readonly ArrayBufferWriter<byte> _joined = new();
    private CloseAllRequest? _closeAll;
    private bool _hasTakenLong;
    private WebSocketSession?[] _sessions = [];
    private int _sleeping = 1;
    private long _turnMsMax;

    /// <param name="index">Its place among all shards of the server, from 0.</param>
    /// <param name="limits">Limits that the shard enforces on its sessions.</param>
    /// <param name="time">Clock for deadlines.</param>
    protected Shard(int index, SessionLimits limits, TimeProvider time)
    {
        Index = index;
        Limits = limits;
        Time = time;
    }

    public int Index { get; }

    public SessionLimits Limits { get; }

    public TimeProvider Time { get; }

    public int SessionCount { get; private set; }

    /// <summary>The calling thread is running a turn of this shard.</summary>
    public bool IsCurrent => _current == this;

    /// <summary>Milliseconds of a clock that never steps. Any thread.</summary>
    public long NowMs => Time.GetTimestamp() / (Time.TimestampFrequency / 1000);

    /// <summary>The longest turn since the start, in milliseconds: what a quiet room may have waited for a busy one. Any thread.</summary>
    public long TurnMsMax => Volatile.Read(ref _turnMsMax);

    /// <summary>How long its turns took. Any thread.</summary>
    public DurationHistogram Turns { get; } = new();

    /// <summary>
    /// How often the shard's own thread waited for something to do. It waits nowhere else: the kernel counts no more voluntary context
    /// switches of it than these. 0 for a shard without a thread. Any thread.
    /// </summary>
    public virtual long Waits => 0;

    /// <summary>How many fan-outs have waited for members who had not taken the last one. Any thread.</summary>
    public virtual long Holds => 0;

    /// <summary>How many fan-outs have waited for more events. Any thread.</summary>
    public virtual long Gathers => 0;

    /// <summary>Its turns are kept apart at the moment, because it is woken so often. Any thread.</summary>
    public virtual bool IsModerated => false;

    /// <summary>Runs work in a later turn. Any thread.</summary>
    public void Post(Action<object, object?> run, object target, object? argument = null)
    {
        _posted.Enqueue(new ShardWork(run, target, argument));
        WakeIfSleeping();
    }

    /// <summary>Asks for a fan-out of a room's new events. Any thread; after the event was committed to the ring.</summary>
    public void MarkDirty(RoomMembers group)
    {
        if (group.TryMarkDirty())
        {
            _dirtyRooms.Enqueue(group);
            WakeIfSleeping();
        }
    }

    /// <summary>
    /// Sends to its members here what a room has published by now, however much it is. Not what comes meanwhile: publishers that keep up with
    /// the fan-out would keep the shard in this loop.
    /// </summary>
    private void FanOutAll(RoomMembers group)
    {
        long head = group.Room.HeadSeq;
        bool isBehind;
        do
        {
            isBehind = FanOut(group);
            Settle();
        }
        while (isBehind && group.Seq < head);

        if (isBehind)
        {
            MarkDirty(group); // A fan-out takes the mark off, also when it leaves something.
        }
    }

    /// <summary>Notes that an outlet holds bytes which the end of this turn has to flush. Shard thread.</summary>
    public void FlushLater(Outlet outlet)
    {
        Invariant.Require(IsCurrent);
        if (!outlet.IsFlushPending)
        {
            outlet.IsFlushPending = true;
            _unflushed.Add(outlet);
        }
    }

    /// <summary>
    /// The same for bytes that need not leave at once: a shard that is short of time may keep them for some milliseconds, for the next
    /// fan-out to take along. Shard thread.
    /// </summary>
    public virtual void FlushAtLeisure(Outlet outlet) => FlushLater(outlet);

    public void Add(WebSocketSession session)
    {
        Invariant.Require(IsCurrent && session.ShardIndex < 0);
        if (SessionCount == _sessions.Length)
        {
            Array.Resize(ref _sessions, Math.Max(16, SessionCount * 2));
        }

        session.ShardIndex = SessionCount;
        _sessions[SessionCount++] = session;
    }

    public void Remove(WebSocketSession session)
    {
        Invariant.Require(IsCurrent && _sessions[session.ShardIndex] == session);
        WebSocketSession last = _sessions[--SessionCount]!;
        _sessions[session.ShardIndex] = last;
        last.ShardIndex = session.ShardIndex;
        _sessions[SessionCount] = null;
        session.ShardIndex = -1;
    }

    /// <summary>Looks at every session's deadlines; called about once a second. Any thread.</summary>
    public void PostSweep() => Post(static (shard, _) => ((Shard)shard).Sweep(), this);

    /// <summary>Closes every session, with its own close handshake; also those that come later. Any thread.</summary>
    public void PostCloseAll(ushort code, string reason) =>
        Post(static (shard, argument) => ((Shard)shard).CloseAll((CloseAllRequest)argument!), this, new CloseAllRequest(code, reason));

    /// <summary>Closes a session that has just come, when all are closed. Shard thread.</summary>
    public bool TryCloseLate(WebSocketSession session)
    {
        if (_closeAll is not { } request)
        {
            return false;
        }

        session.Close(request.Code, request.Reason);
        return true;
    }

    /// <summary>Makes a sleeping shard run. Any thread, once per sleep.</summary>
    protected abstract void Wake();

    /// <summary>
    /// Gives one range of a ring (two spans at the wrap) to every member of a group, and moves the group's cursor to its
    /// end once the bytes are not needed any more: here, or at the next <see cref="Settle"/>. Members may close, and so
    /// leave, meanwhile.
    /// </summary>
    protected virtual void Deliver(
        RoomMembers group, ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, long seq, long position)
    {
        ReadOnlySpan<byte> compressed = Compressed(group, first, second);
        ReadOnlySpan<byte> range = first;
        if (!second.IsEmpty)
        {
            _joined.ResetWrittenCount();
            _joined.Write(first);
            _joined.Write(second);
            range = _joined.WrittenSpan; // An outlet takes whole frames.
        }

        for (int i = group.Count - 1; i >= 0; i--) // Downwards: a member that leaves is replaced by one already served.
        {
            ChatSession session = group[i].Session;
            Outlet outlet = session.Outlet;
            outlet.Write(!compressed.IsEmpty && session.TakesCompressed ? compressed : range);
            outlet.Flush();
            session.CheckBacklog();
        }

        Arrive(group, seq, position);
    }

    /// <summary>
    /// A range about to be delivered, for the members that take compressed events: one copy for all of them. Empty when there is no such
    /// member, or no event in it that was compressed. Valid until the next call; outlets have to copy it.
    /// </summary>
    protected ReadOnlySpan<byte> Compressed(RoomMembers group, ReadOnlySpan<byte> first, ReadOnlySpan<byte> second)
    {
        if (group.CompressingCount == 0)
        {
            return default;
        }

        _compressed.ResetWrittenCount();
        return group.Room.Compressed!.TryWrite(first, second, group.Seq + 1, _compressed) ? _compressed.WrittenSpan : default;
    }

    /// <summary>
    /// True when the fan-out of a dirty room is to wait; the room stays dirty until <see cref="TryRelease"/> brings it back.
    /// </summary>
    protected virtual bool TryHoldBack(RoomMembers group) => false;

    /// <summary>The next room that waits and whose time it is to be looked at, or any room that waits.</summary>
    protected virtual bool TryRelease(bool isAny, out RoomMembers group)
    {
        group = null!;
        return false;
    }

    /// <summary>Carries out what a way out has only queued. Afterwards every cursor is where its deliveries ended.</summary>
    protected virtual void Settle()
    {
    }

    /// <summary>Moves a group's cursor behind what has been delivered.</summary>
    protected static void Arrive(RoomMembers group, long seq, long position) => group.Arrive(seq, position);

    /// <summary>For a shard that has a thread of its own: all that happens there counts as its turn.</summary>
    protected void BindToThread() => _current = this;

    /// <summary>One turn. True when something was done.</summary>
    protected bool RunTurn()
    {
        Shard? outer = _current;
        _current = this;
        try
        {
            bool worked = RunPosted();
            while (TryRelease(isAny: false, out RoomMembers held))
            {
                _dirtyRooms.Enqueue(held);
            }

            worked |= ServeDirtyRooms();
            RunWhenServed();

            for (int i = 0; i < _unflushed.Count; i++) // By index: a flush that fails may have a session say its last words.
            {
                Outlet outlet = _unflushed[i];
                outlet.IsFlushPending = false;
                outlet.Flush();
            }

            _unflushed.Clear();
            Settle();
            return worked;
        }
        finally
        {
            _current = outer;
        }
    }

    /// <summary>
    /// One fan-out for every room that is dirty now. A message to ten does not wait for one to thousands: the large rooms come last.
    /// </summary>
    private bool ServeDirtyRooms()
    {
        bool worked = false;
        for (int left = _dirtyRooms.Count; left > 0 && _dirtyRooms.TryDequeue(out RoomMembers? group); left--)
        {
            if (TryHoldBack(group))
            {
                continue;
            }

            worked = true;
            if (group.Count < LargeRoomMembersMin)
            {
                Serve(group);
            }
            else
            {
                _largeRooms.Add(group);
            }
        }

        if (_largeRooms.Count > 1)
        {
            _largeRooms.Sort(static (one, other) => one.Count.CompareTo(other.Count));
        }

        foreach (RoomMembers group in _largeRooms)
        {
            ServeLarge(group);
        }

        _largeRooms.Clear();
        return worked;
    }

    private void Serve(RoomMembers group)
    {
        if (FanOut(group))
        {
            MarkDirty(group);
        }

        if (group.IsWaitedFor)
        {
            _waitedFor.Add(group);
        }
    }

    /// <summary>The same, and what it takes says how much the next one may, and whether it waits.</summary>
    private void ServeLarge(RoomMembers group)
    {
        Settle(); // What was queued before is not this room's time.
        long start = Stopwatch.GetTimestamp();
        long position = group.Position;
        long seq = group.Seq;
        Serve(group);
        Settle();
        long end = Stopwatch.GetTimestamp();
        group.Share.Took((int)(group.Position - position), Stopwatch.GetElapsedTime(start, end).TotalMilliseconds);
        if (group.Seq > seq)
        {
            group.Gathering.Carried(group.Seq - seq, start, end);
        }
    }

    /// <summary>Runs what has waited for the fan-outs of this turn, once their cursors have moved.</summary>
    private void RunWhenServed()
    {
        if (_waitedFor.Count == 0)
        {
            return;
        }

        Settle();
        foreach (RoomMembers group in _waitedFor)
        {
            group.RunWhenServed();
        }

        _waitedFor.Clear();
    }

    /// <summary>What was posted has just done much: others may be waiting for this thread. Shard thread.</summary>
    public void NoteLongWork() => _hasTakenLong = true;

    private bool RunPosted()
    {
        // What is posted meanwhile waits for the next turn: a stream of posts must not starve the rooms.
        int count = _posted.Count;
        long start = count > 1 ? Stopwatch.GetTimestamp() : 0;
        for (int i = 0; i < count && _posted.TryDequeue(out ShardWork work); i++)
        {
            work.Run(work.Target, work.Argument);
            if (((i + 1) % PostedPerLook == 0 || _hasTakenLong) && start != 0 && Stopwatch.GetElapsedTime(start, Stopwatch.GetTimestamp()).TotalMilliseconds > PostedMsMax)
            {
                break;
            }

            _hasTakenLong = false;
        }

        _hasTakenLong = false;
        return count > 0;
    }

    /// <summary>A turn that began at that time of <see cref="Stopwatch"/> is over.</summary>
    protected void EndTurn(long startTimestamp, long endTimestamp)
    {
        Turns.Record(endTimestamp - startTimestamp);
        long turnMs = (long)Stopwatch.GetElapsedTime(startTimestamp, endTimestamp).TotalMilliseconds;
        if (turnMs > _turnMsMax)
        {
            Volatile.Write(ref _turnMsMax, turnMs);
        }
    }

    /// <summary>
    /// True when the shard may go to sleep: it has said so, and there was still nothing to do. The barrier pairs with
    /// the one in <see cref="WakeIfSleeping"/>: either the poster sees us asleep, or we see its work.
    /// </summary>
    protected bool TrySleep()
    {
        Volatile.Write(ref _sleeping, 1);
        Interlocked.MemoryBarrier();
        bool hasWork = !_posted.IsEmpty || !_dirtyRooms.IsEmpty;
        // When a poster has taken the mark meanwhile, its wake-up is on the way and brings the next turn.
        return !hasWork || Interlocked.Exchange(ref _sleeping, 0) == 0;
    }

    /// <summary>The shard was woken by something else than <see cref="Wake"/> (a socket): posters need not wake it.</summary>
    protected void SetAwake() => Volatile.Write(ref _sleeping, 0);

    private void WakeIfSleeping()
    {
        // The work before the look: see TrySleep.
        Interlocked.MemoryBarrier();
        if (Volatile.Read(ref _sleeping) == 1 && Interlocked.Exchange(ref _sleeping, 0) == 1)
        {
            Wake();
        }
    }

    /// <summary>True when there is more to send than one turn sends.</summary>
    private bool FanOut(RoomMembers group)
    {
        group.ClearDirty();
        if (!group.IsActive)
        {
            return false;
        }

        if (group.IsDelivering)
        {
            Settle();
        }

        RoomRing ring = group.Room.Ring;
        if (!ring.Published(group, group.Share.Bytes, out long seq, out long position))
        {
            return false;
        }

        Invariant.Require(seq > group.Seq && position > group.Position);
        ring.Range(group.Position, position, out ReadOnlySpan<byte> first, out ReadOnlySpan<byte> second);
        group.Hold(first, second);
        group.BeginDelivery(ring);
        Deliver(group, first, second, seq, position);
        return group.IsActive && ring.HeadSeq > seq;
    }

    private void Sweep()
    {
        long nowMs = NowMs;
        for (int i = SessionCount - 1; i >= 0; i--)
        {
            _sessions[i]!.Sweep(nowMs);
        }
    }

    private void CloseAll(CloseAllRequest request)
    {
        _closeAll = request;
        // What waits has been published and made durable: its events and acknowledgements go before the close.
        while (TryRelease(isAny: true, out RoomMembers held))
        {
            _dirtyRooms.Enqueue(held);
        }

        for (int left = _dirtyRooms.Count; left > 0 && _dirtyRooms.TryDequeue(out RoomMembers? group); left--)
        {
            FanOutAll(group);
            group.RunWhenServed();
        }

        for (int i = SessionCount - 1; i >= 0; i--)
        {
            _sessions[i]!.Close(request.Code, request.Reason);
        }
    }

    private sealed record CloseAllRequest(ushort Code, string Reason);
}
