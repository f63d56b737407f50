using System.Buffers;
using System.Text;
using Chat.Protocol.WebSocket;
using Chat.Server.Tests.EndToEnd;
using static Chat.Server.Tests.Conformance.EchoConnection;

namespace Chat.Server.Tests.Conformance;

public sealed class DeflateOnShards(ConformanceServer fixture) : DeflateCases(fixture), IClassFixture<ConformanceServer>;

public sealed class DeflateOnPipes(ConformanceServerOnPipes fixture) : DeflateCases(fixture), IClassFixture<ConformanceServerOnPipes>;

/// <summary>permessage-deflate (RFC 7692) against the echo endpoint: categories 12 (messages) and 13 (offers) of protocol suites.</summary>
public abstract class DeflateCases(ServerFixture fixture)
{
    private const int Text = RawClient.Text;
    private const int Continuation = RawClient.Continuation;

    private static readonly byte[] Hello = Convert.FromHexString("F248CDC9C90700"); // RFC 7692 section 7.2.3.1

    private readonly RunningServer _server = fixture.Server;

    [Theory]
    [InlineData("permessage-deflate", "permessage-deflate")]
    [InlineData("permessage-deflate; client_no_context_takeover; client_max_window_bits", "permessage-deflate; client_no_context_takeover")]
    [InlineData("permessage-deflate; server_no_context_takeover", "permessage-deflate; server_no_context_takeover")]
    [InlineData("permessage-deflate; server_max_window_bits=8; client_max_window_bits=8", "permessage-deflate; server_max_window_bits=8")]
    [InlineData("permessage-deflate; server_max_window_bits=9", "permessage-deflate; server_max_window_bits=9")]
    [InlineData("permessage-deflate; server_max_window_bits=15", "permessage-deflate; server_max_window_bits=15")]
    [InlineData(
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=9",
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=9")]
    [InlineData("permessage-foo, permessage-deflate; bar, permessage-deflate; server_max_window_bits=10", "permessage-deflate; server_max_window_bits=10")]
    public async Task Category_13_every_offer_is_met_and_messages_of_every_kind_come_back(string offers, string answer)
    {
        using EchoConnection echo = await OpenAsync(_server, offers, offers);
        Assert.Equal(answer, echo.Extensions);
        using var deflater = new Deflater(15);
        bool clientKeepsContext = !answer.Contains("client_no_context_takeover", StringComparison.Ordinal);
        var history = answer.Contains("server_no_context_takeover", StringComparison.Ordinal) ? null : new InflateHistory();
        int compressed = 0;
        foreach ((int opcode, byte[] message) in Messages())
        {
            byte[] payload = new byte[Deflater.BytesMax(message.Length)];
            payload = payload[..deflater.Compress(message, payload, clientKeepsContext)];
            int cut = payload.Length / 2;
            await echo.SendAsync([.. Frame(Rsv1 | opcode, payload.AsSpan(0, cut)), .. Frame(Fin | Continuation, payload.AsSpan(cut))]);

            (int first, byte[] echoed) = await echo.ReadAsync();
            Assert.Equal(Fin | opcode, first & ~Rsv1);
            Assert.Equal(message, (first & Rsv1) == 0 ? echoed : Inflate(echoed, history));
            compressed += first & Rsv1;
        }

        Assert.Equal(answer.Contains("=8", StringComparison.Ordinal), compressed == 0); // For a window of 8 bits it has no compressor.
        await echo.SendAsync(EchoConnection.Text("uncompressed"));
        Assert.Equal(Fin | Text, (await echo.ReadAsync()).First & ~Rsv1);
        await echo.CloseAsync();
    }

    [Theory]
    [InlineData("permessage-deflate; server_max_window_bits=16")]
    [InlineData("permessage-deflate; server_max_window_bits")]
    [InlineData("permessage-deflate; server_no_context_takeover=1")]
    [InlineData("permessage-deflate; client_max_window_bits=10; client_max_window_bits=10")]
    [InlineData("permessage-foo")]
    public async Task Category_13_offer_that_is_not_valid_is_declined_and_the_connection_goes_on_without(string offers)
    {
        using EchoConnection echo = await OpenAsync(_server, offers, offers);
        Assert.Equal("", echo.Extensions);
        await echo.SendAsync(Frame(Fin | Rsv1 | Text, Hello));
        await echo.ExpectCloseAsync(1002);
    }

    [Fact]
    public async Task Category_13_malformed_field_is_answered_with_400()
    {
        using RawClient client = await _server.ConnectRawAsync();
        await client.SendAsync(RawClient.Handshake("/conformance/echo", "Sec-WebSocket-Extensions: permessage-deflate;\r\n"));
        Assert.Equal(400, (await client.ReadResponseAsync()).Status);
    }

    [Fact]
    public async Task Category_12_thousand_messages_come_back_with_context_takeover()
    {
        using EchoConnection echo = await OpenAsync(_server, "1000 messages", "permessage-deflate");
        using var deflater = new Deflater(15);
        var history = new InflateHistory();
        for (int i = 0; i < 1000; i++)
        {
            byte[] message = Encoding.ASCII.GetBytes($$"""{"type":"message","number":{{i}},"content":"{{new string('x', i % 200)}}"}""");
            byte[] payload = new byte[Deflater.BytesMax(message.Length)];
            payload = payload[..deflater.Compress(message, payload, keepContext: true)];
            await echo.SendAsync(Frame(Fin | Rsv1 | Text, payload));
            (int first, byte[] echoed) = await echo.ReadAsync();
            Assert.Equal((Fin | Rsv1 | Text, Encoding.ASCII.GetString(message)), (first, Encoding.ASCII.GetString(Inflate(echoed, history))));
        }

        await echo.CloseAsync();
    }

    [Theory]
    [InlineData("RSV1 on a continuation", 1002, Rsv1 | Text, Fin | Rsv1 | Continuation)]
    [InlineData("RSV1 on a ping", 1002, Rsv1 | Text, Fin | Rsv1 | RawClient.Ping)]
    [InlineData("RSV2", 1002, Rsv1 | 0x20 | Text, Fin | Continuation)]
    public async Task Reserved_bits_have_one_place(string name, int code, int first, int second)
    {
        using EchoConnection echo = await OpenAsync(_server, name, "permessage-deflate");
        await echo.SendAsync([.. Frame(first, Hello), .. Frame(second, [])]);
        await echo.ExpectCloseAsync(code);
    }

    [Fact]
    public async Task What_cannot_be_inflated_or_is_not_text_fails_with_1007()
    {
        foreach (string hex in (string[])["06", "0003 00FC FF EDA080 00", "F200110000"])
        {
            using EchoConnection echo = await OpenAsync(_server, hex, "permessage-deflate; client_no_context_takeover");
            await echo.SendAsync(Frame(Fin | Rsv1 | Text, Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal))));
            await echo.ExpectCloseAsync(1007);
        }
    }

