using System.Net.WebSockets;
using System.Text;
using System.Text.Json;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>What a client sends after the handshake, right and wrong. The store plays no part here.</summary>
public sealed class WebSocketInputTests(SqliteServer fixture) : IClassFixture<SqliteServer>
{
    private const int Fin = 0x80;

    private readonly RunningServer _server = fixture.Server;

    public static TheoryData<string, int, byte[]> Violations()
    {
        byte[] close1000 = RawClient.CloseFrame(1000);
        byte[] emoji = "👋"u8.ToArray();
        return new TheoryData<string, int, byte[]>
        {
            { "not masked", 1002, RawClient.Frame(Fin | RawClient.Text, "{}"u8, isMasked: false) },
            { "RSV1 without permessage-deflate", 1002, RawClient.Frame(Fin | 0x40 | RawClient.Text, "{}"u8) },
            { "RSV2", 1002, RawClient.Frame(Fin | 0x20 | RawClient.Text, "{}"u8) },
            { "RSV3 on a ping", 1002, RawClient.Frame(Fin | 0x10 | RawClient.Ping, "{}"u8) },
            { "reserved data opcode", 1002, RawClient.Frame(Fin | 3, "{}"u8) },
            { "reserved control opcode", 1002, RawClient.Frame(Fin | 11, "{}"u8) },
            { "fragmented ping", 1002, RawClient.Frame(RawClient.Ping, "{}"u8) },
            { "fragmented close", 1002, RawClient.Frame(RawClient.Close, [3, 232]) },
            { "ping over 125 bytes", 1002, RawClient.Frame(Fin | RawClient.Ping, new byte[126]) },
            { "continuation of nothing", 1002, RawClient.Frame(Fin | RawClient.Continuation, "{}"u8) },
            { "text within a text", 1002, [.. RawClient.Frame(RawClient.Text, "{"u8), .. RawClient.Frame(Fin | RawClient.Text, "}"u8)] },
            { "length not in the fewest bytes", 1002, [0x81, 0xFE, 0, 5, 0, 0, 0, 0] },
            { "length with its highest bit set", 1002, [0x81, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] },
            { "frame over the limit", 1009, RawClient.Frame(Fin | RawClient.Text, new byte[65537]) },
            { "frame far over the limit, announced only", 1009, [0x81, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0] },
            { "fragments over the limit", 1009, [.. RawClient.Frame(RawClient.Text, new byte[40_000].AsSpan()), .. RawClient.Frame(Fin, new byte[40_000])] },
            { "invalid UTF-8", 1007, RawClient.Frame(Fin | RawClient.Text, [0x22, 0xC3, 0x28, 0x22]) },
            { "overlong UTF-8", 1007, RawClient.Frame(Fin | RawClient.Text, [0xC0, 0xAF]) },
            { "UTF-8 surrogate", 1007, RawClient.Frame(Fin | RawClient.Text, [0xED, 0xA0, 0x80]) },
            { "UTF-8 that ends early", 1007, RawClient.Frame(Fin | RawClient.Text, emoji.AsSpan(0, 3)) },
            { "UTF-8 that breaks in the second fragment", 1007, [.. RawClient.Frame(RawClient.Text, emoji.AsSpan(0, 2)), .. RawClient.Frame(RawClient.Continuation, "x"u8)] },
            { "binary", 1003, RawClient.Frame(Fin | RawClient.Binary, "{}"u8) },
            { "close with one byte", 1002, RawClient.Frame(Fin | RawClient.Close, [3]) },
            { "close with a reason that is not UTF-8", 1007, RawClient.Frame(Fin | RawClient.Close, [3, 232, 0xFF]) },
            { "close 999", 1002, RawClient.CloseFrame(999) },
            { "close 1004", 1002, RawClient.CloseFrame(1004) },
            { "close 1005", 1002, RawClient.CloseFrame(1005) },
            { "close 1006", 1002, RawClient.CloseFrame(1006) },
            { "close 1015", 1002, RawClient.CloseFrame(1015) },
            { "close 2999", 1002, RawClient.CloseFrame(2999) },
            { "close 5000", 1002, RawClient.CloseFrame(5000) },
            { "text after close", 1000, [.. close1000, .. RawClient.Frame(RawClient.Text, """{"content":"late"}""")] },
            { "garbage after close", 1000, [.. close1000, .. new byte[100]] },
        };
    }

    [Theory]
    [MemberData(nameof(Violations))]
    public async Task A_violation_is_answered_with_its_close_code(string what, int code, byte[] bytes)
    {
        User user = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);
        using ChatSocket other = await _server.EnterAsync(user, room);
        using RawClient client = await _server.UpgradeRawAsync($"/ws/{room}?token={user.Token}");

        await client.SendAsync(bytes);

