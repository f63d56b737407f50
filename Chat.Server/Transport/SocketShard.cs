using System.Diagnostics;
using Chat.Protocol;
using Chat.Server.Connections;
using Chat.Server.Rooms;

namespace Chat.Server.Transport;

/// <summary>How the shards hand ranges to the kernel.</summary>
internal enum SendEngine
{
    /// <summary>One system call for each socket.</summary>
    Send,

    /// <summary>One system call for all sockets of a turn, through an io_uring.</summary>
    Uring,
}

/// <summary>
/// A shard with a thread of its own that owns an epoll, its sockets and, with that engine, an io_uring. A turn: wait for
/// events; receive and parse what came; posted work; fan-out of every dirty room; one submit. Nothing in a turn waits:
/// not for a lock, not for the database, not for the thread pool.
/// </summary>
internal sealed unsafe class SocketShard : Shard, IDisposable
{
    private const int EventsMax = 512;
    private const int ReceiveScratchBytes = 64 * 1024;

    /// <summary>
    /// Reading in one turn, in milliseconds; what is left is read in the next one, so that clients who flood delay the fan-out by this and
    /// not by all they have sent.
    /// </summary>
    private const int ReadMsMax = 1;

    // Load: how much of its time the shard has work, looked at over this long. A shard that waits for less than a quarter of it is saturated,
    // and keeps acknowledgements for the next fan-out to the same socket, or until the time is over: a send less for a room of ten
    // members, which has eleven otherwise.
    private const int LoadWindowMs = 10;
    private const int SaturatedWaitShare = 4;
    private const ulong WakeToken = ulong.MaxValue;

    private readonly Epoll _epoll = new();
    private readonly int _wake;
    private readonly bool _wantsUring;
    private readonly Thread _thread;
    private readonly TaskCompletionSource<string> _started = new(TaskCreationOptions.RunContinuationsAsynchronously);
    // As the new and the old flows of RFC 8290 section 4.1: who has news goes before those who had their share and left something.
    private readonly Queue<ShardSocket> _readable = new();
    private readonly Queue<ShardSocket> _unfinished = new();
    private readonly List<Delivery> _deliveries = [];
    private readonly CongestedRooms _congested = new();
    private readonly GatheringRooms _gathering = new();
    private readonly RestingSockets _resting = new();
    private readonly List<Outlet> _postponed = [];
    private readonly Listeners _listeners;
    private readonly WakeModeration _moderation;
    private ShardSocket?[] _sockets = new ShardSocket?[256];
    private uint[] _generations = new uint[256];
    private volatile bool _isStopping;
    private long _waits;
    private long _turnEnd = Stopwatch.GetTimestamp();
    private long _loadWindowEnd;
    private long _waited;
    private bool _isSaturated;

