using System.Text;
using Chat.Server.Tests.EndToEnd;
using static Chat.Server.Tests.Conformance.EchoConnection;

namespace Chat.Server.Tests.Conformance;

public sealed class FramingOnShards(ConformanceServer fixture) : FramingCases(fixture), IClassFixture<ConformanceServer>;

public sealed class FramingOnPipes(ConformanceServerOnPipes fixture) : FramingCases(fixture), IClassFixture<ConformanceServerOnPipes>;

/// <summary>
/// RFC 6455 section 5 against the echo endpoint, by the categories that protocol suites use: frames (1), pings and pongs (2),
/// reserved bits (3), opcodes (4), fragments (5), closes (7), limits (9), automatic fragments (10). Text encoding is in <see cref="Utf8Cases"/>.
/// </summary>
public abstract class FramingCases(ServerFixture fixture)
{
    private const int Text = RawClient.Text;
    private const int Binary = RawClient.Binary;
    private const int Continuation = RawClient.Continuation;
    private const int Ping = RawClient.Ping;
    private const int Pong = RawClient.Pong;
    private const int Close = RawClient.Close;

    private readonly RunningServer _server = fixture.Server;

    [Fact]
    public async Task Category_1_messages_of_every_length_form_come_back()
    {
        foreach (int length in (int[])[0, 1, 125, 126, 127, 128, 65_535, 65_536])
        {
            byte[] text = Encoding.ASCII.GetBytes(new string('*', length));
            byte[] bytes = [.. Enumerable.Range(0, length).Select(static i => (byte)(i * 31))];
            foreach (int pieceBytes in (int[])[0, length < 1000 ? 1 : 997])
            {
                await RunAsync(_server, $"text of {length}", Frame(Fin | Text, text), [(Fin | Text, text)], pieceBytes: pieceBytes);
                await RunAsync(_server, $"binary of {length}", Frame(Fin | Binary, bytes), [(Fin | Binary, bytes)], pieceBytes: pieceBytes);
            }
        }
    }