        (int Code, string Reason) close = await client.ReadCloseAsync();
        Assert.True(close.Code == code, $"{what}: {close}");
        Assert.InRange(close.Reason.Length, code == 1000 ? 0 : 1, 123);
        await client.IsClosedAsync();
        await other.NothingElseAsync(); // The room has not heard of it.
        Assert.Empty(await _server.HistoryAsync(user, room));
    }

    [Fact]
    public async Task The_close_code_arrives_even_when_the_client_goes_on_sending()
    {
        User user = await _server.RegisterAsync();
        for (int i = 0; i < 10; i++)
        {
            using RawClient client = await _server.UpgradeRawAsync($"/ws/1?token={user.Token}");
            byte[] oversize = RawClient.Frame(Fin | RawClient.Text, new byte[1024 * 1024]);

            await client.SendAsync(oversize);

            Assert.Equal(1009, (await client.ReadCloseAsync()).Code); // A reset would have destroyed it.
        }
    }

    [Fact]
    public async Task Who_floods_after_the_close_code_is_cut_off()
    {
        const int TimesMax = 1000; // 64 MB: more than both kernels' buffers and a pipe; a second of what loopback carries.
        User user = await _server.RegisterAsync();
        using RawClient client = await _server.UpgradeRawAsync($"/ws/1?token={user.Token}");
        Task<(int Code, string Reason)> close = client.ReadCloseAsync();
        await client.SendAsync(RawClient.Frame(Fin | RawClient.Binary, "{}"u8));

        Assert.InRange(await client.FloodAsync(new byte[64 * 1024], TimesMax), 0, TimesMax - 1);
        Assert.Equal(1003, (await close).Code);
    }

    public static TheoryData<string, string, string> RefusedCommands() => new()
    {
        { "bad_json", "", "" },
        { "bad_json", "hi", "" },
        { "bad_json", "[]", "" },
        { "bad_json", "\"text\"", "" },
        { "bad_json", "null", "" },
        { "bad_json", """{"content":"x"}{"content":"y"}""", "" },
        { "bad_json", """{"content":"x",}""", "" },
        { "bad_json", """{'content':'x'}""", "" },
        { "bad_json", "{\"content\":\"line\nfeed\"}", "" },
        { "bad_json", """{"x":""" + new string('[', 1000) + new string(']', 1000) + ",\"content\":\"x\"}", "" },
        { "unknown_type", """{"type":"shout","content":"x","nonce":"n1"}""", "n1" },
        { "unknown_type", """{"type":"","content":"x"}""", "" },
        { "missing_field", "{}", "" },
        { "missing_field", """{"type":"message","nonce":"n2"}""", "n2" },
        { "missing_field", """{"type":"subscribe"}""", "" },
        { "bad_field", """{"type":7,"content":"x"}""", "" },
        { "bad_field", """{"content":"","nonce":"n3"}""", "n3" },
        { "bad_field", """{"content":7}""", "" },
        { "bad_field", """{"content":null}""", "" },
        { "bad_field", """{"content":["x"]}""", "" },
        { "bad_field", """{"content":"a\u0000b","nonce":"n4"}""", "n4" },
        { "bad_field", """{"content":"\uD800","nonce":"n5"}""", "n5" },
        { "bad_field", """{"content":"\uDC00x"}""", "" },
        { "bad_field", """{"nonce":"n6","content":"\uDC00\uD800"}""", "n6" },
        { "bad_field", """{"content":"x","nonce":""}""", "" },
        { "bad_field", """{"content":"x","nonce":7}""", "" },
        { "bad_field", """{"content":"x","nonce":"a\nb"}""", "" },
        { "bad_field", "{\"content\":\"x\",\"nonce\":\"" + new string('n', 65) + "\"}", "" },
        { "bad_field", """{"content":"x","content":"y","nonce":"n7"}""", "n7" },
        { "bad_field", """{"content":"x","room_id":"1"}""", "" },
        { "bad_field", """{"content":"x","room_id":-1}""", "" },
        { "bad_field", """{"content":"x","room_id":1.5}""", "" },
        { "bad_field", """{"content":"x","room_id":9223372036854775808}""", "" },
        { "not_subscribed", """{"content":"x","room_id":2,"nonce":"n8"}""", "n8" },
        { "not_subscribed", """{"type":"subscribe","room_id":2}""", "" },
        { "not_subscribed", """{"type":"unsubscribe","room_id":2}""", "" },
    };

    [Theory]
    [MemberData(nameof(RefusedCommands))]
    public async Task A_refused_command_is_answered_with_an_error_and_the_socket_stays(string code, string command, string nonce)
    {
        User user = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);
        using ChatSocket socket = await _server.EnterAsync(user, room);

        await socket.SendAsync(command);

        JsonElement error = await socket.NextErrorAsync(code);
        Assert.NotEmpty(error.Text("message"));
        Assert.Equal(nonce, error.TryGetProperty("nonce", out JsonElement echo) ? echo.GetString() : "");
        await socket.SayAsync("after");
        await socket.NextMessagesAsync(1, 1); // The refused one has taken no place.
    }

    [Theory]
    [InlineData("x")]
    [InlineData("é")]
    [InlineData("👋")]
    public async Task Content_of_4000_characters_is_accepted_and_of_4001_is_not(string character)
    {
        User user = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);
        using ChatSocket socket = await _server.EnterAsync(user, room);
        string longest = string.Concat(Enumerable.Repeat(character, 4000));

        await socket.SendAsync($$"""{"content":"{{longest}}{{character}}","nonce":"n"}""");
        Assert.Equal("n", (await socket.NextErrorAsync("bad_field")).Text("nonce"));
        await socket.SayAsync(longest); // With escapes, for what is not ASCII.

        Assert.Equal(longest, (await socket.NextMessagesAsync(1, 1))[0].Text("content"));
    }

    [Fact]
    public async Task Commands_on_a_socket_without_a_room_need_one()
    {
        User user = await _server.RegisterAsync();
        using ChatSocket socket = await ChatSocket.ConnectAsync(_server, $"/ws?token={user.Token}");
        await socket.NextAsync("welcome");

        await socket.SendAsync("""{"content":"x","nonce":"n"}""");
        Assert.Equal("n", (await socket.NextErrorAsync("missing_field")).Text("nonce"));
        await socket.SendAsync("""{"type":"message","room_id":1,"content":"x"}""");
        Assert.Equal(1, (await socket.NextErrorAsync("not_subscribed")).Number("room_id"));
        foreach (string room in (string[])["99999", "9223372036854775807"])
        {
            await socket.SendAsync($$"""{"type":"subscribe","room_id":{{room}}}""");
            Assert.Equal(long.Parse(room), (await socket.NextErrorAsync("no_such_room")).Number("room_id"));
        }

        await socket.SendAsync("""{"type":"subscribe","room_id":0}""");
        await socket.NextErrorAsync("bad_field");
    }

    [Fact]
    public async Task A_fragmented_message_is_read_with_control_frames_between_its_fragments()
    {
        User user = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);
        using RawClient client = await _server.UpgradeRawAsync($"/ws/{room}?token={user.Token}");
        await client.ReadEventAsync();
        byte[] command = Encoding.UTF8.GetBytes("""{"content":"👋 in pieces"}""");
        int split = Array.IndexOf(command, (byte)0xF0) + 2; // Within a character.

        await client.SendAsync(RawClient.Frame(RawClient.Text, command.AsSpan(0, split)));
        await client.SendAsync(RawClient.Frame(RawClient.Ping, "between"));
        (int opcode, byte[] payload) = await client.ReadFrameAsync();
        await client.SendAsync(RawClient.Frame(RawClient.Continuation, []));
        await client.SendAsync(RawClient.Frame(RawClient.Pong, "unasked"));
        await client.SendAsync(RawClient.Frame(Fin | RawClient.Continuation, command.AsSpan(split)));

        Assert.Equal((RawClient.Pong, "between"), (opcode, Encoding.UTF8.GetString(payload)));
        Assert.Equal("👋 in pieces", JsonElement.Parse(await client.ReadEventAsync()).Text("content"));
    }

    [Fact]
    public async Task Frames_cut_at_every_byte_are_read()
    {
        User user = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);
        using RawClient client = await _server.UpgradeRawAsync($"/ws/{room}?token={user.Token}");
        await client.ReadEventAsync();

        await SendByBytesAsync([.. RawClient.Frame(RawClient.Ping, "p"), .. RawClient.Frame(RawClient.Text, """{"content":"bytes"}""")]);
        Assert.Equal(RawClient.Pong, (await client.ReadFrameAsync()).Opcode);
        Assert.Contains("bytes", await client.ReadEventAsync(), StringComparison.Ordinal);
        await SendByBytesAsync(RawClient.CloseFrame(1001)); // Not before: who closes may miss its own last event.
        Assert.Equal(1001, (await client.ReadCloseAsync()).Code);

        async Task SendByBytesAsync(byte[] bytes)
        {
            foreach (byte next in bytes)
            {
                await client.SendAsync([next]);
            }
        }
    }

    [Theory]
    [InlineData(1000)]
    [InlineData(1001)]
    [InlineData(3000)]
    [InlineData(4999)]
    public async Task A_close_is_echoed(int code)
    {
        User user = await _server.RegisterAsync();
        using ChatSocket socket = await _server.EnterAsync(user, 1);

        Assert.Equal(code, await socket.CloseAsync((WebSocketCloseStatus)code, "bye"));
    }

    [Fact]
    public async Task A_message_accepted_before_the_close_is_stored()
    {
        User user = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);
        using ChatSocket reader = await _server.EnterAsync(user, room);
        using RawClient client = await _server.UpgradeRawAsync($"/ws/{room}?token={user.Token}");

        await client.SendAsync([.. RawClient.Frame(RawClient.Text, """{"content":"last words"}"""), .. RawClient.CloseFrame(1000)]);

        Assert.Equal(1000, (await client.ReadCloseAsync()).Code);
        Assert.Equal("last words", (await reader.NextMessagesAsync(1, 1))[0].Text("content"));
    }
}