    public SocketShard(int index, SessionLimits limits, TimeProvider time, SendEngine engine, int turnIntervalUs)
        : base(index, limits, time)
    {
        _moderation = new WakeModeration(turnIntervalUs);
        _listeners = new Listeners(_epoll);
        _wake = Libc.eventfd(0, Libc.EFD_CLOEXEC | Libc.EFD_NONBLOCK);
        if (_wake < 0)
        {
            throw Libc.Failure("eventfd");
        }

        // Edge-triggered: every write makes an event, so the counter never has to be read.
        _epoll.Add(_wake, Libc.EPOLLIN | Libc.EPOLLET, WakeToken);
        _wantsUring = engine == SendEngine.Uring;
        _thread = new Thread(Run) { Name = $"shard {index}", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Completes when the thread runs: empty, or why there is no io_uring although one was wanted.</summary>
    public Task<string> Started => _started.Task;

    /// <summary>Where one read of a socket of this shard goes. Only the shard's thread, until the next read.</summary>
    public byte[] ReceiveScratch { get; } = GC.AllocateUninitializedArray<byte>(ReceiveScratchBytes, pinned: true);

    public PinnedBuffers Buffers { get; } = new();

    public SendQueue Sends { get; } = new();

    /// <summary>Sockets open now. Any thread.</summary>
    public int SocketCount => Volatile.Read(ref _socketCount);

    public override long Waits => Volatile.Read(ref _waits);

    public override long Holds => _congested.Holds;

    public override long Gathers => _gathering.Holds;

    public override bool IsModerated => _moderation.IsOn;

    private int _socketCount;

    /// <summary>Accepts from a listening socket in this shard's turns, for all shards. Any thread.</summary>
    public void Listen(Acceptor acceptor) => Post(
        static (shard, acceptor) => ((SocketShard)shard)._listeners.Add((Acceptor)acceptor!), this, acceptor);

    /// <summary>Stops accepting; <see cref="Acceptor.OnStopped"/> is called when the listening socket may be closed. Any thread.</summary>
    public void StopListening(Acceptor acceptor) => Post(
        static (shard, argument) =>
        {
            var acceptor = (Acceptor)argument!;
            ((SocketShard)shard)._listeners.Remove(acceptor);
            acceptor.OnStopped();
        },
        this,
        acceptor);

    /// <summary>Accepts nothing for a while. Shard thread.</summary>
    public void RestListening(Acceptor acceptor, int ms) => _listeners.Rest(acceptor, NowMs + ms);

    /// <summary>Begins to watch a socket. False when the kernel has no memory for it, or no watch left. Shard thread.</summary>
    public bool TryRegister(ShardSocket socket)
    {
        int fd = socket.Fd;
        if (fd >= _sockets.Length)
        {
            int length = (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)fd + 1);
            Array.Resize(ref _sockets, length);
            Array.Resize(ref _generations, length);
        }

        Invariant.Require(_sockets[fd] is null);
        _sockets[fd] = socket;
        // An event of this turn may still name a socket that has been closed and whose number has been given again.
        socket.EventToken = ((ulong)++_generations[fd] << 32) | (uint)fd;
        Volatile.Write(ref _socketCount, _socketCount + 1);
        return _epoll.TryAdd(fd, Libc.EPOLLIN | Libc.EPOLLOUT | Libc.EPOLLRDHUP | Libc.EPOLLET, socket.EventToken);
    }

    /// <summary>Closes a socket's descriptor, which also ends the watch. Shard thread; see <see cref="ShardSocket.Close"/>.</summary>
    public void Close(ShardSocket socket)
    {
        Invariant.Require(IsCurrent && !socket.HasQueuedSend);
        int fd = socket.Fd;
        if (fd < _sockets.Length && _sockets[fd] == socket)
        {
            _sockets[fd] = null;
            Volatile.Write(ref _socketCount, _socketCount - 1);
        }

        _ = Libc.close(fd);
    }

    /// <summary>A socket of this shard received so many bytes. Shard thread.</summary>
    public void OnInput(int bytes) => _moderation.OnInput(bytes);

    /// <summary>The socket has something to read. Shard thread.</summary>
    public void Read(ShardSocket socket) => Queue(socket, _readable);

    /// <summary>The socket has more to read than its turn allows. Shard thread.</summary>
    public void ReadOn(ShardSocket socket) => Queue(socket, _unfinished);

    /// <summary>Leaves a socket alone for a while; <see cref="ShardSocket.EndRest"/> is called then. Shard thread.</summary>
    public void Rest(ShardSocket socket, int ms) => _resting.Add(socket, NowMs + ms);

    /// <summary>The same, for <see cref="Room.FullRingRetryMs"/>: its last message has found a ring full, and waits since then. Shard thread.</summary>
    public void Park(ShardSocket socket, long sinceMs) => _resting.Park(socket, sinceMs, NowMs);

    public override void FlushAtLeisure(Outlet outlet)
    {
        if (!_isSaturated)
        {
            FlushLater(outlet);
        }
        else if (!outlet.IsFlushPostponed)
        {
            outlet.IsFlushPostponed = true;
            _postponed.Add(outlet);
        }
    }

    /// <summary>Ends the thread. The sockets still open are closed with the process.</summary>
    public void Dispose()
    {
        _isStopping = true;
        Wake();
        if (Thread.CurrentThread != _thread)
        {
            _thread.Join();
        }

        Sends.Dispose();
        _epoll.Dispose();
        _ = Libc.close(_wake);
    }

    protected override void Wake()
    {
        ulong one = 1;
        // The counter is never read; it is full after 2^64 - 2 wake-ups.
        _ = Libc.write(_wake, (byte*)&one, sizeof(ulong));
    }

    protected override void Deliver(
        RoomMembers group, ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, long seq, long position)
    {
        ReadOnlySpan<byte> compressed = Compressed(group, first, second);
        ReadOnlySpan<byte> range = second.IsEmpty ? first : Sends.Join(first, second);
        for (int i = group.Count - 1; i >= 0; i--)
        {
            ChatSession session = group[i].Session;
            var socket = (ShardSocket)session.Outlet;
            if (!compressed.IsEmpty && session.TakesCompressed)
            {
                socket.Write(compressed); // Copied: it does not outlive this call, which a queued send does.
                FlushLater(socket);
            }
            else if (socket.CanSendDirectly)
            {
                Sends.SendRange(socket, range);
            }
            else
            {
                socket.Write(range);
                FlushLater(socket);
            }

            session.CheckBacklog();
        }

        if (!second.IsEmpty)
        {
            Sends.EndJoined();
        }

        if (Sends.IsImmediate)
        {
            Arrive(group, seq, position);
        }
        else
        {
            _deliveries.Add(new Delivery(group, seq, position));
        }
    }

    protected override bool TryHoldBack(RoomMembers group) =>
        _congested.TryHold(group, NowMs) || (group.Count >= LargeRoomMembersMin && _gathering.TryHold(group, Stopwatch.GetTimestamp()));

    protected override bool TryRelease(bool isAny, out RoomMembers group) =>
        _congested.TryRelease(isAny ? long.MaxValue : NowMs, out group)
        || (!_gathering.IsEmpty && _gathering.TryRelease(isAny ? long.MaxValue : Stopwatch.GetTimestamp(), out group));

    protected override void Settle()
    {
        Sends.Submit();
        foreach (Delivery delivery in _deliveries)
        {
            Arrive(delivery.Group, delivery.Seq, delivery.Position);
        }

        _deliveries.Clear();
    }

    private void Run()
    {
        try
        {
            BindToThread();
            _started.SetResult(_wantsUring ? Sends.UseUring() : "");
            byte* events = stackalloc byte[EventsMax * Libc.EpollEventBytes];
            while (!_isStopping)
            {
                RunOnce(events);
            }
        }
        catch (Exception exception)
        {
            // A turn that threw has left rooms half served: nobody could say what its members have seen.
            Environment.FailFast("a fan-out shard failed", exception);
        }
    }

    private void RunOnce(byte* events)
    {
        bool hasInput = _readable.Count > 0 || _unfinished.Count > 0;
        bool hasSlept = !hasInput && SleepUntil(_moderation.NextTurn);
        int timeoutMs = hasInput || !TrySleep() ? 0 : MsUntilNextTurn();
        if (timeoutMs != 0)
        {
            Volatile.Write(ref _waits, _waits + 1);
        }

        int count = _epoll.Wait(events, EventsMax, timeoutMs);
        SetAwake();
        if (count < 0 && Libc.LastError != Libc.EINTR)
        {
            throw Libc.Failure("epoll_wait");
        }

        long start = Stopwatch.GetTimestamp();
        _moderation.BeginTurn(start, wasAsleep: !_isSaturated && (hasSlept || timeoutMs != 0));
        for (int i = 0; i < count; i++)
        {
            byte* entry = events + (i * Libc.EpollEventBytes);
            Dispatch(*(uint*)entry, *(ulong*)(entry + Libc.EpollEventDataOffset));
        }

        while (_resting.TryWake(NowMs, out ShardSocket rested))
        {
            rested.EndRest();
        }

        _listeners.EndRest(NowMs);

        ReadQueued(start + (ReadMsMax * Stopwatch.Frequency / 1000));
        MeasureLoad(start);
        RunTurn();
        _turnEnd = Stopwatch.GetTimestamp();
        EndTurn(start, _turnEnd);
    }

    /// <summary>Milliseconds until the first of what waits is due; <see cref="Timeout.Infinite"/> when nothing does.</summary>
    private int MsUntilNextTurn()
    {
        long ms = long.MaxValue;
        if (!_congested.IsEmpty)
        {
            ms = CongestedRooms.LookMs;
        }

        if (!_gathering.IsEmpty)
        {
            ms = Math.Min(ms, _gathering.MsLeft(Stopwatch.GetTimestamp()));
        }

        if (_postponed.Count > 0)
        {
            ms = Math.Min(ms, MsUntil(_loadWindowEnd));
        }

        if (!_resting.IsEmpty)
        {
            ms = Math.Min(ms, _resting.MsLeft(NowMs));
        }

        if (_listeners.AreResting)
        {
            ms = Math.Min(ms, _listeners.MsLeft(NowMs));
        }

        return ms == long.MaxValue ? Timeout.Infinite : (int)ms;
    }

    /// <summary>False when the time has come already. Whoever has work for the shard does not wake it: it is not marked as asleep.</summary>
    private bool SleepUntil(long timestamp)
    {
        if (timestamp <= Stopwatch.GetTimestamp())
        {
            return false;
        }

        Volatile.Write(ref _waits, _waits + 1);
        Libc.SleepUntil(timestamp);
        return true;
    }

    /// <summary>At the end of each window: says how busy it was, and has what was postponed flushed in this turn.</summary>
    private void MeasureLoad(long turnStart)
    {
        _waited += turnStart - _turnEnd;
        if (turnStart < _loadWindowEnd)
        {
            return;
        }

        long windowTicks = LoadWindowMs * Stopwatch.Frequency / 1000;
        _isSaturated = _waited < windowTicks / SaturatedWaitShare;
        _waited = 0;
        _loadWindowEnd = turnStart + windowTicks;
        foreach (Outlet outlet in _postponed)
        {
            outlet.IsFlushPostponed = false;
            FlushLater(outlet);
        }

        _postponed.Clear();
    }

    /// <summary>Whole milliseconds until a time of <see cref="Stopwatch"/>, rounded up; 0 when it has passed.</summary>
    private static long MsUntil(long timestamp)
    {
        long left = timestamp - Stopwatch.GetTimestamp();
        return left <= 0 ? 0 : (left * 1000 / Stopwatch.Frequency) + 1;
    }

    private void Dispatch(uint events, ulong token)
    {
        if (token == WakeToken)
        {
            return; // Being awake is all there is to it: the turn looks for work anyway.
        }

        if (!_listeners.TryAccept(token) && _sockets[(uint)token] is { } socket && socket.EventToken == token)
        {
            socket.OnEvents(events);
        }
    }

    /// <summary>
    /// Reads until it is past a time of <see cref="Stopwatch"/>, and at least one of those that had their share: floods of news do not
    /// starve them either.
    /// </summary>
    private void ReadQueued(long until)
    {
        bool isTime = true;
        while (isTime && _readable.TryDequeue(out ShardSocket? socket))
        {
            isTime = ReadOne(socket, until);
        }

        isTime = true;
        // Each once: those that have still more come in behind.
        for (int left = _unfinished.Count; isTime && left > 0; left--)
        {
            isTime = ReadOne(_unfinished.Dequeue(), until);
        }
    }

    private static bool ReadOne(ShardSocket socket, long until)
    {
        socket.IsReadQueued = false;
        socket.ReadIfWanted();
        return Stopwatch.GetTimestamp() <= until;
    }

    private static void Queue(ShardSocket socket, Queue<ShardSocket> queue)
    {
        if (!socket.IsReadQueued)
        {
            socket.IsReadQueued = true;
            queue.Enqueue(socket);
        }
    }

    private readonly record struct Delivery(RoomMembers Group, long Seq, long Position);
}
