using System.Globalization;
using System.Text;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>The opening handshake as it is on the wire: who is let in, and what becomes of the connection of who is not.</summary>
public sealed class UpgradeTests(HttpTests.Fixture fixture) : IClassFixture<HttpTests.Fixture>
{
    private readonly RunningServer _server = fixture.Server;

    [Fact]
    public async Task A_handshake_from_a_foreign_origin_is_403_and_from_our_own_pages_is_not()
    {
        User user = await _server.RegisterAsync();
        string path = $"/ws/1?token={user.Token}";

        Assert.Equal(403, await ChatSocket.RefusedAsync(_server, path, options => options.SetRequestHeader("Origin", "https://evil.example.com")));
        using ChatSocket configured = await ChatSocket.ConnectAsync(
            _server, path, options => options.SetRequestHeader("Origin", "https://chat.example.com"));
        using ChatSocket own = await ChatSocket.ConnectAsync(
            _server, path, options => options.SetRequestHeader("Origin", $"http://{_server.Url.Authority}"));
        await configured.NextAsync("welcome");
        await own.NextAsync("welcome");
    }

    [Theory]
    [InlineData("https://chat.example.com", "https://evil.example.com")]
    [InlineData("https://evil.example.com", "https://chat.example.com")]
    [InlineData("https://chat.example.com", "https://chat.example.com")]
    public async Task Two_origins_are_none_that_is_allowed(string first, string second)
    {
        User user = await _server.RegisterAsync();
        string origins = $"Origin: {first}\r\nOrigin: {second}\r\n";
        using RawClient client = await _server.ConnectRawAsync();
        await client.SendAsync($"GET /healthz HTTP/1.1\r\nHost: a\r\n{origins}\r\n" + RawClient.Handshake($"/ws/1?token={user.Token}", origins));

        Assert.DoesNotContain("Access-Control-Allow-Origin", (await client.ReadResponseAsync()).Fields.Keys);
        Assert.Equal(403, (await client.ReadResponseAsync()).Status);
        await client.IsClosedAsync();
    }

    [Theory]
    [InlineData("Bearer {0}", "Bearer bad")]
    [InlineData("Bearer bad", "Bearer {0}")]
    [InlineData("Bearer {0}", "Basic YTpi")]
    [InlineData("Basic YTpi", "Bearer {0}")]
    public async Task Two_credentials_are_none(string first, string second)
    {
        User user = await _server.RegisterAsync();
        string fields = string.Format(CultureInfo.InvariantCulture, $"Authorization: {first}\r\nAuthorization: {second}\r\n", user.Token);
        using RawClient client = await _server.ConnectRawAsync();
        await client.SendAsync($"GET /rooms HTTP/1.1\r\nHost: a\r\n{fields}\r\n" + RawClient.Handshake($"/ws/1?token={user.Token}", fields));

        Assert.Equal(401, (await client.ReadResponseAsync()).Status);
        Assert.Equal(401, (await client.ReadResponseAsync()).Status);
        await client.IsClosedAsync();
    }

    [Theory]
    [InlineData(426, "/ws/1", "")] // No handshake at all.
    [InlineData(426, "/ws", "")]
    [InlineData(400, "/ws/1", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n")]
    [InlineData(400, "/ws/1", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2hvcnQ=\r\n")]
    [InlineData(400, "/ws/1", "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")]
    [InlineData(426, "/ws/1", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")]
    [InlineData(404, "/nothing", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")]
    public async Task A_bad_handshake_is_refused_with_a_status(int status, string path, string fields)
    {
        using RawClient client = await _server.ConnectRawAsync();
        await client.SendAsync($"GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");

        RawResponse response = await client.ReadResponseAsync();

        Assert.Equal(status, response.Status);
        if (status == 426)
        {
            Assert.Equal(("websocket", "13"), (response.Fields["Upgrade"], response.Fields["Sec-WebSocket-Version"]));
        }
    }

    [Theory]
    [InlineData(401, "", "")]
    [InlineData(400, "Upgrade: websocket\r\n", "")]
    [InlineData(400, "Upgrade: websocket", "Upgade: websocket")]
    [InlineData(400, "Upgrade: websocket", "Upgrade: h2c")]
    [InlineData(400, "Connection: Upgrade\r\n", "")]
    [InlineData(404, "/ws/1?token=bad", "/nothing")]
    [InlineData(505, "HTTP/1.1", "HTTP/1.2")]
    [InlineData(426, "HTTP/1.1", "HTTP/1.0")]
    [InlineData(426, "HTTP/1.1", "HTTP/1.0\r\nConnection: keep-alive")]
    [InlineData(426, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13", "Upgrade: h2c")]
    [InlineData(200, "/ws/1?token=bad", "/healthz")] // Upgrade is ignored where there is nothing to upgrade to (RFC 9110 section 7.8).
    [InlineData(200, "/ws/1?token=bad HTTP/1.1", "/healthz HTTP/1.0\r\nConnection: keep-alive")]
    public async Task What_follows_a_refused_handshake_is_never_answered(int status, string part, string replacement)
    {
        using RawClient client = await _server.ConnectRawAsync();
        string handshake = RawClient.Handshake("/ws/1?token=bad");
        await client.SendAsync(
            (part.Length > 0 ? handshake.Replace(part, replacement, StringComparison.Ordinal) : handshake) + "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");

        RawResponse response = await client.ReadResponseAsync();

        Assert.Equal((status, "close"), (response.Status, response.Fields["Connection"].Split(',')[0]));
        await client.IsClosedAsync();
    }

    [Fact] // RFC 9110 section 7.8.
    public async Task A_handshake_that_expects_100_continue_gets_it_before_the_101()
    {
        User user = await _server.RegisterAsync();
        using RawClient client = await _server.ConnectRawAsync();
        await client.SendAsync(RawClient.Handshake($"/ws/1?token={user.Token}", "Expect: 100-continue\r\n"));

        Assert.Equal(100, (await client.ReadResponseAsync()).Status);
        Assert.Equal(101, (await client.ReadResponseAsync()).Status);
        Assert.Contains("welcome", Encoding.UTF8.GetString((await client.ReadFrameAsync()).Payload), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Frames_in_the_same_write_as_the_handshake_are_read()
    {
        User user = await _server.RegisterAsync();
        using RawClient client = await _server.ConnectRawAsync();
        await client.SendAsync([
            .. Encoding.ASCII.GetBytes(RawClient.Handshake($"/ws/1?token={user.Token}")),
            .. RawClient.Frame(RawClient.Text, """{"type":"ping"}"""),
            .. RawClient.Frame(RawClient.Ping, "payload"),
            .. RawClient.CloseFrame(1000)]);

        RawResponse response = await client.ReadResponseAsync();
        // RFC 6455 section 1.3.
        Assert.Equal((101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), (response.Status, response.Fields["Sec-WebSocket-Accept"]));
        Assert.Contains("\"type\":\"welcome\"", await client.ReadEventAsync(), StringComparison.Ordinal);
        Assert.Contains("\"type\":\"pong\"", await client.ReadEventAsync(), StringComparison.Ordinal);
        (int opcode, byte[] payload) = await client.ReadFrameAsync();
        Assert.Equal((RawClient.Pong, "payload"), (opcode, Encoding.ASCII.GetString(payload)));
        Assert.Equal(1000, (await client.ReadCloseAsync()).Code);
        await client.IsClosedAsync();
    }
}
