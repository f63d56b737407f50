using System.Text;
using System.Text.Json;
using Chat.Fuzz.Targets;
using Chat.Protocol.WebSocket;
using Chat.Server.Tests.EndToEnd;

namespace Chat.Fuzz;

/// <summary>Inputs that reach far into a parser, for a fuzzer to begin with.</summary>
internal static class Seed
{
    /// <summary>In the layout of <see cref="FuzzInput"/>.</summary>
    public static byte[] Of(int options, int cutSeed, ReadOnlySpan<byte> data) => [(byte)options, (byte)cutSeed, .. data];

    public static byte[] Of(int options, int cutSeed, string data) => Of(options, cutSeed, Encoding.Latin1.GetBytes(data));

    public static byte[] Hex(string hex) => Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal));
}

internal static class HttpSeeds
{
    private const string Upgrade =
        "GET /ws/1?token=a%2Eb+c&since=41 HTTP/1.1\r\nHost: chat.example:3000\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n" +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat.v1, bearer.abc\r\n" +
        "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=\"10\"; client_max_window_bits, x; y=\"\\\"\"\r\n\r\n";

    private static readonly string[] More =
    [
        Upgrade,
        "\r\nPOST /rooms HTTP/1.1\r\nHost: [::1]:3000\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n0123456789GET / HTTP/1.0\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n",
        "GET http://a.example:80/x?y HTTP/1.1\r\nhost: A.example\r\nX: \t\u00E9 \r\n\r\n",
        "DELETE / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nPATCH / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n0\r\nX: y\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];

    private static readonly string[] Chunked =
    [
        "0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n", "1 ;a\r\nx\r\n0;b=c;d=\"e\\\"f\"\r\nX-Trailer: y\r\nZ:\r\n\r\n", "00000A\r\n0123456789\r\n0\r\n\r\n",
        "f\r\n0123456789abcde\r\nF\r\n0123456789abcde\r\n0\r\n\r\n", "5\rX\nhello\r\n0\r\n\r\n", "5;\nhello\r\n0\r\n\r\n", "0\r\nContent-Length: 5\r\n\r\n",
        "0\r\nhost: a\r\n\r\n", "FFFFFFFFFFFFFFFF\r\n", "+5\r\nhello\r\n0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n", "2\r\nhello\r\n0\r\n\r\n", "1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n",
    ];

    public static IEnumerable<byte[]> Requests() =>
        [.. More.Select(static (text, i) => Seed.Of(0, i, text)), .. SmugglingVectors.All.Select(static (vector, i) => Seed.Of(i % 2, i, vector.Request))];

    public static IEnumerable<byte[]> ChunkedBodies() => Chunked.Select(static (text, i) => Seed.Of(i % 2, i, text));
}

internal static class WebSocketSeeds
{
    private const string KissInGreek = "CEBAE1BDB9CF83CEBCCEB5"; // The word that RFC 6455 suites cut in every place.

    // RFC 7692 section 7.2.3.
    private static readonly string[] Examples =
    [
        "f2 48 cd c9 c9 07 00", "f2 00 11 00 00", "00 05 00 fa ff 48 65 6c 6c 6f 00", "f3 48 cd c9 c9 07 00 00",
        "f2 48 05 00 00 00 ff ff ca c9 c9 07 00", "00", "", "06",
    ];

    public static IEnumerable<byte[]> Frames()
    {
        byte[] text = Seed.Hex(KissInGreek);
        byte[] close = [0x03, 0xE8, .. text];
        byte[][] streams =
        [
            [.. Frame(Opcode.Text, text), .. Frame(Opcode.Binary, [0, 255]), .. Frame(Opcode.Ping, "p"u8), .. Frame(Opcode.Close, close)],
            [.. Frame(Opcode.Text, text.AsSpan(0, 3), fin: false), .. Frame(Opcode.Pong, []), .. Frame(Opcode.Continuation, text.AsSpan(3)), .. Frame(Opcode.Close, [])],
            [.. Frame(Opcode.Text, [.. text, 0xED, 0xA0, 0x80, .. text])],
            [.. Frame(Opcode.Text, [0xF0, 0x9F], fin: false), .. Frame(Opcode.Continuation, [0x98, 0x80]), .. Frame(Opcode.Text, [0xF4, 0x90])],
            [.. Frame(Opcode.Binary, new byte[126]), .. Frame(Opcode.Binary, new byte[300]), .. Frame(Opcode.Text, [])],
            [.. Frame(Opcode.Close, [0x03, 0xED])],
            [.. Frame(Opcode.Continuation, "x"u8)],
            [.. Frame(Opcode.Text, "x"u8, fin: false), .. Frame(Opcode.Text, "y"u8)],
            Seed.Hex("82 FF 0000000000010000 01020304"),
            Seed.Hex("81 FE 007E 00000000 3131"),
            [.. Compressed(Seed.Hex(Examples[0])), .. Compressed(Seed.Hex(Examples[1])), .. Compressed(Seed.Hex(Examples[3]))],
        ];
        foreach (int options in (int[])[0, 8, 2, 6])
        {
            for (int i = 0; i < streams.Length; i++)
            {
                yield return Seed.Of(options, i, streams[i]);
            }
        }

        yield return Seed.Of(1, 3, Seed.Hex("81 05 48656c6c6f 89 00 88 02 03e8")); // A server's, which are not masked.
    }