    [Fact]
    public async Task A_bomb_fails_with_1009_and_the_limit_itself_does_not()
    {
        const int Max = 16 * 1024 * 1024;
        using var deflater = new Deflater(15);
        byte[] payload = new byte[Deflater.BytesMax(Max + 1)];
        byte[] bomb = payload[..deflater.Compress(new byte[Max + 1], payload, keepContext: false)];
        byte[] fits = payload[..deflater.Compress(new byte[Max], payload, keepContext: false)];

        using EchoConnection echo = await OpenAsync(_server, "bomb", "permessage-deflate");
        await echo.SendAsync(Frame(Fin | Rsv1 | RawClient.Binary, fits));
        Assert.Equal(new byte[Max], Inflate((await echo.ReadAsync()).Payload, null));
        await echo.SendAsync(Frame(Fin | Rsv1 | RawClient.Binary, bomb));
        await echo.ExpectCloseAsync(1009);
    }

    [Fact]
    public async Task Many_bombs_within_the_limit_are_all_answered()
    {
        // More payload in one read of the socket than a session takes in one go: the rest waits for its turn, and is not lost.
        using EchoConnection echo = await OpenAsync(_server, "many", "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
        using var deflater = new Deflater(15);
        byte[] message = Encoding.ASCII.GetBytes(new string('b', 100_000));
        byte[] payload = new byte[Deflater.BytesMax(message.Length)];
        byte[] frame = Frame(Fin | Rsv1 | Text, payload.AsSpan(0, deflater.Compress(message, payload, keepContext: false)));
        await echo.SendAsync([.. Enumerable.Repeat(frame, 200).SelectMany(static bytes => bytes), .. RawClient.CloseFrame(1000)]);
        for (int i = 0; i < 200; i++)
        {
            Assert.Equal(message, Inflate((await echo.ReadAsync()).Payload, null));
        }

        await echo.ExpectCloseAsync(1000);
    }

    private static IEnumerable<(int Opcode, byte[] Payload)> Messages()
    {
        var random = new Random(12);
        foreach (int length in (int[])[0, 1, 16, 125, 1000, 9000, 65_536, 131_072])
        {
            byte[] noise = new byte[length];
            random.NextBytes(noise);
            byte[] json = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, (length / 20) + 1).Select(static i => $$"""{"id":{{i * 7919}},"né":"x"}""")));
            yield return (RawClient.Binary, noise);
            yield return (Text, json);
            yield return (Text, json); // With takeover: a few bytes.
        }
    }

    private static byte[] Inflate(byte[] payload, InflateHistory? history)
    {
        byte[] scratch = new byte[4096];
        Assert.Equal(InflateStatus.Done, Inflater.OfThread.Inflate(payload, scratch, 1 << 25, history, out byte[]? rented, out int length));
        byte[] message = (rented ?? scratch)[..length];
        if (rented is not null)
        {
            ArrayPool<byte>.Shared.Return(rented);
        }

        return message;
    }
}
