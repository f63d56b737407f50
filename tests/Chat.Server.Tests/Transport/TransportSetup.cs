using System.Buffers;
using System.Collections.Concurrent;
using System.Globalization;
using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Chat.Server.Connections;
using Chat.Server.Rooms;
using Chat.Server.Tests.Rooms;
using Chat.Server.Transport;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging.Abstractions;

namespace Chat.Server.Tests.Transport;

/// <summary>
/// Shards and an acceptor over real loopback sockets, with a handler of two requests in the place of HTTP:
/// <c>get BYTES</c> is answered with that many bytes, <c>end BYTES</c>, too, and nothing after it, <c>join ROOM,ROOM</c> with <see cref="Joined"/> and a session.
/// </summary>
internal sealed class TransportSetup : IAsyncDisposable
{
    public const string Joined = "joined\r\n\r\n";

    private readonly Acceptor _acceptor;
    private readonly Task _accepting;
    private readonly ConcurrentBag<ShardConnection> _connections = [];
    private int _closed;
    private int _answered;

    private TransportSetup(RoomSetup rooms, SocketShard[] shards)
    {
        Rooms = rooms;
        Shards = shards;
        _acceptor = new Acceptor(new IPEndPoint(IPAddress.Loopback, 0), shards, backlog: 4096, NullLogger.Instance);
        _acceptor.Start();
        _accepting = AcceptAsync();
    }

    /// <summary>How long a test waits for what must come; a passing one never waits this long.</summary>
    public static TimeSpan Patience { get; } = TimeSpan.FromSeconds(30);

    public static SessionLimits Limits { get; } = RoomSetup.Limits with { BacklogBytesMax = 64 << 20, BacklogTimeMaxMs = 60_000 };

    public RoomSetup Rooms { get; }

    public SocketShard[] Shards { get; }

    public EndPoint EndPoint => _acceptor.EndPoint;

    public int Accepted => _connections.Count;

    public int Closed => Volatile.Read(ref _closed);

    /// <summary>Requests <c>get</c> answered.</summary>
    public int Answered => Volatile.Read(ref _answered);

    public static TheoryData<string> Engines { get; } = new(nameof(SendEngine.Send), nameof(SendEngine.Uring));

