using System.Buffers;
using System.Text;
using Chat.Protocol.Http;
using CsCheck;

namespace Chat.Server.Tests.Oracles;

/// <summary>
/// Our parser beside Kestrel's. We may be stricter; what we accept, Kestrel accepts, and both see the same method, target,
/// version, fields and end of the head. A failing case is printed with the seed that makes it again.
/// </summary>
public sealed class RequestParserOracleTests
{
    private static readonly string[] Methods = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "BREW", "M-SEARCH"];

    private static readonly string[] Targets =
        ["/", "/ws/1?since=4&epoch=2", "/a//b/../c", "/%2e%41?", "/?a=b?c", "/rooms/1/messages?limit=5", "http://a.example/x?y"];

    private static readonly string[] Lines =
    [
        "Accept: */*", "Connection: Upgrade", "Upgrade: websocket", "Content-Length: 5", "Cookie: a=b; c=d", "X-Empty:", "X:y",
        "X: \ty\t ", "User-Agent: \u00E9 (x) \"y\"", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "a-very-long-field-name-that-fills-registers: z",
    ];

    // Bytes that end, join or hide something for one parser or another.
    private static readonly string[] Spices =
        ["\r", "\n", "\r\n", "\r\r\n", " ", "\t", "\0", ":", ",", ";", "/", "?", "#", "%", "@", "\u007F", "\u0080", "\u00A0", "\u000B", "(", "\"", "A", "0", "HTTP/1.1", "http://", " HTTP/1.0"];

    // Distinct, since a second length would be refused for what it means.
    private static readonly Gen<string> Wellformed = Gen.Select(
        OneOf(Methods), OneOf(Targets), OneOf(["HTTP/1.1", "HTTP/1.0"]), OneOf(Lines).Array[0, 12],
        static (method, target, version, lines) =>
            $"{method} {target} {version}\r\nHost: a.example\r\n{string.Concat(lines.Distinct().Select(line => line + "\r\n"))}\r\n");

    private static readonly Gen<(int Kind, int At, int Length, string Spice)> Mutation =
        Gen.Select(Gen.Int[0, 4], Gen.Int[0, 1000], Gen.Int[1, 6], OneOf(Spices));

    [Fact]
    public void A_request_that_is_well_formed_is_read_alike() =>
        Gen.Select(Wellformed, Gen.Int[0, 300]).Sample(
            static (text, cut) => Assert.True(IsReadAlike(text + "rest", cut), "we refuse it"),
            iter: 2000);

    [Fact]
    public void A_request_that_was_tampered_with_is_read_alike_or_refused() =>
        Gen.Select(Wellformed, Mutation.Array[1, 4], Gen.Int[0, 300]).Sample(
            static (text, mutations, cut) => { IsReadAlike(mutations.Aggregate(text, Mutate), cut); },
            iter: 20_000);

    [Fact]
    public void Lines_put_together_at_random_are_read_alike_or_refused() =>
        Gen.Select(Gen.OneOf(OneOf(Spices), OneOf(Methods), OneOf(Targets), OneOf(Lines)).Array[0, 14], Gen.Int[0, 300]).Sample(
            static (pieces, cut) => { IsReadAlike($"{string.Concat(pieces)}\r\n\r\n", cut); },
            iter: 10_000);

    /// <summary>False when we refuse the bytes or want more; fails when we accept them and Kestrel does not, or sees something else.</summary>
    private static bool IsReadAlike(string text, int cut)
    {
        byte[] bytes = Encoding.Latin1.GetBytes(text);
        cut = Math.Min(cut, bytes.Length);
        using var head = new RequestHead();
        ReadOnlySequence<byte> input = Split(bytes, cut);
        ParseStatus status = new RequestParser(HttpLimits.Default).TryParse(input, head, out SequencePosition consumed, out _);
        if (status != ParseStatus.Complete)
        {
            return false;
        }

        // RFC 9112 section 2.2 lets a server pass over an empty line before the request; Kestrel's connection does it, not its parser.
        int skipped = text.StartsWith("\r\n", StringComparison.Ordinal) ? 2 : 0;
        KestrelRequest? kestrel = KestrelRequest.Parse(Split(bytes[skipped..], Math.Max(cut - skipped, 0)));
        var ours = new KestrelRequest(
            Latin1(head.MethodName),
            Latin1(head.Target),
            $"Http1{head.VersionMinor}",
            string.Concat(Enumerable.Range(0, head.FieldCount).Select(i => $"\n{Latin1(head.Field(i).Name)}: <{Latin1(head.Field(i).Value)}>")),
            input.Slice(0, consumed).Length - skipped);
        Assert.Equal(kestrel, ours);
        return true;
    }

    private static string Mutate(string text, (int Kind, int At, int Length, string Spice) mutation)
    {
        int at = mutation.At % Math.Max(text.Length, 1);
        int end = Math.Min(at + mutation.Length, text.Length);
        return mutation.Kind switch
        {
            0 => text[..at] + text[end..],
            1 => text[..at] + mutation.Spice + text[end..],
            2 => text[..end] + text[at..],
            _ => text[..at] + mutation.Spice + text[at..],
        };
    }

    private static Gen<string> OneOf(string[] texts) => Gen.Int[0, texts.Length - 1].Select(index => texts[index]);

    private static ReadOnlySequence<byte> Split(byte[] bytes, int cut)
    {
        var first = new Segment(bytes.AsMemory(0, cut), 0);
        var second = new Segment(bytes.AsMemory(cut), cut);
        first.Append(second);
        return new ReadOnlySequence<byte>(first, 0, second, second.Memory.Length);
    }

    private static string Latin1(ReadOnlySpan<byte> bytes) => Encoding.Latin1.GetString(bytes);

    private sealed class Segment : ReadOnlySequenceSegment<byte>
    {
        public Segment(ReadOnlyMemory<byte> memory, long start)
        {
            Memory = memory.ToArray(); // A copy: reading past its end finds nothing by luck.
            RunningIndex = start;
        }

        public void Append(Segment next) => Next = next;
    }
}
