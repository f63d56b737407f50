using System.Text;
using Chat.Server.Tests.EndToEnd;
using static Chat.Server.Tests.Conformance.EchoConnection;

namespace Chat.Server.Tests.Conformance;

public sealed class Utf8OnShards(ConformanceServer fixture) : Utf8Cases(fixture), IClassFixture<ConformanceServer>;

public sealed class Utf8OnPipes(ConformanceServerOnPipes fixture) : Utf8Cases(fixture), IClassFixture<ConformanceServerOnPipes>;

/// <summary>
/// Text must be UTF-8 (RFC 6455 section 8.1), and what is not must fail at the first byte that shows it, whether the frame or the
/// message is complete or not: category 6 of protocol suites.
/// </summary>
public abstract class Utf8Cases(ServerFixture fixture)
{
    private const int Text = RawClient.Text;
    private const int Continuation = RawClient.Continuation;

    private readonly RunningServer _server = fixture.Server;

    /// <summary>First and last of each length, and the neighbours of what is forbidden.</summary>
    private static readonly string[] Valid =
    [
        "", "00", "7F", "C280", "DFBF", "E0A080", "EFBFBF", "F0908080", "F48FBFBF", "ED9FBF", "EE8080", "EFBFBD", "EFBFBE", "F09FBFBE",
        "CEBAE1BDB9CF83CEBCCEB5", "48656C6C6F2DC2B540C39FC3B6C3A4C3BCC3A0C3A12D5554462D382121",
    ];

    /// <summary>What is bad, and how many of its bytes show it: the connection must fail with the last of those.</summary>
    private static readonly (string Hex, int Shown)[] Invalid =
    [
        ("80", 1), ("BF", 1), ("8080", 1), // Continuation without a lead.
        ("C080", 1), ("C0AF", 1), ("C1BF", 1), ("E08080", 2), ("E09FBF", 2), ("F0808080", 2), ("F08FBFBF", 2), // Overlong.
        ("EDA080", 2), ("EDBFBF", 2), ("EDA081EDB080", 2), // Surrogates.
        ("F4908080", 2), ("F5808080", 1), ("F8888080", 1), ("FC8480808080", 1), ("FE", 1), ("FF", 1), // Above U+10FFFF, and nothing at all.
        ("C220", 2), ("E28220", 3), ("F0909020", 4), ("E220", 2), ("C2C2", 2), ("F09FC2", 3), // Cut short by another character.
        ("CEBAE1BDB9CF83CEBCCEB5EDA080656469746564", 13), ("CEBAE1BDB9CF83CEBCCEB5F4908080656469746564", 13),
    ];

    [Fact]
    public async Task Valid_text_comes_back_whole_by_fragments_and_by_bytes()
    {
        foreach (string hex in Valid)
        {
            byte[] text = Convert.FromHexString(hex);
            (int, byte[])[] expected = [(Fin | Text, text)];
            await RunAsync(_server, hex, Frame(Fin | Text, text), expected);
            await RunAsync(_server, hex, Frame(Fin | Text, text), expected, pieceBytes: 1);
            await RunAsync(_server, $"{hex}, a fragment a byte", Fragments(text), expected);
            await RunAsync(_server, $"{hex}, a fragment a byte", Fragments(text), expected, pieceBytes: 1);
        }
    }

    [Fact]
    public async Task Bad_text_fails_with_the_byte_that_shows_it_inside_a_frame()
    {
        var cases = new List<Task>();
        foreach ((string hex, int shown) in Invalid)
        {
            byte[] bad = Convert.FromHexString(hex);
            cases.Add(RunAsync(_server, hex, Frame(Fin | Text, bad), [], 1007));

            // The frame goes on for 1000 bytes that never come: the server must not wait for them.
            byte[] frame = Frame(Fin | Text, [.. "fine "u8, .. bad, .. new byte[1000]]);
            cases.Add(RunAsync(_server, $"{hex}, of an unfinished frame", frame[..(8 + 5 + shown)], [], 1007));
            cases.Add(RunAsync(_server, $"{hex}, of an unfinished frame", frame[..(8 + 5 + shown)], [], 1007, pieceBytes: 1));
        }

        await Task.WhenAll(cases);
    }

    [Fact]
    public async Task Bad_text_fails_with_the_byte_that_shows_it_across_fragments()
    {
        var cases = new List<Task>();
        foreach ((string hex, int shown) in Invalid)
        {
            byte[] bad = Convert.FromHexString(hex);
            byte[] soFar = [.. Frame(Text, "fine "u8), .. bad.Take(shown).SelectMany(static b => Frame(Continuation, [b]))];
            cases.Add(RunAsync(_server, $"{hex}, of an unfinished message", soFar, [], 1007));
            cases.Add(RunAsync(_server, $"{hex}, of an unfinished message", soFar, [], 1007, pieceBytes: 1));
        }

        await Task.WhenAll(cases);
    }

    [Fact]
    public async Task Text_is_not_refused_before_a_byte_shows_that_it_is_bad()
    {
        foreach ((string hex, int shown) in Invalid.Where(static bad => bad.Shown > 1))
        {
            using EchoConnection echo = await OpenAsync(_server, hex);
            byte[] bad = Convert.FromHexString(hex);
            byte[] frame = Frame(Fin | Text, [.. bad, .. new byte[1000]]);
            await echo.SendAsync([.. Frame(Text, bad.AsSpan(0, shown - 1)), .. Frame(Fin | RawClient.Ping, "still there"u8)]);
            await echo.ExpectAsync(Fin | RawClient.Pong, "still there"u8.ToArray());
            await echo.SendAsync(Frame(Continuation, bad.AsSpan(shown - 1, 1)));
            await echo.ExpectCloseAsync(1007);
        }
    }

    [Fact]
    public async Task Text_that_ends_within_a_character_fails_at_its_end()
    {
        var cases = new List<Task>();
        foreach (string hex in (string[])["C2", "E0A0", "E2", "F0", "F090", "F09080", "CEBAF09F9880CEBAE1"])
        {
            byte[] bad = Convert.FromHexString(hex);
            cases.Add(RunAsync(_server, hex, Frame(Fin | Text, bad), [], 1007));
            cases.Add(RunAsync(_server, hex, Fragments(bad), [], 1007));
            cases.Add(RunAsync(_server, $"{hex}, then an empty fragment", [.. Frame(Text, bad), .. Frame(Fin | Continuation, [])], [], 1007, pieceBytes: 1));
        }

        await Task.WhenAll(cases);
    }

    [Fact]
    public async Task Binary_is_not_checked()
    {
        byte[] bytes = Encoding.Latin1.GetBytes("\u00ed\u00a0\u0080\u00ff");
        await RunAsync(_server, "binary", Frame(Fin | RawClient.Binary, bytes), [(Fin | RawClient.Binary, bytes)]);
    }

    private static byte[] Fragments(byte[] text) =>
        [.. Frame(Text, []), .. text.SelectMany(static b => Frame(Continuation, [b])), .. Frame(Fin | Continuation, [])];
}
