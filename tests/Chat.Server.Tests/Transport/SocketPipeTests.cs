using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using Chat.Protocol.WebSocket;
using Chat.Server.Tests.Rooms;
using Chat.Server.Transport;

namespace Chat.Server.Tests.Transport;

/// <summary>The HTTP phase of a shard's socket: reader, writer, and the way from there to a session.</summary>
public sealed partial class SocketPipeTests
{
    [Theory]
    [InlineData(100)]
    [InlineData(4095)]
    [InlineData(4096)] // Exactly the reader's buffer.
    [InlineData(4097)]
    [InlineData(8192)]
    [InlineData(70_000)] // More than one read of a shard.
    public async Task Frames_that_come_with_the_handshake_reach_the_session(int totalBytes)
    {
        await using TransportSetup setup = await TransportSetup.OpenAsync(nameof(SendEngine.Send));
        var bytes = new List<byte>(Encoding.ASCII.GetBytes($"join {RoomSetup.RoomId}\r\n"));
        int pings = 0;
        for (; bytes.Count < totalBytes; pings++)
        {
            byte[] frame = new byte[FrameWriter.MaskedFrameBytes(15)];
            FrameWriter.WriteMasked(frame, Opcode.Text, """{"type":"ping"}"""u8, maskingKey: (uint)pings);
            bytes.AddRange(frame);
        }

        // Cut in a frame: the rest comes when the session is there.
        using ShardClient client = await setup.ConnectAsync();
        using (await TransportSetup.HoldAsync(setup.Shards[0]))
        {
            await client.SendAsync([.. bytes[..totalBytes]]);
        }

        await client.ReadJoinedAsync();
        Assert.Equal("welcome", (await client.ReadFrameAsync()).Type);
        await client.SendAsync([.. bytes[totalBytes..]]);
        for (int i = 0; i < pings; i++)
        {
            Assert.Equal("pong", (await client.ReadFrameAsync()).Type);
        }
    }

    [Fact]
    public async Task Who_is_told_that_nothing_more_comes_is_still_read()
    {
        await using TransportSetup setup = await TransportSetup.OpenAsync(nameof(SendEngine.Send));
        using ShardClient client = await setup.ConnectAsync();
        await client.SendAsync("end 100\r\n");
        await client.ReadAsync(100);
        Assert.Empty(await client.ReadToEndAsync());
        Assert.Equal((1, 0), (setup.Answered, setup.Closed));

        await client.SendAsync("end 0\r\n");
        client.Socket.Shutdown(SocketShutdown.Send);
        await setup.AllCloseAsync(1);

        Assert.Equal(2, setup.Answered);
    }

    [Fact]
    public async Task A_client_that_floods_with_requests_leaves_the_shard_its_turns()
    {
        const int Requests = 20_000;
        await using TransportSetup setup = await TransportSetup.OpenAsync(nameof(SendEngine.Send));
        using ShardClient client = await setup.ConnectAsync();
        await client.SendAsync("get 1\r\n");
        await client.ReadAsync(1); // From here its handler goes on inline, on the shard.
        int answeredAtMark;
        using (IDisposable hold = await TransportSetup.HoldAsync(setup.Shards[0]))
        {
            await client.SendAsync(string.Concat(Enumerable.Repeat("get 1\r\n", Requests)));
            Task mark = Task.CompletedTask;
            int answered = 0;
            // Posted by the work that runs first: the mark is in the turn after the one that sees the socket readable.
            Task marked = TransportSetup.RunOnAsync(
                setup.Shards[0],
                () => mark = TransportSetup.RunOnAsync(setup.Shards[0], () => answered = setup.Answered));
            hold.Dispose();
            await marked;
            await mark;
            answeredAtMark = answered;
        }

        Assert.InRange(answeredAtMark, 1, Requests / 2);
        await client.ReadAsync(Requests);
    }

    /// <summary>Reads on the thread pool, input on the shard, cancels from a third thread: whichever wins, no byte and no wait is lost.</summary>
    [Fact]
    public async Task Cancels_that_race_with_input_and_with_its_end_lose_nothing()
    {
        const int Bytes = 20_000;
        CancellationToken stop = TestContext.Current.CancellationToken;
        await using TransportSetup setup = await TransportSetup.OpenAsync(nameof(SendEngine.Send));
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        using var client = new ShardClient(null);
        await client.Socket.ConnectAsync(listener.LocalEndPoint!, stop);
        using Socket accepted = await listener.AcceptAsync(stop);
        int fd = Duplicate((int)accepted.Handle);
        var connection = new ShardConnection(setup.Shards[0], fd, accepted.RemoteEndPoint);
        accepted.Dispose();
        PipeReader reader = connection.Transport.Input;
        int received = 0;
        int canceled = 0;
        Task reading = Task.Run(async () =>
        {
            for (bool isOver = false; !isOver;)
            {
                ReadResult read = await reader.ReadAsync(stop);
                received += (int)read.Buffer.Length;
                canceled += read.IsCanceled ? 1 : 0;
                isOver = read.IsCompleted && read.Buffer.IsEmpty;
                reader.AdvanceTo(read.Buffer.End);
                await Task.Yield(); // The next read begins off the shard.
            }
        }, stop);
        Task canceling = Task.Run(() =>
        {
            while (!reading.IsCompleted)
            {
                reader.CancelPendingRead();
                Thread.Yield();
            }
        }, stop);
        for (int i = 0; i < Bytes; i++)
        {
            await client.SendAsync([1]);
        }

        client.Socket.Shutdown(SocketShutdown.Send);
        await reading.WaitAsync(TransportSetup.Patience, stop);
        await canceling.WaitAsync(TransportSetup.Patience, stop);
        Assert.Equal(Bytes, received);
        Assert.InRange(canceled, 1, int.MaxValue);
        connection.Finish();
        await connection.Closed.WaitAsync(TransportSetup.Patience, stop);
    }