    [Theory]
    [InlineData("81 FE 0005 00000000 3131313131")]
    [InlineData("81 FE 007D 00000000")]
    [InlineData("82 FF 0000000000000001 00000000 31")]
    [InlineData("82 FF 000000000000FFFF 00000000")]
    [InlineData("82 FF 8000000000000000 00000000")]
    public async Task Category_1_length_that_is_not_in_the_fewest_bytes_is_refused(string hex) =>
        await RunAsync(_server, hex, Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal)), [], 1002);

    [Fact]
    public async Task Category_1_frame_without_a_mask_is_refused() =>
        await RunAsync(_server, "no mask", RawClient.Frame(Fin | Text, "x"u8, isMasked: false), [], 1002);

    [Fact]
    public async Task Category_2_pings_are_answered_with_their_payload_and_pongs_are_not()
    {
        foreach (int length in (int[])[0, 1, 5, 124, 125])
        {
            byte[] payload = [.. Enumerable.Range(0, length).Select(static i => (byte)(255 - i))];
            foreach (int pieceBytes in (int[])[0, 1])
            {
                await RunAsync(_server, $"ping of {length}", Frame(Fin | Ping, payload), [(Fin | Pong, payload)], pieceBytes: pieceBytes);
                await RunAsync(
                    _server,
                    $"pong of {length}, then ping",
                    [.. Frame(Fin | Pong, payload), .. Frame(Fin | Ping, "p"u8)],
                    [(Fin | Pong, "p"u8.ToArray())],
                    pieceBytes: pieceBytes);
            }
        }

        byte[][] payloads = [.. Enumerable.Range(0, 10).Select(static i => Encoding.ASCII.GetBytes($"payload {i}"))];
        foreach (int pieceBytes in (int[])[0, 1])
        {
            await RunAsync(
                _server,
                "10 pings",
                [.. payloads.SelectMany(static payload => Frame(Fin | Ping, payload))],
                [.. payloads.Select(static payload => (Fin | Pong, payload))],
                pieceBytes: pieceBytes);
        }

        await RunAsync(_server, "ping of 126", Frame(Fin | Ping, new byte[126]), [], 1002);
        await RunAsync(_server, "pong of 126", Frame(Fin | Pong, new byte[126]), [], 1002);
    }

    [Fact]
    public async Task Category_3_reserved_bits_are_refused_after_what_came_before_them()
    {
        var cases = new List<Task>();
        byte[] hello = "Hello"u8.ToArray();
        for (int bits = 1; bits <= 7; bits++)
        {
            foreach (int opcode in (int[])[Text, Binary, Ping, Pong, Close])
            {
                string name = $"reserved bits {bits} on opcode {opcode}";
                byte[] bad = Frame(Fin | (bits << 4) | opcode, opcode == Close ? [3, 232] : hello);
                cases.Add(RunAsync(_server, name, bad, [], 1002));
                foreach (int pieceBytes in (int[])[0, 1])
                {
                    cases.Add(RunAsync(
                        _server,
                        $"{name}, between others",
                        [.. Frame(Fin | Text, hello), .. bad, .. Frame(Fin | Ping, hello)],
                        [(Fin | Text, hello)],
                        1002,
                        pieceBytes));
                }
            }
        }

        await Task.WhenAll(cases);
    }

    [Fact]
    public async Task Category_4_reserved_opcodes_are_refused_after_what_came_before_them()
    {
        var cases = new List<Task>();
        byte[] hello = "Hello"u8.ToArray();
        foreach (int opcode in (int[])[3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
        {
            foreach (byte[] payload in (byte[][])[[], hello])
            {
                string name = $"opcode {opcode} with {payload.Length} bytes";
                cases.Add(RunAsync(_server, name, Frame(Fin | opcode, payload), [], 1002));
                cases.Add(RunAsync(
                    _server,
                    $"{name}, between others",
                    [.. Frame(Fin | Text, hello), .. Frame(Fin | opcode, payload), .. Frame(Fin | Ping, hello)],
                    [(Fin | Text, hello)],
                    1002,
                    pieceBytes: 1));
            }
        }

        await Task.WhenAll(cases);
    }

    [Fact]
    public async Task Category_5_fragments_make_messages_with_control_frames_between()
    {
        var cases = new List<Task>();
        (int, byte[]) message = (Fin | Text, "fragment1fragment2"u8.ToArray());
        (int, byte[]) pong = (Fin | Pong, "ping"u8.ToArray());
        byte[] first = Frame(Text, "fragment1"u8);
        byte[] last = Frame(Fin | Continuation, "fragment2"u8);
        byte[] ping = Frame(Fin | Ping, "ping"u8);
        byte[] empty = Frame(Continuation, []);
        foreach (int pieceBytes in (int[])[0, 1])
        {
            cases.Add(RunAsync(_server, "fragmented ping", [.. Frame(Ping, "a"u8), .. Frame(Fin | Continuation, "b"u8)], [], 1002, pieceBytes));
            cases.Add(RunAsync(_server, "fragmented pong", [.. Frame(Pong, "a"u8), .. Frame(Fin | Continuation, "b"u8)], [], 1002, pieceBytes));
            cases.Add(RunAsync(_server, "two fragments", [.. first, .. last], [message], pieceBytes: pieceBytes));
            cases.Add(RunAsync(_server, "ping between", [.. first, .. ping, .. last], [pong, message], pieceBytes: pieceBytes));
            cases.Add(RunAsync(_server, "pong between", [.. first, .. Frame(Fin | Pong, "x"u8), .. last], [message], pieceBytes: pieceBytes));
            cases.Add(RunAsync(
                _server,
                "empty fragments and pings between, then a message",
                [.. first, .. empty, .. ping, .. empty, .. ping, .. last, .. Frame(Fin | Binary, [1])],
                [pong, pong, message, (Fin | Binary, [1])],
                pieceBytes: pieceBytes));
            cases.Add(RunAsync(
                _server, "empty message of three fragments", [.. Frame(Text, []), .. empty, .. Frame(Fin | Continuation, [])], [(Fin | Text, [])], pieceBytes: pieceBytes));
            foreach (int fin in (int[])[0, Fin])
            {
                cases.Add(RunAsync(_server, "continuation of nothing", [.. Frame(fin | Continuation, "x"u8), .. Frame(Fin | Text, "y"u8)], [], 1002, pieceBytes));
                cases.Add(RunAsync(_server, "continuation after a whole message", [.. first, .. last, .. Frame(fin | Continuation, "x"u8)], [message], 1002, pieceBytes));
                cases.Add(RunAsync(_server, "text in a text", [.. first, .. Frame(fin | Text, "x"u8)], [], 1002, pieceBytes));
                cases.Add(RunAsync(_server, "binary in a text after a ping", [.. first, .. ping, .. Frame(fin | Binary, "x"u8)], [pong], 1002, pieceBytes));
            }

            cases.Add(RunAsync(_server, "reserved bit in a continuation", [.. first, .. Frame(Fin | 0x20 | Continuation, "x"u8)], [], 1002, pieceBytes));
        }

        await Task.WhenAll(cases);
    }

    [Fact]
    public async Task Category_5_a_ping_between_fragments_is_answered_before_the_message_ends()
    {
        using EchoConnection echo = await OpenAsync(_server, "ping between");
        await echo.SendAsync([.. Frame(Text, "a"u8), .. Frame(Continuation, "b"u8), .. Frame(Fin | Ping, "1"u8)]);
        await echo.ExpectAsync(Fin | Pong, "1"u8.ToArray());
        await echo.SendAsync([.. Frame(Continuation, "c"u8), .. Frame(Fin | Ping, "2"u8)]);
        await echo.ExpectAsync(Fin | Pong, "2"u8.ToArray());
        await echo.SendAsync(Frame(Fin | Continuation, "d"u8));
        await echo.ExpectAsync(Fin | Text, "abcd"u8.ToArray());
        await echo.CloseAsync();
    }

    /// <summary>What comes too late must not make the kernel reset the connection, which would take away what the client has not read yet.</summary>
    [Fact]
    public async Task Category_7_what_follows_a_close_takes_nothing_away()
    {
        byte[] text = new byte[256 * 1024];
        for (int i = 0; i < 20; i++)
        {
            using EchoConnection echo = await OpenAsync(_server, $"a ping behind the close, {i}");
            foreach (byte[] frame in (byte[][])[Frame(Fin | Text, text), RawClient.CloseFrame(1000), Frame(Fin | Ping, [])])
            {
                await echo.SendAsync(frame);
            }

            await _server.MetricAsync("chat_connections"); // By then the server has answered the close, too.
            await echo.ExpectAsync(Fin | Text, text);
            await echo.ExpectCloseAsync(1000);
        }
    }

    [Fact]
    public async Task Category_7_closes_are_checked_and_echoed_and_nothing_follows_them()
    {
        var cases = new List<Task>();
        byte[] ping = Frame(Fin | Ping, "late"u8);
        foreach (int code in (int[])[1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999])
        {
            cases.Add(RunCloseAsync($"close {code}", RawClient.CloseFrame(code), code));
            cases.Add(RunCloseAsync($"close {code} with a reason", Frame(Fin | Close, [(byte)(code >> 8), (byte)code, .. "reason"u8]), code));
        }

        foreach (int code in (int[])[0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535])
        {
            cases.Add(RunCloseAsync($"close {code}", RawClient.CloseFrame(code), 1002));
        }

        cases.Add(RunCloseAsync("no payload", Frame(Fin | Close, []), 1000));
        cases.Add(RunCloseAsync("one byte", Frame(Fin | Close, [3]), 1002));
        cases.Add(RunCloseAsync("reason of 123", Frame(Fin | Close, [3, 232, .. new byte[123].Select(static _ => (byte)'r')]), 1000));
        cases.Add(RunCloseAsync("payload of 126", Frame(Fin | Close, new byte[126]), 1002));
        cases.Add(RunCloseAsync("reason that is not UTF-8", Frame(Fin | Close, [3, 232, 0xED, 0xA0, 0x80]), 1007));
        cases.Add(RunCloseAsync("reason cut within a character", Frame(Fin | Close, [3, 232, 0xF0, 0x9F]), 1007));
        cases.Add(RunCloseAsync("two closes", [.. RawClient.CloseFrame(1000), .. RawClient.CloseFrame(1001)], 1000));
        cases.Add(RunCloseAsync("close, then ping", [.. RawClient.CloseFrame(1000), .. ping], 1000));
        cases.Add(RunCloseAsync("close, then text", [.. RawClient.CloseFrame(1000), .. EchoConnection.Text("late")], 1000));
        cases.Add(RunCloseAsync("close between fragments", [.. Frame(Text, "a"u8), .. RawClient.CloseFrame(1000), .. Frame(Fin | Continuation, "b"u8)], 1000));

        await Task.WhenAll(cases);

        using EchoConnection echo = await OpenAsync(_server, "256 KiB, then close, then ping");
        byte[] large = new byte[256 * 1024];
        await echo.SendAsync([.. Frame(Fin | Binary, large), .. RawClient.CloseFrame(1000), .. ping]);
        await echo.ExpectAsync(Fin | Binary, large);
        await echo.ExpectCloseAsync(1000);
    }

    [Fact]
    public async Task Category_9_messages_up_to_16_MiB_come_back_and_larger_ones_are_refused()
    {
        const int Max = 16 * 1024 * 1024;
        foreach (int length in (int[])[256 * 1024, 4 * 1024 * 1024, Max])
        {
            byte[] payload = new byte[length];
            payload.AsSpan().Fill((byte)'x');
            await RunAsync(_server, $"text of {length}", Frame(Fin | Text, payload), [(Fin | Text, payload)]);
            await RunAsync(_server, $"binary of {length}", Frame(Fin | Binary, payload), [(Fin | Binary, payload)]);
        }

        byte[] header = Frame(Fin | Binary, new byte[Max + 1])[..14];
        await RunAsync(_server, "16 MiB and a byte, announced", header, [], 1009);
        await RunAsync(_server, "16 MiB and a byte, in two fragments", [.. Frame(Binary, new byte[Max]), .. Frame(Fin | Continuation, [1])], [], 1009);
    }

    [Fact]
    public async Task Category_9_message_of_4_MiB_in_fragments_and_one_of_a_million_fragments()
    {
        byte[] payload = new byte[4 * 1024 * 1024];
        new Random(9).NextBytes(payload);
        foreach (int fragmentBytes in (int[])[64, 4096, 65_536])
        {
            await RunAsync(_server, $"fragments of {fragmentBytes}", Fragments(payload, fragmentBytes), [(Fin | Binary, payload)]);
        }

        await RunAsync(_server, "a million fragments of a byte", Fragments(payload.AsSpan(0, 1_000_000).ToArray(), 1), [(Fin | Binary, payload[..1_000_000])]);
    }

    [Fact]
    public async Task Category_9_thousand_messages_come_back_in_their_order()
    {
        byte[][] messages = [.. Enumerable.Range(0, 1000).Select(static i => Encoding.ASCII.GetBytes(new string('m', i * 13 % 5000) + i))];
        await RunAsync(
            _server, "1000 messages", [.. messages.SelectMany(static message => Frame(Fin | Text, message))], [.. messages.Select(static message => (Fin | Text, message))]);
    }

    [Fact]
    public async Task Category_10_message_cut_by_a_library_comes_back()
    {
        byte[] payload = Encoding.ASCII.GetBytes(new string('*', 65_536));
        byte[] fragments = Fragments(payload, 1300);
        fragments[0] = Text;
        await RunAsync(_server, "fragments of 1300", fragments, [(Fin | Text, payload)]);
    }

    private static byte[] Fragments(byte[] payload, int fragmentBytes)
    {
        using var stream = new MemoryStream(payload.Length * 2);
        for (int start = 0; start < payload.Length; start += fragmentBytes)
        {
            int length = Math.Min(fragmentBytes, payload.Length - start);
            int first = (start == 0 ? Binary : Continuation) | (start + length == payload.Length ? Fin : 0);
            stream.Write(Frame(first, payload.AsSpan(start, length), (uint)start * 2654435761));
        }

        return stream.ToArray();
    }

    private async Task RunCloseAsync(string name, byte[] frames, int code)
    {
        foreach (int pieceBytes in (int[])[0, 1])
        {
            using EchoConnection echo = await OpenAsync(_server, name);
            await echo.SendAsync(frames, pieceBytes);
            await echo.ExpectCloseAsync(code);
        }
    }
}
