using System.Net.Sockets;
using System.Text;
using Chat.Protocol.WebSocket;
using Chat.Server.Tests.Connections;
using Chat.Server.Tests.Rooms;
using Chat.Server.Transport;

namespace Chat.Server.Tests.Transport;

/// <summary>Real sockets on real shards: how connections end, whoever ends them, and what still reaches the other side.</summary>
public sealed class SocketEndTests
{
    public static TheoryData<string> Engines => TransportSetup.Engines;

    [Theory]
    [MemberData(nameof(Engines))]
    public async Task Every_accept_ends_in_one_close_wherever_the_peer_goes(string engine)
    {
        await using TransportSetup setup = await TransportSetup.OpenAsync(engine, shards: 2);
        byte[] join = Encoding.ASCII.GetBytes($"join {RoomSetup.RoomId}\r\n");
        byte[] say = ClientFrame.Text("""{"type":"message","content":"x"}""");
        byte[][] stages =
        [
            [],
            "join 1"u8.ToArray(),
            "get 10\r\n"u8.ToArray(),
            "get 5000000\r\n"u8.ToArray(),
            join,
            [.. join, .. say[..1]],
            [.. join, .. say[..9]],
            [.. join, .. say],
            [.. join, .. say, .. ClientFrame.Of(Opcode.Close, [3, 232])],
            [.. join, .. ClientFrame.Of(Opcode.Binary, [1])],
            [.. join, .. new byte[100]],
        ];
        int accepted = 0;
        for (int round = 0; round < 20; round++)
        {
            foreach (byte[] stage in stages)
            {
                ShardClient client = await setup.ConnectAsync();
                await client.SendAsync(stage);
                if (round % 4 < 2 && stage.Length >= join.Length && stage[0] == 'j')
                {
                    await client.ReadAsync(1); // It goes in the middle of the answer, and not before the server has seen it.
                }

                if (round % 2 == 0)
                {
                    client.Reset();
                }
                else
                {
                    client.Dispose();
                }

                accepted++;
            }

            setup.Publish(setup.Rooms.Room, "to those that are dying");
        }

        await setup.AllCloseAsync(accepted);
        Assert.Equal(0, setup.Rooms.Room.MemberCount);
        Assert.Equal(0, setup.Rooms.Services.Metrics.WebSockets.Value);
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public async Task Who_was_sending_when_it_was_told_can_send_that_to_its_end(string engine)
    {
        await using TransportSetup setup = await TransportSetup.OpenAsync(engine);
        using ShardClient client = await setup.JoinAsync([setup.Rooms.Room]);
        await client.SendAsync([.. ClientFrame.Of(Opcode.Binary, [1]), .. new byte[200 * 1024], .. ClientFrame.Of(Opcode.Close, [3, 235])]);

        Assert.Equal(CloseCode.UnsupportedData, (await client.ReadFrameAsync()).CloseCode);
        Assert.Empty(await client.ReadToEndAsync());
        client.Socket.Shutdown(SocketShutdown.Send);
        await setup.AllCloseAsync(1);
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public async Task Who_floods_after_our_last_word_can_read_it_and_is_cut_off(string engine)
    {
        const int SentMost = 64 << 20; // More than both kernels' buffers; a second of what loopback carries.
        await using TransportSetup setup = await TransportSetup.OpenAsync(
            engine, limits: TransportSetup.Limits with { CloseTimeoutMs = int.MaxValue });
        using ShardClient client = await setup.JoinAsync([setup.Rooms.Room]);
        await client.SendAsync(ClientFrame.Of(Opcode.Binary, [1]));
        int sent = 0;
        byte[] flood = new byte[64 * 1024];
        await Assert.ThrowsAsync<SocketException>(async () =>
        {
            for (; sent < SentMost; sent += flood.Length)
            {
                await client.SendAsync(flood);
            }
        });

        Assert.Equal(CloseCode.UnsupportedData, (await client.ReadFrameAsync()).CloseCode);
        await setup.AllCloseAsync(1);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_close_frame_is_answered_also_when_the_end_of_input_came_with_it(bool isEnd)
    {
        await using TransportSetup setup = await TransportSetup.OpenAsync(nameof(SendEngine.Send));
        using ShardClient member = await setup.JoinAsync([setup.Rooms.Room]);
        using (await TransportSetup.HoldAsync(setup.Shards[0]))
        {
            await member.SendAsync(ClientFrame.Of(Opcode.Close, [3, 232]));
            if (isEnd)
            {
                member.Socket.Shutdown(SocketShutdown.Send);
            }
        }

        SentFrame frame = Assert.Single(SentFrame.ReadAll(await member.ReadToEndAsync()));
        Assert.Equal(CloseCode.NormalClosure, frame.CloseCode);
    }

    [Fact]
    public async Task An_end_of_input_without_a_close_frame_ends_the_connection_when_what_came_before_is_answered()
    {
        await using TransportSetup setup = await TransportSetup.OpenAsync(nameof(SendEngine.Send));
        using ShardClient member = await setup.JoinAsync([setup.Rooms.Room]);
        using (await TransportSetup.HoldAsync(setup.Shards[0]))
        {
            await member.SendAsync(ClientFrame.Text("""{"type":"ping"}"""));
            member.Socket.Shutdown(SocketShutdown.Send); // With bytes before it: one event tells of both.
        }

        Assert.Equal("pong", Assert.Single(SentFrame.ReadAll(await member.ReadToEndAsync())).Type);
        await setup.AllCloseAsync(1);
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public async Task A_slow_member_that_ends_its_side_gets_what_waits_for_it(string engine)
    {
        const int Messages = 3000;
        await using TransportSetup setup = await TransportSetup.OpenAsync(engine);
        using ShardClient slow = await setup.JoinAsync([setup.Rooms.Room], receiveBufferBytes: 2048);
        using ShardClient reader = await setup.JoinAsync([setup.Rooms.Room]);
        for (int seq = 1; seq <= Messages; seq++)
        {
            setup.Publish(setup.Rooms.Room, new string('x', 1000));
            await reader.ReadFrameAsync();
        }

        slow.Socket.Shutdown(SocketShutdown.Send);
        List<SentFrame> frames = SentFrame.ReadAll(await slow.ReadToEndAsync());
        Assert.Equal(Enumerable.Range(1, Messages).Select(static seq => (long)seq), frames.Select(static frame => frame.Seq));
    }

    [Fact]
    public async Task A_member_that_ends_its_side_and_reads_nothing_is_not_waited_for()
    {
        await using TransportSetup setup = await TransportSetup.OpenAsync(
            nameof(SendEngine.Send), limits: TransportSetup.Limits with { PingIntervalMs = 1, PongTimeoutMs = 1, CloseTimeoutMs = 1 });
        using ShardClient stopped = await setup.JoinAsync([setup.Rooms.Room], receiveBufferBytes: 2048);
        using ShardClient reader = await setup.JoinAsync([setup.Rooms.Room]);
        for (ShardSocket socket = setup.Connection(stopped).Socket; socket.BacklogBytes == 0;)
        {
            setup.Publish(setup.Rooms.Room, new string('x', 4000));
            await reader.ReadFrameAsync();
        }

        stopped.Socket.Shutdown(SocketShutdown.Send);
        reader.Dispose();
        for (long deadline = Environment.TickCount64 + (long)TransportSetup.Patience.TotalMilliseconds; setup.Closed < 2;)
        {
            Assert.True(Environment.TickCount64 < deadline);
            setup.Shards[0].PostSweep();
            await TransportSetup.RunOnAsync(setup.Shards[0], static () => { });
        }

        await setup.AllCloseAsync(2);
    }
}