    /// <summary>Skips the test where there is no Linux, or no io_uring for the engine that is asked for.</summary>
    public static async Task<TransportSetup> OpenAsync(
        string engine, int shards = 1, SessionLimits? limits = null, int ringBytesMin = 4096, int ringBytesMax = 1 << 20,
        int turnIntervalUs = 0)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "the transport is Linux's");
        SocketShard[] sockets = [.. Enumerable.Range(0, shards)
            .Select(index => new SocketShard(index, limits ?? Limits, TimeProvider.System, Enum.Parse<SendEngine>(engine), turnIntervalUs))];
        foreach (SocketShard shard in sockets)
        {
            string problem = await shard.Started;
            Assert.SkipWhen(problem.Length > 0, problem);
        }

        return new TransportSetup(
            await RoomSetup.OpenAsync(shards: shards, ringBytesMin: ringBytesMin, ringBytesMax: ringBytesMax), sockets);
    }

    /// <summary>More rooms, of which the setup's own is the first.</summary>
    public async Task<Room[]> RoomsAsync(int count)
    {
        var rooms = new Room[count];
        rooms[0] = Rooms.Room;
        for (int i = 1; i < count; i++)
        {
            long id = (await Rooms.Store.CreateRoomAsync($"room {i}", CancellationToken.None)).Id;
            rooms[i] = (await Rooms.Rooms.FindAsync(id, CancellationToken.None))!;
        }

        return rooms;
    }

    /// <summary>Publishes one message, as soon as the shards have made room for it. No thread of theirs.</summary>
    public void Publish(Room room, string content)
    {
        long start = Environment.TickCount64;
        OfferStatus status;
        while ((status = room.Offer(Rooms.Ann, Encoding.UTF8.GetBytes(content), default, new TestPublisher(), out _, out _)) == OfferStatus.Full)
        {
            Assert.InRange(Environment.TickCount64 - start, 0, 30_000);
            Thread.Yield();
        }

        Assert.Equal(OfferStatus.Accepted, status);
    }

    /// <param name="receiveBufferBytes">Small, for a client that makes the shard wait.</param>
    public async Task<ShardClient> ConnectAsync(int? receiveBufferBytes = null)
    {
        var client = new ShardClient(receiveBufferBytes);
        await client.Socket.ConnectAsync(EndPoint);
        return client;
    }

    /// <summary>The other end of a client.</summary>
    public ShardConnection Connection(ShardClient client) =>
        Assert.Single(_connections, connection => client.Socket.LocalEndPoint!.Equals(connection.RemoteEndPoint));

    /// <summary>A client in these rooms: it has read the welcome of each.</summary>
    public async Task<ShardClient> JoinAsync(Room[] rooms, int? receiveBufferBytes = null)
    {
        ShardClient client = await ConnectAsync(receiveBufferBytes);
        await client.SendAsync($"join {string.Join(',', rooms.Select(room => room.Id))}\r\n");
        await client.ReadJoinedAsync();
        int welcomes = rooms.Length > 1 ? rooms.Length + 1 : 1; // A connection that belongs to no one room is welcomed itself, too.
        for (int i = 0; i < welcomes; i++)
        {
            Assert.Equal("welcome", (await client.ReadFrameAsync()).Type);
        }

        return client;
    }

    /// <summary>So many clients in these rooms.</summary>
    public async Task<ShardClient[]> JoinManyAsync(int count, Room[] rooms, int? receiveBufferBytes = null)
    {
        var clients = new ShardClient[count];
        for (int i = 0; i < count; i++)
        {
            clients[i] = await JoinAsync(rooms, receiveBufferBytes);
        }

        return clients;
    }

    /// <summary>Stops a shard's thread between two pieces of posted work, until the answer is disposed.</summary>
    public static async Task<IDisposable> HoldAsync(Shard shard)
    {
        var hold = new ShardHold();
        shard.Post(static (_, hold) => ((ShardHold)hold!).Wait(), shard, hold);
        await hold.Holding.WaitAsync(Patience);
        return hold;
    }

    /// <summary>Runs work on a shard's thread and waits until it is done.</summary>
    public static Task RunOnAsync(Shard shard, Action work)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        shard.Post(
            (_, _) =>
            {
                work();
                done.SetResult();
            },
            shard);
        return done.Task.WaitAsync(Patience);
    }

    /// <summary>Waits until so many messages are durable and their publishers told.</summary>
    public async Task CommittedAsync(int messages)
    {
        long deadline = Environment.TickCount64 + (long)Patience.TotalMilliseconds;
        while (Rooms.Log.Statistics is var statistics && (statistics.RowsCommitted < messages || statistics.QueuedRows > 0))
        {
            Assert.True(Environment.TickCount64 < deadline, $"{statistics.RowsCommitted} committed");
            await RunOnAsync(Shards[0], static () => { });
        }
    }

    /// <summary>Waits until every accepted connection has been closed, which must be once each.</summary>
    public async Task AllCloseAsync(int accepted)
    {
        long deadline = Environment.TickCount64 + (long)Patience.TotalMilliseconds;
        while (Accepted < accepted || Closed < accepted || Shards.Any(static shard => shard.SocketCount + shard.SessionCount > 0))
        {
            Assert.True(
                Environment.TickCount64 < deadline,
                $"{Accepted} accepted, {Closed} closed, {Shards.Sum(static shard => shard.SocketCount)} sockets left");
            foreach (SocketShard shard in Shards)
            {
                await RunOnAsync(shard, static () => { });
            }
        }

        Assert.Equal(accepted, Accepted);
        Assert.Equal(accepted, Closed);
    }

    public async ValueTask DisposeAsync()
    {
        await _acceptor.DisposeAsync();
        await _accepting.WaitAsync(Patience);
        foreach (ShardConnection connection in _connections)
        {
            connection.Abort();
        }

        await Task.WhenAll(_connections.Select(static connection => connection.Closed)).WaitAsync(Patience);
        foreach (SocketShard shard in Shards)
        {
            await RunOnAsync(shard, static () => { }); // The sessions have left their rooms.
        }

        await Rooms.DisposeAsync();
        foreach (SocketShard shard in Shards)
        {
            shard.Dispose();
        }
    }

    private async Task AcceptAsync()
    {
        while (await _acceptor.AcceptAsync() is ShardConnection connection)
        {
            _connections.Add(connection);
            _ = CountAsync(connection);
            _ = Task.Run(() => ServeAsync(connection));
        }
    }

    private async Task CountAsync(ShardConnection connection)
    {
        await connection.Closed;
        Interlocked.Increment(ref _closed);
    }

    private async Task ServeAsync(ShardConnection connection)
    {
        PipeReader input = connection.Transport.Input;
        PipeWriter output = connection.Transport.Output;
        try
        {
            while (true)
            {
                ReadResult read = await input.ReadAsync();
                ReadOnlySequence<byte> buffer = read.Buffer;
                bool isEnd = false;
                while (buffer.PositionOf((byte)'\n') is { } end)
                {
                    string[] words = Encoding.ASCII.GetString(buffer.Slice(0, end)).TrimEnd('\r').Split(' ');
                    buffer = buffer.Slice(buffer.GetPosition(1, end));
                    if (words[0] == "join")
                    {
                        input.AdvanceTo(buffer.Start);
                        output.Write(Encoding.ASCII.GetBytes(Joined));
                        Attach(connection, words[1]);
                        return;
                    }

                    isEnd = words[0] == "end";
                    output.Write(new byte[int.Parse(words[1], CultureInfo.InvariantCulture)]);
                    Interlocked.Increment(ref _answered);
                }

                input.AdvanceTo(buffer.Start, buffer.End);
                FlushResult flush = await output.FlushAsync();
                if (isEnd)
                {
                    connection.Writer!.EndSending();
                }

                if (read.IsCompleted || flush.IsCompleted)
                {
                    break;
                }
            }
        }
        catch (ConnectionResetException)
        {
            // The peer went away.
        }

        connection.Finish();
    }

    private void Attach(ShardConnection connection, string rooms)
    {
        Room[] joined = [.. rooms.Split(',').Select(id => Rooms.Rooms.FindLoaded(long.Parse(id, CultureInfo.InvariantCulture))!)];
        SocketShard shard = connection.Socket.Shard;
        Room? only = joined.Length == 1 ? joined[0] : null;
        var session = new ChatSession(shard, connection.Socket, Rooms.Ann, DateTimeOffset.MaxValue, only, Rooms.Services);
        connection.Attach(session, ResumePoint.None);
        if (only is null)
        {
            shard.Post(
                static (session, joined) => Array.ForEach((Room[])joined!, room => ((ChatSession)session).Subscribe(room, ResumePoint.None)),
                session,
                joined);
        }
    }

    private sealed class ShardHold : IDisposable
    {
        private readonly ManualResetEventSlim _released = new();
        private readonly TaskCompletionSource _holding = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Holding => _holding.Task;

        public void Wait()
        {
            _holding.SetResult();
            _released.Wait(Patience);
        }

        public void Dispose() => _released.Set();
    }
}

