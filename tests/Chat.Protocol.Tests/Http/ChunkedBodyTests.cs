using System.Buffers;
using System.Text;
using Chat.Protocol.Http;

namespace Chat.Protocol.Tests.Http;

public class ChunkedBodyTests
{
    private static readonly HttpLimits SmallLimits = new() { BodyBytesMax = 20, ChunkExtensionBytesMax = 10, TrailerBytesMax = 10 };

    public static TheoryData<string, string> Bad => new()
    {
        { "\r\n", nameof(RequestErrors.ChunkSizeMalformed) },
        { "g\r\n", nameof(RequestErrors.ChunkSizeMalformed) },
        { "+5\r\n", nameof(RequestErrors.ChunkSizeMalformed) },
        { "-1\r\n", nameof(RequestErrors.ChunkSizeMalformed) },
        { " 5\r\n", nameof(RequestErrors.ChunkSizeMalformed) },
        { "0x5\r\n", nameof(RequestErrors.ChunkSizeMalformed) },
        { "5_0\r\n", nameof(RequestErrors.ChunkSizeMalformed) },
        { ";a\r\n", nameof(RequestErrors.ChunkSizeMalformed) },
        { "5 \r\nhello\r\n", nameof(RequestErrors.ChunkExtensionMalformed) },
        { "5 5;a\r\n", nameof(RequestErrors.ChunkExtensionMalformed) },
        { "5;\r\nhello\r\n", nameof(RequestErrors.ChunkExtensionMalformed) },
        { "5;;a\r\nhello\r\n", nameof(RequestErrors.ChunkExtensionMalformed) },
        { "5;=b\r\nhello\r\n", nameof(RequestErrors.ChunkExtensionMalformed) },
        { "5;a=\r\nhello\r\n", nameof(RequestErrors.ChunkExtensionMalformed) },
        { "5;a \r\nhello\r\n", nameof(RequestErrors.ChunkExtensionMalformed) },
        { "5;a b\r\nhello\r\n", nameof(RequestErrors.ChunkExtensionMalformed) },
        { "5;a=b=c\r\nhello\r\n", nameof(RequestErrors.ChunkExtensionMalformed) },
        { "5;a=\"b\r\n\"\r\nhello\r\n", nameof(RequestErrors.ChunkExtensionMalformed) },
        { "5;a=\"b\\\r\n\"\r\nhello\r\n", nameof(RequestErrors.ChunkExtensionMalformed) },
        { "5;a=\"b\"c\r\nhello\r\n", nameof(RequestErrors.ChunkExtensionMalformed) },
        { "5;\u00E9\r\nhello\r\n", nameof(RequestErrors.ChunkExtensionMalformed) },
        { "5\0\r\n", nameof(RequestErrors.ChunkSizeMalformed) },
        { "\u00B2\r\n", nameof(RequestErrors.ChunkSizeMalformed) },
        { "00000000000000001\r\n", nameof(RequestErrors.ChunkSizeMalformed) },
        { "5\nhello\r\n", nameof(RequestErrors.BareLf) },
        { "5\rhello\r\n", nameof(RequestErrors.BareCr) },
        { "5\r\rhello\r\n", nameof(RequestErrors.BareCr) },
        { "5\r\nhello\n", nameof(RequestErrors.ChunkDataUnterminated) },
        { "5\r\nhello\rx", nameof(RequestErrors.ChunkDataUnterminated) },
        { "5\r\nhello!\r\n", nameof(RequestErrors.ChunkDataUnterminated) },
        { "5\r\nhello5\r\n", nameof(RequestErrors.ChunkDataUnterminated) },
        // CVE-2025-55315: one decoder ended the extension at the lone LF or CR, the other at the CRLF.
        { "2;\nxx\r\n", nameof(RequestErrors.BareLf) },
        { "2;a\nxx\r\n0\r\n\r\n", nameof(RequestErrors.BareLf) },
        { "2;a=\"\n\"\r\nxx\r\n", nameof(RequestErrors.BareLf) },
        { "2;a\rxx\r\n", nameof(RequestErrors.BareCr) },
        { "2;a\r\rxx\r\n", nameof(RequestErrors.BareCr) },
        { "2 ;\0\r\nxx\r\n", nameof(RequestErrors.ControlCharacter) },
        { "2 \nxx\r\n", nameof(RequestErrors.BareLf) },
        { "0\r\n\n", nameof(RequestErrors.BareLf) },
        { "0\r\n\rx", nameof(RequestErrors.BareCr) },
        { "0\r\n a: b\r\n", nameof(RequestErrors.ObsFold) },
        { "0\r\n: b\r\n", nameof(RequestErrors.FieldNameMalformed) },
        { "0\r\nab\r\n\r\n", nameof(RequestErrors.FieldNameMalformed) },
        { "0\r\na : b\r\n\r\n", nameof(RequestErrors.FieldNameMalformed) },
        { "0\r\nGET / HTTP/1.1\r\n", nameof(RequestErrors.FieldNameMalformed) },
        { "0\r\na: b\nc: d\r\n\r\n", nameof(RequestErrors.BareLf) },
        { "0\r\na: b\rc: d\r\n\r\n", nameof(RequestErrors.BareCr) },
        { "0\r\na: \0\r\n\r\n", nameof(RequestErrors.ControlCharacter) },
        { "0\r\na: b\r\n\r\r", nameof(RequestErrors.BareCr) },
        { "0\r\nContent-Length: 5\r\n\r\n", nameof(RequestErrors.TrailerForbidden) },
        { "0\r\na: b\r\ntransfer-encoding:chunked\r\n\r\n", nameof(RequestErrors.TrailerForbidden) },
        { "0\r\nHOST: b\r\n\r\n", nameof(RequestErrors.TrailerForbidden) },
    };

