using System.Text;
using System.Text.Json;
using Chat.Protocol.WebSocket;

namespace Chat.Server.Tests.EndToEnd;

public sealed class CompressionOnShards(SqliteServer fixture) : CompressionTests(fixture), IClassFixture<SqliteServer>;

public sealed class SqliteServerOnPipes() : ServerFixture(ServerLaunch.Sqlite.With("TRANSPORT", "sockets"));

public sealed class CompressionOnPipes(SqliteServerOnPipes fixture) : CompressionTests(fixture), IClassFixture<SqliteServerOnPipes>;

/// <summary>permessage-deflate on chat sockets.</summary>
public abstract class CompressionTests(ServerFixture fixture)
{
    private const int Fin = 0x80;
    private const int Rsv1 = 0x40;

    private readonly RunningServer _server = fixture.Server;

    [Fact]
    public async Task Long_events_are_compressed_for_those_who_agreed_and_short_ones_for_nobody()
    {
        User user = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);
        using RawClient compressing = await EnterAsync(user, room, "permessage-deflate; client_max_window_bits");
        using RawClient small = await EnterAsync(user, room, "permessage-deflate; server_max_window_bits=9");
        using ChatSocket plain = await _server.EnterAsync(user, room);
        string[] contents = [.. Enumerable.Range(0, 40).Select(static i => i % 2 == 0 ? $"short {i}" : $"long {i} " + new string('é', 1500))];

        int compressed = 0;
        for (int i = 0; i < contents.Length; i++)
        {
            await plain.SayAsync(contents[i]);
            Assert.Equal(contents[i], (await plain.SkipToAsync("message")).Text("content"));
            (int first, string content) = await NextContentAsync(compressing);
            Assert.Equal(contents[i], content);
            Assert.True((first & Rsv1) == 0 || i % 2 == 1, $"compressed: {content}");
            Assert.Equal((Fin | RawClient.Text, contents[i]), await NextContentAsync(small));
            compressed += first & Rsv1;
        }

        Assert.NotEqual(0, compressed); // A shard that comes by before the form is there sends the ring's bytes: not all need be.
    }

    [Fact]
    public async Task Compressed_commands_are_taken_in_fragments_and_beside_others()
    {
        User user = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);
        using RawClient client = await EnterAsync(user, room, "permessage-deflate");
        using ChatSocket plain = await _server.EnterAsync(user, room);
        byte[] first = Compress("""{"content":"compressed"}""");
        byte[] second = Compress("""{"content":"in pieces"}""");

        await client.SendAsync(
        [
            .. RawClient.Frame(Fin | Rsv1 | RawClient.Text, first),
            .. RawClient.Frame(RawClient.Text, """{"content":"plain"}"""),
            .. RawClient.Frame(Rsv1 | RawClient.Text, second.AsSpan(0, 5)), .. RawClient.Frame(Fin | RawClient.Continuation, second.AsSpan(5)),
        ]);

        foreach (string content in (string[])["compressed", "plain", "in pieces"])
        {
            Assert.Equal(content, (await plain.SkipToAsync("message")).Text("content"));
        }
    }

    [Theory]
    [InlineData(65_536, 0)]
    [InlineData(65_537, 1009)]
    public async Task Limit_of_a_message_is_that_of_what_is_inflated(int bytes, int code)
    {
        User user = await _server.RegisterAsync();
        using RawClient client = await EnterAsync(user, 1, "permessage-deflate");
        await client.SendAsync(RawClient.Frame(Fin | Rsv1 | RawClient.Text, Compress("{}" + new string(' ', bytes - 2))));
        if (code == 0)
        {
            Assert.Contains("missing_field", await client.ReadEventAsync(), StringComparison.Ordinal);
        }
        else
        {
            Assert.Equal(code, (await client.ReadCloseAsync()).Code);
        }
    }

    /// <summary>Enters a room, with the welcome read.</summary>
    private async Task<RawClient> EnterAsync(User user, long room, string offers)
    {
        RawClient client = await _server.ConnectRawAsync();
        await client.SendAsync(RawClient.Handshake($"/ws/{room}?token={user.Token}", $"Sec-WebSocket-Extensions: {offers}\r\n"));
        RawResponse response = await client.ReadResponseAsync();
        Assert.Equal(101, response.Status);
        Assert.StartsWith(
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover", response.Fields["Sec-WebSocket-Extensions"], StringComparison.Ordinal);
        Assert.Contains("welcome", await client.ReadEventAsync(), StringComparison.Ordinal);
        return client;
    }

    private static async Task<(int First, string Content)> NextContentAsync(RawClient client)
    {
        while (true)
        {
            (int first, byte[] payload) = await client.ReadAnyFrameAsync();
            if ((first & Rsv1) != 0)
            {
                byte[] scratch = new byte[65_536];
                Assert.Equal(InflateStatus.Done, Inflater.OfThread.Inflate(payload, scratch, scratch.Length, null, out _, out int length));
                payload = scratch[..length];
            }

            JsonElement json = JsonElement.Parse(Encoding.UTF8.GetString(payload));
            if (json.Text("type") == "message")
            {
                return (first, json.Text("content"));
            }
        }
    }

    private static byte[] Compress(string text)
    {
        using var deflater = new Deflater(15);
        byte[] payload = Encoding.UTF8.GetBytes(text);
        byte[] compressed = new byte[Deflater.BytesMax(payload.Length)];
        return compressed[..deflater.Compress(payload, compressed, keepContext: false)];
    }
}