    public static IEnumerable<byte[]> Deflated()
    {
        for (int i = 0; i < Examples.Length; i++)
        {
            yield return Seed.Of(0, 0, Seed.Hex(Examples[i]));
        }

        yield return Seed.Of(6, 200, Seed.Hex(Examples[0] + Examples[1]));
        byte[] text = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 60).Select(static i => $"{i * 7919 % 1000} line;")));
        foreach (int windowBits in (int[])[9, 15])
        {
            using var deflater = new Deflater(windowBits);
            byte[] compressed = new byte[Deflater.BytesMax(1000)];
            yield return Seed.Of(2, 1, compressed.AsSpan(0, deflater.Compress(text, compressed, keepContext: true)));
            yield return Seed.Of(1, 1, compressed.AsSpan(0, deflater.Compress(new byte[600], compressed, keepContext: false)));
        }
    }

    private static byte[] Frame(Opcode opcode, ReadOnlySpan<byte> payload, bool fin = true)
    {
        byte[] frame = new byte[FrameWriter.MaskedFrameBytes(payload.Length)];
        FrameWriter.WriteMasked(frame, opcode, payload, maskingKey: 0, fin); // Masked with nothing, so that mutations of the text are of the text.
        return frame;
    }

    private static byte[] Compressed(ReadOnlySpan<byte> payload)
    {
        byte[] frame = Frame(Opcode.Text, payload);
        frame[0] |= 0x40;
        return frame;
    }
}

internal static class CommandSeeds
{
    private static readonly string[] Texts =
    [
        """{"type":"message","room_id":1,"content":"hi","nonce":"c7"}""",
        """{"type":"subscribe","room_id":2,"since":41,"epoch":3}""",
        """ {"type" : "unsubscribe", "room_id":9223372036854775807, "x":[1,-0.5e+3,{"a":{},"b":[]},"]",true,false,null]} """,
        """{"type":"ping"}""",
        """{"content":"a\"\\\/\b\f\n\r\t\u0001\ud83d\ude00","nonce":"\u006e1"}""",
        """{"x":[[[[[[[[1]]]]]]]],"t\u0079pe":"p\u0069ng"}""",
        """{"x":[[[[[[[[[1]]]]]]]]]}""",
        """{"content":"\u0000"}""",
        """{"content":"\ude00\ud83d","room_id":-0}""",
        """{"type":"ping","type":"ping"}""",
        """{"content":"ü😀","nonce":"ü"}""",
        """{"since":1e3,"epoch":01}""",
        "{}", "[]", "{", "\uFEFF{}", """{"content":"hi",}""",
    ];

    public static IEnumerable<byte[]> Commands() => Texts.Select(static (text, i) => Seed.Of(i % 2, 0, Encoding.UTF8.GetBytes(text)));
}

internal static class TokenSeeds
{
    private const string Header = """{"alg":"HS256","typ":"JWT"}""";

    public static IEnumerable<byte[]> Tokens()
    {
        long expiry = TokenTarget.Now.AddDays(1).ToUnixTimeSeconds();
        string claims = $$"""{"sub":"7","name":"Test","iat":1795370400,"exp":{{expiry}},"iss":"chat","aud":"chat"}""";
        string[] signed =
        [
            $"{Header}\n{claims}",
            $"{Header}\n{claims.Replace("\"chat\"}", "[\"a\",\"chat\"],\"nbf\":1,\"jti\":\"x\",\"act\":{\"a\":[1]}}", StringComparison.Ordinal)}",
            $"{Header}\n{claims.Replace("\"7\"", "7", StringComparison.Ordinal)}",
            $"{{\"alg\":\"none\"}}\n{claims}",
            $"{{\"alg\":\"HS256\",\"kid\":\"x\",\"zip\":\"DEF\",\"cty\":\"JWT\"}}\n{claims}",
            $"{Header}\n{{\"exp\":1e300,\"sub\":null}}",
            "{}\n{}",
        ];
        yield return Seed.Of(0, 0, TokenTarget.Issue(7, "Test"));
        yield return Seed.Of(0, 0, "e30.e30.e30");
        yield return Seed.Of(0, 0, "a.b.c.d.e");
        yield return Seed.Of(0, 0, JsonEncodedText.Encode(Header).EncodedUtf8Bytes);
        foreach (string text in signed)
        {
            yield return Seed.Of(1, 0, text);
        }
    }
}
