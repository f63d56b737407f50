namespace Chat.Server.Tests.EndToEnd;

/// <summary>Clients that are too slow, at every place where the server waits for one.</summary>
public sealed class PatienceTests(PatienceTests.Fixture fixture) : IClassFixture<PatienceTests.Fixture>
{
    private readonly RunningServer _server = fixture.Server;

    [Theory]
    [InlineData("GET /healthz HTTP/1.1\r\nHost: a\r\n")]
    [InlineData("G")]
    [InlineData("POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")]
    [InlineData("POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{")]
    [InlineData("POST /auth/login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{")]
    public async Task Half_a_request_and_then_silence_is_ended_with_408(string half)
    {
        using RawClient client = await _server.ConnectRawAsync();
        await client.SendAsync(half);

        RawResponse response = await client.ReadResponseAsync();

        Assert.Equal((408, "close"), (response.Status, response.Fields["Connection"]));
        await client.IsClosedAsync();
    }

    [Fact]
    public async Task Silence_from_the_start_is_ended_without_a_word()
    {
        using RawClient client = await _server.ConnectRawAsync();

        await client.IsClosedAsync();
    }

    [Fact]
    public async Task Silence_between_requests_is_ended_without_a_word()
    {
        using RawClient client = await _server.ConnectRawAsync();
        await client.SendAsync("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
        Assert.Equal(200, (await client.ReadResponseAsync()).Status);

        await client.IsClosedAsync();
    }

    [Theory]
    [InlineData("GET /healthz HTTP/1.1\r\n", "X: y\r\n")]
    [InlineData("POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n", " ")]
    [InlineData("POST /auth/login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n")]
    public async Task Trickling_does_not_extend_the_deadline(string start, string drop)
    {
        using RawClient client = await _server.ConnectRawAsync();
        await client.SendAsync(start);
        Task<RawResponse> answer = client.ReadResponseAsync();
        for (long startedAt = Environment.TickCount64; !answer.IsCompleted;)
        {
            Assert.InRange(Environment.TickCount64 - startedAt, 0, 5000);
            await client.SendAsync(drop);
            await Task.Delay(50, TestContext.Current.CancellationToken);
        }

        Assert.Equal(408, (await answer).Status);
    }

    [Fact]
    public async Task A_client_that_takes_no_answers_is_cut_off()
    {
        User user = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);
        for (int i = 0; i < 20; i++)
        {
            await _server.PublishAsync(user, room, new string('x', 4000));
        }

        using RawClient client = await _server.ConnectRawAsync(receiveBufferBytes: 4096);
        await client.SendAsync(string.Concat(Enumerable.Repeat(
            $"GET /rooms/{room}/messages HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {user.Token}\r\n\r\n", 300)));

        await _server.MetricBecomesAsync("chat_connections", connections => connections <= 1); // Ours that asks.
    }

    [Fact]
    public async Task A_client_that_takes_no_last_answer_is_cut_off()
    {
        User user = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);
        await _server.FillAsync(user, room, 200, string.Concat(Enumerable.Repeat("👋", 4000))); // A page of 3 MB.

        using RawClient client = await _server.ConnectRawAsync(receiveBufferBytes: 4096);
        await client.SendAsync(
            $"GET /rooms/{room}/messages?limit=200 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {user.Token}\r\nConnection: close\r\n\r\n");

        Assert.Equal(200, (await client.ReadResponseAsync(toHead: true)).Status); // And no further.
        await _server.MetricBecomesAsync("chat_connections", connections => connections <= 1); // Ours that asks.
    }

    [Fact]
    public async Task A_silent_socket_is_pinged_and_closed_with_4004_without_a_pong()
    {
        User user = await _server.RegisterAsync();
        using RawClient client = await _server.UpgradeRawAsync($"/ws/1?token={user.Token}");
        await client.ReadEventAsync();

        Assert.Equal(RawClient.Ping, (await client.ReadFrameAsync()).Opcode);
        Assert.Equal(4004, (await client.ReadCloseAsync()).Code);
        await client.IsClosedAsync(); // Also without an answer to the close.
    }

    [Fact]
    public async Task A_socket_that_answers_pings_stays()
    {
        User user = await _server.RegisterAsync();
        using ChatSocket socket = await _server.EnterAsync(user, 1); // Answers while it is being read.
        Task<int> closed = socket.ClosedAsync();

        using RawClient silent = await _server.UpgradeRawAsync($"/ws/1?token={user.Token}");
        Assert.Equal(4004, (await silent.ReadCloseAsync()).Code);

        Assert.False(closed.IsCompleted);
    }

    [Fact]
    public async Task A_socket_whose_token_expires_is_closed_with_4201()
    {
        User user = await _server.RegisterAsync();
        // The server allows 5 s for clocks that differ; the session ends at the written time.
        string token = Tokens.Make(user, DateTimeOffset.UtcNow.AddSeconds(2));
        using ChatSocket socket = await ChatSocket.ConnectAsync(_server, $"/ws/1?token={token}");

        Assert.Equal(4201, await socket.ClosedAsync());
    }

    [Fact]
    public async Task A_client_that_breaks_the_protocol_and_takes_nothing_is_cut_off()
    {
        User user = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);
        string content = string.Concat(Enumerable.Repeat("👋", 4000));
        await _server.FillAsync(user, room, 500, content); // 8 MB, twice what the kernel takes.

        using RawClient client = await _server.UpgradeRawAsync($"/ws/{room}?token={user.Token}&since=0", receiveBufferBytes: 4096);
        using RawClient half = await _server.UpgradeRawAsync($"/ws/{room}?token={user.Token}&since=0", receiveBufferBytes: 4096);
        await client.SendAsync(RawClient.Frame(RawClient.Binary, "x"));
        half.EndInput();

        await _server.MetricBecomesAsync("chat_websockets", sockets => sockets == 0);
        await _server.MetricBecomesAsync("chat_connections", connections => connections <= 1);
    }

    public sealed class Fixture() : ServerFixture(ServerLaunch.Sqlite
        .With("HTTP_HEAD_TIMEOUT_MS", "700")
        .With("HTTP_BODY_TIMEOUT_MS", "700")
        .With("HTTP_KEEPALIVE_TIMEOUT_MS", "700")
        .With("WS_PING_INTERVAL_MS", "1000")
        .With("WS_PONG_TIMEOUT_MS", "1000")
        .With("WS_CLOSE_TIMEOUT_MS", "500")
        .With("RESUME_BYTES_MAX", "33554432")
        .With("BACKLOG_BYTES_MAX", "33554432")
        .With("BACKLOG_TIME_MAX_MS", "600000"));
}
