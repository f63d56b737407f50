using System.Collections.Concurrent;
using System.Net;
using HdrHistogram;

namespace Chat.LoadTests.Clients;

/// <summary>
/// A thread with its share of the connections: it waits for all of them at once, reads into one buffer, parses there and
/// sends what is due. No connection has a task or a buffer of its own. Others speak to it by <see cref="RunAsync{T}"/>.
/// </summary>
internal sealed class ClientLoop : IDisposable
{
    /// <summary>What one receive takes at most: all that a socket has, as a rule, and still inside the second-level cache.</summary>
    public const int ReadBytes = 64 * 1024;

    /// <summary>The longest frame that is understood: above a message of 64 KiB with every character escaped.</summary>
    public const int FrameBytesMax = 1024 * 1024;

    private const int EventsMax = 1024;

    /// <summary>Posted work waits this long at most; no descriptor is needed to wake the loop.</summary>
    private const long WaitNsMax = 2 * Clock.NsPerMs;

    /// <summary>Sends that became due while events are handled wait for this many of them.</summary>
    private const int EventsPerPace = 16;

    private readonly ConcurrentQueue<Action> _posted = new();
    private readonly List<WebSocketClient> _clients = [];
    private readonly List<RestClient> _callers = [];
    private readonly Thread _thread;
    private readonly long[] _heads;
    private readonly byte[][] _messagesUpToSeq;
    private volatile bool _isStopping;
    private Exception? _fault;
    private Openings? _openings;
    private Publishing? _publishing;
    private uint _maskingKey;
    private int _markerPlace;
    private long _measureFromUs = long.MaxValue;
    private long _measureToUs = long.MaxValue;

    public ClientLoop(LoopTarget target, int number)
    {
        Target = target;
        _heads = new long[target.Rooms.Count];
        _messagesUpToSeq = [.. target.Rooms.Select(EventScan.MessageUpToSeq)];
        _maskingKey = (uint)HashCode.Combine(number, Environment.ProcessId) | 1;
        Sockets = SocketSet.Create();
        _thread = new Thread(Run) { IsBackground = true, Name = $"clients {number}" };
        _thread.Start();
    }

    public SocketSet Sockets { get; }

    /// <summary>The thread's receive buffer. What it holds is of one client, for the length of one read.</summary>
    public byte[] Buffer { get; } = GC.AllocateUninitializedArray<byte>(FrameBytesMax + 16 + ReadBytes, pinned: true);

    /// <summary>Where the last marker was: see <see cref="Marker.TryFind(ReadOnlySpan{byte}, ref int, out Marker)"/>.</summary>
    public ref int MarkerPlace => ref _markerPlace;

    public Counters Counters { get; } = new();

    public Latencies Latencies { get; private set; } = new();

    public LoopTarget Target { get; }

    public IReadOnlyList<long> Rooms => Target.Rooms;

    public string HostField => Target.HostField;

    /// <summary>The first thing that went wrong, for people.</summary>
    public string? FirstNote { get; private set; }

    public IReadOnlyList<WebSocketClient> Clients => _clients;

    /// <summary>Runs something on the loop's thread, between two waits.</summary>
    public Task<T> RunAsync<T>(Func<T> work)
    {
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        _posted.Enqueue(() =>
        {
            if (_fault is not null)
            {
                done.SetException(_fault);
                return;
            }

            done.SetResult(work());
        });
        if (_fault is not null || _isStopping)
        {
            RunPosted(); // Nobody else will.
        }

        return done.Task;
    }

    public Task RunAsync(Action work) => RunAsync(() =>
    {
        work();
        return true;
    });

    // The rest is called on the loop's thread.

    public void Add(WebSocketClient client)
    {
        client.Tag = _clients.Count << 1;
        _clients.Add(client);
    }

    /// <summary>A caller connects at once.</summary>
    public void Add(RestClient caller)
    {
        caller.Tag = (_callers.Count << 1) | 1;
        _callers.Add(caller);
        caller.Connect(Target.Address);
    }

    public IReadOnlyList<RestClient> Callers => _callers;

    /// <summary>Begins to connect those of the clients that have no socket.</summary>
    /// <returns>Completes when each was welcomed or failed.</returns>
    public Task Open(IEnumerable<WebSocketClient> clients, OpenPace pace)
    {
        _openings = new Openings(clients.Where(static client => !client.HasSocket), pace, Clock.NowNs);
        return _openings.Completion;
    }

