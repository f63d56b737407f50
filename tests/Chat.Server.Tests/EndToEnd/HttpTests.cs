using System.Globalization;
using System.Text;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>HTTP/1.1 as it is on the wire. What is stored plays no part here, so that one store is enough.</summary>
public sealed class HttpTests(HttpTests.Fixture fixture) : IClassFixture<HttpTests.Fixture>
{
    private const string Login = """{"email":"nobody@example.com","password":"pass123"}""";

    private readonly RunningServer _server = fixture.Server;

    [Fact]
    public async Task A_connection_is_kept_for_the_next_request()
    {
        using RawClient client = await _server.ConnectRawAsync();
        for (int i = 0; i < 3; i++)
        {
            await client.SendAsync("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
            RawResponse response = await client.ReadResponseAsync();
            Assert.Equal(("HTTP/1.1 200 OK", """{"status":"ok","database":null,"message_log":null}"""), (response.StatusLine, response.Content));
            Assert.DoesNotContain("Connection", response.Fields.Keys);
            Assert.True(DateTimeOffset.TryParseExact(response.Fields["Date"], "r", CultureInfo.InvariantCulture, DateTimeStyles.None, out _));
        }
    }

    [Fact]
    public async Task Pipelined_requests_are_answered_in_their_order()
    {
        var requests = new StringBuilder();
        for (int i = 0; i < 200; i++)
        {
            requests.Append(CultureInfo.InvariantCulture, $"{(i % 4) switch
            {
                0 => "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
                1 => $"POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: {Login.Length}\r\n\r\n{Login}",
                2 => "POST /auth/login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n",
                _ => "HEAD /nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
            }}");
        }

        using RawClient client = await _server.ConnectRawAsync();
        await client.SendAsync(requests.ToString());

        for (int i = 0; i < 200; i++)
        {
            RawResponse response = await client.ReadResponseAsync(toHead: i % 4 == 3);
            Assert.Equal((i % 4) switch { 0 => 200, 1 => 401, 2 => 400, _ => 404 }, response.Status);
        }
    }

    [Theory]
    [InlineData("Content-Length: 2\r\n\r\n", "[]")]
    [InlineData("Content-Length: 2\r\n\r\n[", "]")]
    [InlineData("Transfer-Encoding: chunked\r\n\r\n2\r\n[", "]\r\n0\r\n\r\n")]
    public async Task An_answer_does_not_wait_for_the_content_of_the_next_request(string start, string rest)
    {
        using RawClient client = await _server.ConnectRawAsync();
        await client.SendAsync("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nPOST /auth/login HTTP/1.1\r\nHost: a\r\n" + start);

        Assert.Equal(200, (await client.ReadResponseAsync()).Status);
        await client.SendAsync(rest);
        Assert.Equal(400, (await client.ReadResponseAsync()).Status);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)] // It has sent its last, and can read.
    public async Task An_answer_does_not_wait_for_the_answer_to_the_next_request(bool endsItsSide)
    {
        User user = await _server.RegisterAsync();
        const string Room = """{"name":"A room that waits"}""";
        using RawClient client = await _server.ConnectRawAsync();
        await using (await _server.LockDatabaseAsync())
        {
            await client.SendAsync(
                "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
                + $"POST /rooms HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {user.Token}\r\nContent-Length: {Room.Length}\r\n\r\n{Room}");
            if (endsItsSide)
            {
                client.EndInput();
            }

            Assert.Equal(200, (await client.ReadResponseAsync()).Status);
        }

        Assert.Equal(201, (await client.ReadResponseAsync()).Status);
    }

    [Fact]
    public async Task Pipelined_answers_that_nobody_reads_do_not_pile_up_in_memory()
    {
        const int Clients = 8;
        const int RequestsEach = 300;
        User user = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);
        for (int i = 0; i < 50; i++)
        {
            await _server.PublishAsync(user, room, new string('x', 4000)); // A page of 200 KiB for a request of 400 bytes.
        }

        string request = $"GET /rooms/{room}/messages HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {user.Token}\r\n\r\n";
        string requests = string.Concat(Enumerable.Repeat(request, RequestsEach));
        long before = await _server.MetricAsync("chat_process_working_set_bytes");
        var clients = new List<RawClient>();
        for (int i = 0; i < Clients; i++)
        {
            RawClient client = await _server.ConnectRawAsync(receiveBufferBytes: 4096);
            clients.Add(client);
            await client.SendAsync(requests);
        }

