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

        Assert.Equal(TransportSetup.Joined, Encoding.ASCII.GetString(await client.ReadAsync(TransportSetup.Joined.Length)));
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
        accepted.Dispose();
        var connection = new ShardConnection(setup.Shards[0], fd);
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