    [Fact]
    public async Task An_answer_that_the_peer_takes_slowly_arrives_whole()
    {
        await using TransportSetup setup = await TransportSetup.OpenAsync(nameof(SendEngine.Send));
        using ShardClient client = await setup.ConnectAsync(receiveBufferBytes: 2048);
        await client.SendAsync("get 3000000\r\nget 7\r\n");
        await client.ReadAsync(3_000_007);
    }

    /// <summary>What was written before the handshake's answer, and that, are the session's to send: none of it is a frame.</summary>
    [Theory]
    [MemberData(nameof(TransportSetup.Engines), MemberType = typeof(TransportSetup))]
    public async Task Answers_that_the_peer_takes_slowly_go_before_the_session(string engine)
    {
        const int Messages = 100;
        await using TransportSetup setup = await TransportSetup.OpenAsync(engine);
        using ShardClient client = await setup.ConnectAsync(receiveBufferBytes: 2048);
        await client.SendAsync($"get 3000000\r\njoin {RoomSetup.RoomId}\r\n");
        await client.ReadAsync(1); // Its session has begun.
        for (int seq = 1; seq <= Messages; seq++)
        {
            setup.Publish(setup.Rooms.Room, $"message {seq}");
        }

        Assert.Equal(-1, Array.FindIndex(await client.ReadAsync(2_999_999), static value => value != 0));
        await client.ReadJoinedAsync();
        Assert.Equal("welcome", (await client.ReadFrameAsync()).Type);
        for (int seq = 1; seq <= Messages; seq++)
        {
            SentFrame frame = await client.ReadFrameAsync();
            Assert.Equal((seq, $"message {seq}"), (frame.Seq, frame.Content));
        }
    }

    [Theory]
    [MemberData(nameof(TransportSetup.Engines), MemberType = typeof(TransportSetup))]
    public async Task A_session_closed_before_its_handshakes_answer_could_leave_is_told_after_it(string engine)
    {
        await using TransportSetup setup = await TransportSetup.OpenAsync(
            engine, limits: TransportSetup.Limits with { BacklogBytesMax = 1 << 20 });
        using ShardClient client = await setup.ConnectAsync(receiveBufferBytes: 2048);
        await client.SendAsync($"get 3000000\r\njoin {RoomSetup.RoomId}\r\n");
        await client.ReadAsync(1);
        setup.Shards[0].PostSweep();
        Assert.Equal(-1, Array.FindIndex(await client.ReadAsync(2_999_999), static value => value != 0));
        await client.ReadJoinedAsync();
        SentFrame close = await client.ReadFrameAsync();
        Assert.Equal(((int)Opcode.Close, CloseCode.SlowConsumer), (close.Opcode, close.CloseCode));
        Assert.Equal(1, setup.Rooms.Services.Metrics.SlowConsumers.Value);
    }

    [Fact]
    public async Task An_accepted_socket_has_the_options_of_the_one_that_listens()
    {
        await using TransportSetup setup = await TransportSetup.OpenAsync(nameof(SendEngine.Send));
        using ShardClient client = await setup.JoinAsync([setup.Rooms.Room]);
        using var socket = new Socket(new SafeSocketHandle(setup.Connection(client).Socket.Fd, ownsHandle: false));
        Assert.True(socket.NoDelay);
        Assert.Equal(2 * 256 * 1024, socket.SendBufferSize); // As the kernel counts: with its own bookkeeping.
        Span<byte> unsentMax = stackalloc byte[sizeof(int)];
        socket.GetRawSocketOption(Libc.IPPROTO_TCP, Libc.TCP_NOTSENT_LOWAT, unsentMax);
        Assert.Equal(64 * 1024, MemoryMarshal.Read<int>(unsentMax));
    }

    [Fact]
    public async Task A_connection_knows_its_peer_before_and_after_its_handshake()
    {
        await using TransportSetup setup = await TransportSetup.OpenAsync(nameof(SendEngine.Send));
        using ShardClient client = await setup.ConnectAsync();
        await client.SendAsync("get 1\r\n");
        await client.ReadAsync(1);
        ShardConnection connection = setup.Connection(client);
        await client.SendAsync($"join {RoomSetup.RoomId}\r\n");
        await client.ReadJoinedAsync();
        Assert.Equal(connection, setup.Connection(client));
    }

    [Fact]
    public async Task An_abort_ends_a_reader_and_a_writer_that_wait()
    {
        await using TransportSetup setup = await TransportSetup.OpenAsync(nameof(SendEngine.Send), shards: 2);
        using ShardClient waitsForInput = await setup.ConnectAsync();
        using ShardClient takesNothing = await setup.ConnectAsync(receiveBufferBytes: 2048);
        await takesNothing.SendAsync("get 5000000\r\n");
        await takesNothing.ReadAsync(1);
        // Disposing aborts both and waits until each handler has let go.
    }

    /// <summary>A descriptor that belongs to nobody's Socket.</summary>
    [LibraryImport("libc", EntryPoint = "dup")]
    private static partial int Duplicate(int fd);
}