        long answered = 0;
        int quiet = 0;
        await _server.AskUntilAsync(
            async () =>
            {
                long now = await _server.MetricAsync("chat_http_requests_total");
                quiet = now - answered > 1 ? 0 : quiet + 1; // It answers nothing but our own question.
                answered = now;
                return quiet == 10;
            },
            Deadline.ForStart,
            () => "The server still answers clients that take nothing.");

        long grown = await _server.MetricAsync("chat_process_working_set_bytes") - before;

        Assert.InRange(grown, long.MinValue, 128 * 1024 * 1024); // All the answers would be 480 MiB.
        clients.ForEach(client => client.Reset());
    }

    [Fact]
    public async Task Http_1_0_closes_unless_asked_to_stay()
    {
        using RawClient closing = await _server.ConnectRawAsync();
        await closing.SendAsync("GET /healthz HTTP/1.0\r\n\r\n");
        Assert.Equal((200, "close"), await closing.ReadResponseAsync() is var closed ? (closed.Status, closed.Fields["Connection"]) : default);
        await closing.IsClosedAsync();

        using RawClient staying = await _server.ConnectRawAsync();
        await staying.SendAsync("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        Assert.Equal("keep-alive", (await staying.ReadResponseAsync()).Fields["Connection"]);
        await staying.SendAsync("GET /healthz HTTP/1.0\r\n\r\n");
        Assert.Equal(200, (await staying.ReadResponseAsync()).Status);
        await staying.IsClosedAsync();
    }

    [Fact]
    public async Task Connection_close_is_honoured_and_later_requests_are_not_answered()
    {
        using RawClient client = await _server.ConnectRawAsync();
        await client.SendAsync("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");

        Assert.Equal("close", (await client.ReadResponseAsync()).Fields["Connection"]);
        await client.IsClosedAsync();
    }

    [Fact]
    public async Task Head_is_get_without_the_content()
    {
        using RawClient client = await _server.ConnectRawAsync();
        await client.SendAsync("GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\nHEAD /openapi.json HTTP/1.1\r\nHost: a\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");

        RawResponse get = await client.ReadResponseAsync();
        RawResponse head = await client.ReadResponseAsync(toHead: true);
        RawResponse next = await client.ReadResponseAsync();

        Assert.Equal((200, 200), (get.Status, head.Status));
        Assert.Equal(get.Fields["Content-Length"], head.Fields["Content-Length"]);
        Assert.Contains("\"status\":\"ok\"", next.Content, StringComparison.Ordinal);
    }

    [Theory] // RFC 9110 section 9.3.2. What stands behind the method may be anything.
    [InlineData(400, "HEAD /healthz HTTP/1.1\r\n\r\n")]
    [InlineData(400, "HEAD healthz HTTP/1.1\r\n\r\n")]
    [InlineData(400, "HEAD /healthz\r\n\r\n")]
    [InlineData(400, "HEAD /healthz HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n")]
    [InlineData(400, "HEAD /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")]
    [InlineData(413, "HEAD /auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n")]
    [InlineData(417, "HEAD /healthz HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n")]
    [InlineData(421, "HEAD https://a/healthz HTTP/1.1\r\nHost: a\r\n\r\n")]
    [InlineData(501, "HEAD /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n")]
    [InlineData(505, "HEAD /healthz HTTP/2.0\r\nHost: a\r\n\r\n")]
    public async Task A_refusal_of_a_head_request_has_no_content(int status, string request)
    {
        using RawClient client = await _server.ConnectRawAsync();
        await client.SendAsync("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" + request);

        Assert.Equal(200, (await client.ReadResponseAsync()).Status);
        RawResponse response = await client.ReadResponseAsync(toHead: true);

        Assert.Equal((status, "close"), (response.Status, response.Fields["Connection"]));
        await client.IsClosedAsync();
    }

    [Theory]
    [InlineData(200)]
    [InlineData(10_000)]
    public async Task A_head_request_with_a_target_that_is_too_long_gets_no_content(int more)
    {
        using RawClient client = await _server.ConnectRawAsync();
        await client.SendAsync($"HEAD /{new string('x', (8 * 1024) + more)} HTTP/1.1\r\nHost: a\r\n\r\n");

        Assert.Equal(414, (await client.ReadResponseAsync(toHead: true)).Status);
        await client.IsClosedAsync();
    }

    [Theory] // RFC 9110 section 7.4.
    [InlineData("https://a/healthz")]
    [InlineData("HTTPS://a:443/healthz?x=1")]
    [InlineData("https://a")]
    public async Task An_https_target_on_a_connection_that_is_not_secured_is_421(string target)
    {
        using RawClient client = await _server.ConnectRawAsync();
        await client.SendAsync($"GET {target} HTTP/1.1\r\nHost: a\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");

        RawResponse response = await client.ReadResponseAsync();

        Assert.Equal((421, "close"), (response.Status, response.Fields["Connection"]));
        await client.IsClosedAsync();
    }

    [Theory]
    [InlineData("PUT", "/rooms", "GET, HEAD, POST, OPTIONS")]
    [InlineData("DELETE", "/auth/login", "POST, OPTIONS")]
    [InlineData("HEAD", "/auth/login", "POST, OPTIONS")]
    [InlineData("PATCH", "/rooms/1/members", "GET, HEAD, POST, DELETE, OPTIONS")]
    [InlineData("get", "/healthz", "GET, HEAD, OPTIONS")] // Methods are case-sensitive: RFC 9110 section 9.1.
    public async Task A_method_that_a_path_does_not_know_is_405_with_those_it_knows(string method, string path, string allow)
    {
        using RawClient client = await _server.ConnectRawAsync();
        await client.SendAsync($"{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n");

        RawResponse response = await client.ReadResponseAsync(toHead: method == "HEAD");

        Assert.Equal((405, allow), (response.Status, response.Fields["Allow"]));
    }

    [Theory]
    [InlineData("/nowhere")]
    [InlineData("/rooms/")]
    [InlineData("/rooms/1/messages/")]
    [InlineData("//rooms")]
    [InlineData("/ROOMS")]
    [InlineData("/rooms/1/2/messages")]
    [InlineData("/.git/config")]
    [InlineData("/%72ooms")]
    public async Task A_path_that_is_not_there_is_404(string path)
    {
        using RawClient client = await _server.ConnectRawAsync();
        await client.SendAsync($"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");

        RawResponse response = await client.ReadResponseAsync();

        Assert.Equal((404, "application/problem+json"), (response.Status, response.Fields["Content-Type"]));
    }

    [Fact]
    public async Task Options_tells_the_methods_of_a_path_and_of_the_server()
    {
        using RawClient client = await _server.ConnectRawAsync();
        await client.SendAsync(string.Concat(
            new[] { "/rooms", "/ws", "/ws/1", "*" }.Select(static target => $"OPTIONS {target} HTTP/1.1\r\nHost: a\r\n\r\n")));

        RawResponse path = await client.ReadResponseAsync();
        Assert.Equal((204, "GET, HEAD, POST, OPTIONS"), (path.Status, path.Fields["Allow"]));
        Assert.DoesNotContain("Access-Control-Allow-Origin", path.Fields.Keys);
        for (int i = 0; i < 2; i++)
        {
            RawResponse socketPath = await client.ReadResponseAsync();
            Assert.Equal((204, "GET, OPTIONS"), (socketPath.Status, socketPath.Fields["Allow"]));
        }

        Assert.Equal(204, (await client.ReadResponseAsync()).Status);
    }

    [Theory]
    [InlineData("https://chat.example.com", true)]
    [InlineData("https://evil.example.com", false)]
    [InlineData("https://chat.example.com.evil.example", false)]
    [InlineData("http://chat.example.com", false)]
    [InlineData("null", false)]
    public async Task A_preflight_is_answered_for_configured_origins_only(string origin, bool isAllowed)
    {
        using RawClient client = await _server.ConnectRawAsync();
        await client.SendAsync(
            $"OPTIONS /rooms HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization,content-type\r\n\r\n"
            + $"GET /rooms HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\n\r\n");

        RawResponse preflight = await client.ReadResponseAsync();
        RawResponse request = await client.ReadResponseAsync();

        Assert.Equal((204, 401), (preflight.Status, request.Status));
        Assert.Equal(isAllowed ? origin : null, preflight.Fields.GetValueOrDefault("Access-Control-Allow-Origin"));
        Assert.Equal(isAllowed ? origin : null, request.Fields.GetValueOrDefault("Access-Control-Allow-Origin"));
        Assert.Equal(isAllowed, preflight.Fields.GetValueOrDefault("Access-Control-Allow-Headers")?.Contains("Authorization", StringComparison.Ordinal) ?? false);
        Assert.Equal(("Origin", "Origin"), (preflight.Fields["Vary"], request.Fields["Vary"]));
        Assert.DoesNotContain("Access-Control-Allow-Credentials", preflight.Fields.Keys);
    }

    [Fact]
    public async Task A_client_that_waits_for_100_continue_gets_it()
    {
        using RawClient client = await _server.ConnectRawAsync();
        await client.SendAsync($"POST /auth/login HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {Login.Length}\r\n\r\n");

        Assert.Equal("HTTP/1.1 100 Continue", (await client.ReadResponseAsync()).StatusLine);
        await client.SendAsync(Login);
        Assert.Equal(401, (await client.ReadResponseAsync()).Status);
    }

    [Fact]
    public async Task Content_that_would_be_too_large_is_refused_instead_of_100_continue()
    {
        using RawClient client = await _server.ConnectRawAsync();
        await client.SendAsync("POST /auth/login HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n");

        Assert.Equal(413, (await client.ReadResponseAsync()).Status);
        await client.IsClosedAsync();
    }

    [Fact]
    public async Task Chunks_may_arrive_a_byte_at_a_time_with_extensions_and_trailers()
    {
        string body = string.Concat(Login.Chunk(7).Select(chunk => $"{chunk.Length:x};name=\"value\"\r\n{new string(chunk)}\r\n")) + "0\r\nTrailer: x\r\n\r\n";
        using RawClient client = await _server.ConnectRawAsync();

        foreach (char letter in $"POST /auth/login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
        {
            await client.SendAsync($"{letter}");
        }

        Assert.Contains("bad_credentials", (await client.ReadResponseAsync()).Content, StringComparison.Ordinal);
        await client.SendAsync("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
        Assert.Equal(200, (await client.ReadResponseAsync()).Status);
    }

    public static TheoryData<string, int, string> Refusals()
    {
        const string Get = "GET /healthz HTTP/1.1\r\nHost: a\r\n";
        const string Post = "POST /auth/login HTTP/1.1\r\nHost: a\r\n";
        return new TheoryData<string, int, string>
        {
            { "bare LF", 400, "GET /healthz HTTP/1.1\nHost: a\n\n" },
            { "bare CR", 400, "GET /healthz HTTP/1.1\rHost: a\r\n\r\n" },
            { "LF in a field", 400, Get + "X: a\nb\r\n\r\n" },
            { "NUL in a field", 400, Get + "X: a\0b\r\n\r\n" },
            { "obs-fold", 400, Get + "X: a\r\n b\r\n\r\n" },
            { "space before the colon", 400, Get + "X : a\r\n\r\n" },
            { "no colon", 400, Get + "X\r\n\r\n" },
            { "empty field name", 400, Get + ": a\r\n\r\n" },
            { "no Host", 400, "GET /healthz HTTP/1.1\r\n\r\n" },
            { "two Hosts", 400, Get + "Host: a\r\n\r\n" },
            { "two spaces in the request line", 400, "GET  /healthz HTTP/1.1\r\nHost: a\r\n\r\n" },
            { "HTTP/0.9", 400, "GET /healthz\r\n\r\n" },
            { "HTTP/2.0", 505, "GET /healthz HTTP/2.0\r\nHost: a\r\n\r\n" },
            { "HTTP/2 preface", 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" },
            { "TLS to a plain port", 400, "\u0016\u0003\u0001\u0002\0\u0001\0\r\n\r\n" },
            { "CONNECT", 501, "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n" },
            { "method too long", 501, new string('M', 100) + " / HTTP/1.1\r\nHost: a\r\n\r\n" },
            { "both lengths", 400, Post + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
            { "two lengths", 400, Post + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n[]" },
            { "list of lengths", 400, Post + "Content-Length: 2, 2\r\n\r\n[]" },
            { "negative length", 400, Post + "Content-Length: -1\r\n\r\n" },
            { "length with a sign", 400, Post + "Content-Length: +2\r\n\r\n[]" },
            { "length overflow", 400, Post + "Content-Length: 99999999999999999999999\r\n\r\n" },
            { "coding that is not chunked", 400, Post + "Transfer-Encoding: gzip\r\n\r\n" },
            { "unknown coding", 501, Post + "Transfer-Encoding: gzip, chunked\r\n\r\n" },
            { "coding after chunked", 400, Post + "Transfer-Encoding: chunked, identity\r\n\r\n" },
            { "chunked in HTTP/1.0", 400, "POST /auth/login HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
            { "bad chunk size", 400, Post + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n" },
            { "chunk size overflow", 413, Post + "Transfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n" },
            { "chunk longer than its size", 400, Post + "Transfer-Encoding: chunked\r\n\r\n1\r\n[]\r\n0\r\n\r\n" },
            { "unknown expectation", 417, Post + "Expect: 200-maybe\r\nContent-Length: 2\r\n\r\n[]" },
            { "content too large", 413, Post + "Content-Length: 65537\r\n\r\n" + new string(' ', 65537) },
            { "chunks too large", 413, Post + "Transfer-Encoding: chunked\r\n\r\n" + string.Concat(Enumerable.Repeat("1000\r\n" + new string(' ', 4096) + "\r\n", 17)) },
            { "target too long", 414, "GET /" + new string('a', 10_000) + " HTTP/1.1\r\nHost: a\r\n\r\n" },
            { "field too long", 431, Get + "X: " + new string('a', 40_000) + "\r\n\r\n" },
            { "too many fields", 431, Get + string.Concat(Enumerable.Repeat("X: a\r\n", 101)) + "\r\n" },
            { "endless head", 431, "GET /healthz HTTP/1.1\r\n" + string.Concat(Enumerable.Repeat("X: a\r\n", 10_000)) },
            { "endless trailer", 431, Post + "Transfer-Encoding: chunked\r\n\r\n0\r\n" + string.Concat(Enumerable.Repeat("X: a\r\n", 10_000)) },
        };
    }

    [Theory]
    [MemberData(nameof(Refusals))]
    public async Task A_malformed_request_is_refused_and_the_connection_closed(string what, int status, string request)
    {
        using RawClient client = await _server.ConnectRawAsync();
        await client.SendAsync(request);
        await TrySendNextAsync(client);

        RawResponse response = await client.ReadResponseAsync();

        Assert.True(response.Status == status, $"{what}: {response.StatusLine}");
        Assert.Equal(("close", "application/problem+json"), (response.Fields["Connection"], response.Fields["Content-Type"]));
        Assert.Contains($"\"status\":{status}", response.Content, StringComparison.Ordinal);
        await client.IsClosedAsync(); // What follows is never answered: where it begins is not known.
    }

    [Theory]
    [InlineData(431, "GET /healthz HTTP/1.1\r\nHost: a\r\nX: ", "y")]
    [InlineData(431, "GET /healthz HTTP/1.1\r\nHost: a\r\n", "X: y\r\n")]
    [InlineData(414, "GET /", "y")]
    [InlineData(501, "", "Y")]
    public async Task A_head_of_20_MB_in_one_byte_writes_is_cut_off_early(int status, string start, string drop)
    {
        string endless = start + string.Concat(Enumerable.Repeat(drop, 20_000_000 / drop.Length));
        using RawClient client = await _server.ConnectRawAsync();

        int sent = await client.TrickleAsync(endless, untilAnswered: true);

        Assert.Equal((status, "close"), await client.ReadResponseAsync() is var response ? (response.Status, response.Fields["Connection"]) : default);
        await client.IsClosedAsync();
        Assert.InRange(sent, 1, 2_000_000); // The limits are far below; the rest was on its way.
    }

    [Theory]
    [InlineData("")]
    [InlineData("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")]
    public async Task Requests_before_a_malformed_one_are_answered_first(string before)
    {
        using RawClient client = await _server.ConnectRawAsync();
        await client.SendAsync($"{before}GET /healthz HTTP/1.1\nHost: a\r\n\r\n");

        if (before.Length > 0)
        {
            Assert.Equal(200, (await client.ReadResponseAsync()).Status);
        }

        Assert.Equal(400, (await client.ReadResponseAsync()).Status);
        await client.IsClosedAsync();
    }

    [Fact]
    public async Task A_head_cut_at_any_byte_is_read_as_one()
    {
        const string Request = "GET /healthz HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
        using RawClient client = await _server.ConnectRawAsync();
        for (int cut = 1; cut < Request.Length; cut++)
        {
            await client.SendAsync(Request[..cut]);
            await client.SendAsync(Request[cut..]);
            Assert.Equal(200, (await client.ReadResponseAsync()).Status);
        }
    }

    private static async Task TrySendNextAsync(RawClient client)
    {
        try
        {
            await client.SendAsync("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        catch (Xunit.Sdk.XunitException exception) when (exception.InnerException is System.Net.Sockets.SocketException)
        {
            // Refused and closed already.
        }
    }

    public sealed class Fixture() : ServerFixture(ServerLaunch.Sqlite.With("CORS_ORIGINS", "https://chat.example.com, http://localhost:5173"));
}