    public void Publish(Publishing? publishing, long measureFromNs, long measureToNs)
    {
        _publishing = publishing;
        _measureFromUs = measureFromNs / Clock.NsPerUs;
        _measureToUs = measureToNs / Clock.NsPerUs;
    }

    /// <summary>Hands over what was timed since the last call.</summary>
    public Latencies TakeLatencies()
    {
        Latencies taken = Latencies;
        Latencies = new Latencies();
        return taken;
    }

    public void Connect(WebSocketClient client) => client.Connect(Target.Address);

    /// <summary>How every message event of a room begins, as this server writes it.</summary>
    public ReadOnlySpan<byte> MessageUpToSeq(int room) => _messagesUpToSeq[room];

    public void RecordDelivery(Marker marker, long nowUs) => Record(Latencies.Deliver, marker, nowUs);

    public void RecordAck(Marker marker, long nowUs) => Record(Latencies.Ack, marker, nowUs);

    /// <summary>The highest seq that anybody saw of the room.</summary>
    public void SawSeq(int room, long seq)
    {
        if (seq > _heads[room])
        {
            _heads[room] = seq;
        }
    }

    public IReadOnlyList<long> Heads => _heads;

    public void OnWelcome(WebSocketClient client) => _openings?.OnOpened(client);

    public void OnEnded(WebSocketClient client, bool wasMember, string reason)
    {
        Note(reason);
        if (!wasMember)
        {
            _openings?.OnFailed(client);
        }
    }

    /// <summary>A message of the client came back, or was refused.</summary>
    public void OnSettled(WebSocketClient client) => _publishing?.OnSettled(client);

    public void Note(string text) => FirstNote ??= text;

    /// <summary>Fresh for each frame; xorshift, since it hides nothing here.</summary>
    public uint NextMaskingKey()
    {
        _maskingKey ^= _maskingKey << 13;
        _maskingKey ^= _maskingKey >> 17;
        _maskingKey ^= _maskingKey << 5;
        return _maskingKey;
    }

    public void Dispose()
    {
        _isStopping = true;
        _thread.Join();
        RunPosted();
        Sockets.Dispose();
    }

    private void Run()
    {
        if (OperatingSystem.IsLinux())
        {
            EpollSockets.SharpenTimers();
        }

        try
        {
            var events = new SocketEvent[EventsMax];
            while (!_isStopping)
            {
                Turn(events);
            }
        }
        catch (Exception exception)
        {
            _fault = exception; // Whoever asks this loop for something gets it.
        }

        foreach (Client client in _clients.Concat<Client>(_callers))
        {
            client.Drop();
        }

        RunPosted();
    }

    private void Turn(SocketEvent[] events)
    {
        RunPosted();
        long now = Clock.NowNs;
        _openings?.Continue(this, now);
        long nextNs = _publishing?.Pace(now) ?? long.MaxValue;
        long waitNs = Math.Clamp(nextNs - now, 0, WaitNsMax);
        int count = Sockets.Wait(events, waitNs);
        for (int i = 0; i < count; i++)
        {
            ClientOf(events[i].Tag).OnEvent(events[i]);
            if (i % EventsPerPace == EventsPerPace - 1)
            {
                _publishing?.Pace(Clock.NowNs);
            }
        }
    }

    /// <summary>Members have the even tags, callers the odd ones.</summary>
    private Client ClientOf(int tag) => (tag & 1) == 0 ? _clients[tag >> 1] : _callers[tag >> 1];

    private void RunPosted()
    {
        while (_posted.TryDequeue(out Action? work))
        {
            work();
        }
    }

    private void Record(LongHistogram histogram, Marker marker, long nowUs)
    {
        long ageUs = marker.AgeUs(nowUs);
        long dueUs = nowUs - ageUs;
        if (dueUs >= _measureFromUs && dueUs < _measureToUs)
        {
            Latencies.Record(histogram, ageUs);
        }
    }
}

/// <summary>What the clients of a loop talk to.</summary>
/// <param name="Address">Where the server listens.</param>
/// <param name="HostField">Its name and port, as the Host field says them.</param>
/// <param name="Rooms">The ids of the rooms, which clients name by their place in this list.</param>
internal sealed record LoopTarget(IPEndPoint Address, string HostField, IReadOnlyList<long> Rooms);