    [Theory]
    [InlineData("0\r\n\r\n", "")]
    [InlineData("5\r\nhello\r\n0\r\n\r\n", "hello")]
    [InlineData("4\r\nWiki\r\n5\r\npedia\r\nE\r\n in\r\n\r\nchunks.\r\n0\r\n\r\n", "Wikipedia in\r\n\r\nchunks.")]
    [InlineData("005\r\nhello\r\n000\r\n\r\n", "hello")]
    [InlineData("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789")]
    [InlineData("5;a\r\nhello\r\n0;b=c\r\n\r\n", "hello")]
    [InlineData("5 \t;a=\"b;c\t\"\r\nhello\r\n0\r\n\r\n", "hello")]
    [InlineData("5;a=\"b\\\"\\\\;\u00E9\" ; c = d;e\r\nhello\r\n0\r\n\r\n", "hello")]
    [InlineData("0\r\nExpires: now\r\nEmpty:\r\n\r\n", "")]
    [InlineData("0\r\nhos: a\r\nhosts: a\r\nx-host: a\r\nHost_: a\r\nContent-Length-: 5\r\n\r\n", "")]
    public void Chunks_are_joined_and_what_follows_the_body_is_left(string text, string content)
    {
        Decoded decoded = Decoded.EveryWay(text + "GET / HTTP/1.1");
        Assert.Equal(new Decoded(BodyStatus.Complete, default, content, "GET / HTTP/1.1"), decoded);
    }

    [Fact]
    public void Every_prefix_of_a_body_asks_for_more()
    {
        byte[] bytes = "3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nA: b\r\n\r\n"u8.ToArray();
        for (int count = 0; count < bytes.Length; count++)
        {
            Assert.Equal(BodyStatus.NeedMore, Decoded.EveryWay(bytes[..count]).Status);
        }
    }

    [Theory]
    [MemberData(nameof(Bad))]
    public void Body_is_refused(string text, string error) => AssertRefused(text, error, HttpLimits.Default);

    [Theory]
    [MemberData(nameof(Bad))]
    public void Body_that_turns_bad_after_a_good_chunk_is_refused(string text, string error) =>
        AssertRefused("3;x=y\r\nabc\r\n" + text, error, HttpLimits.Default);

    [Theory]
    [InlineData("15", nameof(RequestErrors.BodyTooLarge))]
    [InlineData("a\r\n0123456789\r\nb", nameof(RequestErrors.BodyTooLarge))]
    [InlineData("ff", nameof(RequestErrors.BodyTooLarge))]
    [InlineData("1;23456789AB", nameof(RequestErrors.ChunkExtensionTooLong))]
    [InlineData("1;2345\r\nx\r\n1;23456", nameof(RequestErrors.ChunkExtensionTooLong))]
    [InlineData("1           ", nameof(RequestErrors.ChunkExtensionTooLong))]
    [InlineData("0\r\na: bcdefghi", nameof(RequestErrors.TrailerTooLarge))]
    [InlineData("0\r\na:b\r\nc:d\r\ne", nameof(RequestErrors.TrailerTooLarge))]
    public void Body_is_refused_one_byte_beyond_a_limit(string text, string error)
    {
        AssertRefused(text, error, SmallLimits);
        Assert.Equal(BodyStatus.NeedMore, Decoded.EveryWay(text[..^1], SmallLimits).Status);
    }

    [Theory]
    [InlineData("80000000\r\n")]
    [InlineData("ffffffff\r\n")]
    [InlineData("8000000000000000\r\n")]
    [InlineData("10000000000000005\r\nhello\r\n")]
    public void Size_that_would_overflow_is_refused(string text) =>
        AssertRefused(text, nameof(RequestErrors.BodyTooLarge), new() { BodyBytesMax = int.MaxValue });

    [Fact]
    public void Body_as_large_as_the_limit_is_read() =>
        Assert.Equal(BodyStatus.Complete, Decoded.EveryWay("14\r\n01234567890123456789\r\n0\r\n\r\n", SmallLimits).Status);

    [Fact]
    public void Decoding_allocates_nothing()
    {
        byte[] bytes = "3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nA: b\r\n\r\n"u8.ToArray();
        ReadOnlySequence<byte> whole = Segments.SplitAt(bytes, 10);
        var output = new ArrayBufferWriter<byte>(64);
        long before = 0;
        bool isComplete = true;
        for (int run = 0; run < 1001; run++)
        {
            before = run == 1 ? GC.GetAllocatedBytesForCurrentThread() : before;
            ReadOnlySequence<byte> input = whole;
            var body = new ChunkedBody(HttpLimits.Default);
            output.ResetWrittenCount();
            isComplete &= body.TryRead(ref input, output, out _) == BodyStatus.Complete;
        }

        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(isComplete);
        Assert.Equal(0, allocated);
        Assert.Equal("abcde", Encoding.ASCII.GetString(output.WrittenSpan));
    }

    private static void AssertRefused(string text, string error, HttpLimits limits)
    {
        Decoded decoded = Decoded.EveryWay(text, limits);
        Assert.Equal(BodyStatus.Invalid, decoded.Status);
        Assert.Equal(typeof(RequestErrors).GetField(error)!.GetValue(null), decoded.Error);
    }
}