/// <summary>The other end of a <see cref="TransportSetup"/>.</summary>
internal sealed class ShardClient : IDisposable
{
    private readonly byte[] _buffer = new byte[16 * 1024];
    private int _start;
    private int _end;

    public ShardClient(int? receiveBufferBytes)
    {
        Socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        if (receiveBufferBytes is { } bytes)
        {
            Socket.ReceiveBufferSize = bytes;
        }
    }

    public Socket Socket { get; }

    public Task SendAsync(string text) => SendAsync(Encoding.ASCII.GetBytes(text));

    public async Task SendAsync(byte[] bytes)
    {
        for (int sent = 0; sent < bytes.Length;)
        {
            sent += await Socket.SendAsync(bytes.AsMemory(sent)).AsTask().WaitAsync(TransportSetup.Patience);
        }
    }

    /// <summary>Vanishes with RST.</summary>
    public void Reset()
    {
        Socket.LingerState = new LingerOption(true, 0);
        Socket.Dispose();
    }

    /// <summary>Exactly so many bytes.</summary>
    public async Task<byte[]> ReadAsync(int count)
    {
        byte[] bytes = new byte[count];
        for (int read = 0; read < count;)
        {
            Assert.True(_start < _end || await FillAsync(), $"the end came after {read} of {count} bytes");
            int length = Math.Min(_end - _start, count - read);
            _buffer.AsSpan(_start, length).CopyTo(bytes.AsSpan(read));
            _start += length;
            read += length;
        }

        return bytes;
    }

    /// <summary>The answer to a join.</summary>
    public async Task ReadJoinedAsync() =>
        Assert.Equal(TransportSetup.Joined, Encoding.ASCII.GetString(await ReadAsync(TransportSetup.Joined.Length)));

    public async Task<SentFrame> ReadFrameAsync()
    {
        byte[] header = await ReadAsync(2);
        byte[] extended = await ReadAsync(header[1] switch { 126 => 2, 127 => 8, _ => 0 });
        long length = extended.Length == 0 ? header[1] : extended.Aggregate(0L, static (value, next) => (value << 8) | next);
        return Assert.Single(SentFrame.ReadAll([.. header, .. extended, .. await ReadAsync((int)length)]));
    }

    /// <summary>Everything up to the server's end; a reset is none.</summary>
    public async Task<byte[]> ReadToEndAsync()
    {
        var bytes = new ArrayBufferWriter<byte>();
        do
        {
            bytes.Write(_buffer.AsSpan(_start, _end - _start));
            _start = _end;
        }
        while (await FillAsync());
        return bytes.WrittenSpan.ToArray();
    }

    public void Dispose() => Socket.Dispose();

    private async Task<bool> FillAsync()
    {
        _start = 0;
        _end = await Socket.ReceiveAsync(_buffer).WaitAsync(TransportSetup.Patience);
        return _end > 0;
    }
}
