namespace Chat.Server.Tests.EndToEnd;

/// <summary>A member that does not read, in a room where much is said.</summary>
public sealed class SlowConsumerTests(SlowConsumerTests.Fixture fixture) : IClassFixture<SlowConsumerTests.Fixture>
{
    private const string BacklogBytesMax = "524288";
    private const int Messages = 3000;

    private readonly RunningServer _server = fixture.Server;

    [Fact]
    public async Task A_member_that_does_not_read_is_closed_while_the_others_get_everything_and_it_can_resume()
    {
        User user = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);
        using ChatSocket reader = await _server.EnterAsync(user, room);
        using RawClient slow = await _server.UpgradeRawAsync($"/ws/{room}?token={user.Token}", receiveBufferBytes: 4096);
        await slow.ReadEventAsync();
        long before = await _server.MetricAsync("chat_slow_consumers_total");

        for (int seq = 1; seq < Messages; seq += 50) // 12 MB; the kernel takes 4.
        {
            await _server.FillAsync(user, room, 50, new string('x', 4000));
            await reader.NextMessagesAsync(seq, 50);
        }

        await _server.MetricBecomesAsync("chat_slow_consumers_total", value => value == before + 1);

        // What it reads now is whole events in order, and then the reason.
        long seen = 0;
        int code = 0;
        while (code == 0)
        {
            (int opcode, byte[] payload) = await slow.ReadFrameAsync();
            if (opcode == RawClient.Close)
            {
                code = (payload[0] << 8) | payload[1];
            }
            else
            {
                Assert.Equal(++seen, System.Text.Json.JsonElement.Parse(payload).Number("seq"));
            }
        }

        Assert.Equal(4002, code);
        Assert.InRange(seen, 1, Messages - 1);
        using ChatSocket resumed = await _server.EnterAsync(user, room, $"&since={Messages - 100}&epoch={reader.Welcome.Number("epoch")}");
        Assert.True(resumed.Welcome.Flag("recovered"));
        await resumed.NextMessagesAsync(Messages - 99, 100);
    }

    /// <summary>Events for one client alone are short, and some thousand of them fill each buffer of its backlog.</summary>
    [Fact]
    public async Task A_client_that_asks_and_does_not_read_is_closed_between_two_answers()
    {
        byte[] pings = [.. Enumerable.Repeat(RawClient.Frame(RawClient.Text, """{"type":"ping"}"""), 1000).SelectMany(static frame => frame)];

        using RawClient slow = await AskUntilClosedAsync(pings);

        while (true)
        {
            (int opcode, byte[] payload) = await slow.ReadFrameAsync();
            if (opcode == RawClient.Close)
            {
                Assert.Equal(4002, (payload[0] << 8) | payload[1]);
                break;
            }

            Assert.Equal("pong", System.Text.Json.JsonElement.Parse(payload).Text("type"));
        }
    }

    /// <summary>RFC 6455 section 5.5.2: every ping is answered, also while the client is behind.</summary>
    [Fact]
    public async Task A_client_that_is_behind_gets_a_pong_for_each_ping_until_it_is_too_far_behind()
    {
        const int PingsPerBlock = 100;
        byte[] pings =
        [
            .. Enumerable.Range(0, PingsPerBlock).SelectMany(static i => RawClient.Frame(RawClient.Ping, $"{i}".PadRight(125))),
        ];

        using RawClient slow = await AskUntilClosedAsync(pings);

        for (int i = 0; ; i++)
        {
            (int opcode, byte[] payload) = await slow.ReadFrameAsync();
            if (opcode == RawClient.Close)
            {
                Assert.Equal(4002, (payload[0] << 8) | payload[1]);
                Assert.True(i > PingsPerBlock);
                break;
            }

            Assert.Equal($"{i % PingsPerBlock}", System.Text.Encoding.ASCII.GetString(payload).TrimEnd());
        }
    }

    [Fact]
    public async Task A_member_that_never_reads_again_is_cut_off()
    {
        await using RunningServer server = await RunningServer.StartAsync(
            ServerLaunch.Sqlite.With("BACKLOG_BYTES_MAX", BacklogBytesMax).With("WS_CLOSE_TIMEOUT_MS", "1000"));
        User user = await server.RegisterAsync();
        long room = await server.CreateRoomAsync(user);
        using RawClient slow = await server.UpgradeRawAsync($"/ws/{room}?token={user.Token}", receiveBufferBytes: 4096);
        await server.MetricBecomesAsync("chat_websockets", sockets => sockets == 1);

        await server.FillAsync(user, room, Messages, new string('x', 4000));

        await server.MetricBecomesAsync("chat_websockets", sockets => sockets == 0);
    }

    /// <summary>Sends the frames again and again and reads nothing until it has been closed; then its welcome.</summary>
    private async Task<RawClient> AskUntilClosedAsync(byte[] frames)
    {
        const int BytesMax = 64 * 1024 * 1024;
        User user = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);
        long before = await _server.MetricAsync("chat_slow_consumers_total");
        RawClient slow = await _server.UpgradeRawAsync($"/ws/{room}?token={user.Token}", receiveBufferBytes: 4096);
        Task closed = _server.MetricBecomesAsync("chat_slow_consumers_total", value => value == before + 1);
        await slow.FloodAsync(frames, BytesMax / frames.Length, until: closed);
        await closed;
        Assert.Contains("welcome", await slow.ReadEventAsync());
        return slow;
    }

    public sealed class Fixture() : ServerFixture(ServerLaunch.Sqlite
        .With("BACKLOG_BYTES_MAX", BacklogBytesMax)
        .With("WS_CLOSE_TIMEOUT_MS", "60000")); // These clients read to the end, as long as that takes on a busy machine.
}
