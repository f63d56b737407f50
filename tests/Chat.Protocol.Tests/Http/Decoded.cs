using System.Buffers;
using System.Text;
using Chat.Protocol.Http;

namespace Chat.Protocol.Tests.Http;

/// <summary>All that the decoding of a chunked body tells, as values that can be compared.</summary>
internal sealed record Decoded(BodyStatus Status, ProtocolError Error, string Content, string Rest)
{
    /// <summary>Decodes the bytes whole, and checks that every other way to receive them gives the same.</summary>
    public static Decoded EveryWay(byte[] bytes, HttpLimits? limits = null)
    {
        limits ??= HttpLimits.Default;
        Decoded whole = InReads(limits, Segments.Whole(bytes));
        Assert.Equal(whole, InReads(limits, Segments.BytePerSegment(bytes)));
        for (int index = 0; index <= bytes.Length; index++)
        {
            Assert.Equal(whole, InReads(limits, Segments.SplitAt(bytes, index)));
            Assert.Equal(whole, InReads(limits, Segments.Whole(bytes[..index]), Segments.Whole(bytes[index..])));
        }

        return whole;
    }

    public static Decoded EveryWay(string text, HttpLimits? limits = null) => EveryWay(Encoding.Latin1.GetBytes(text), limits);

    private static Decoded InReads(HttpLimits limits, params ReadOnlySequence<byte>[] reads)
    {
        var output = new ArrayBufferWriter<byte>();
        var rest = new StringBuilder();
        var body = new ChunkedBody(limits);
        BodyStatus status = BodyStatus.NeedMore;
        ProtocolError error = default;
        foreach (ReadOnlySequence<byte> read in reads)
        {
            ReadOnlySequence<byte> input = read;
            if (status == BodyStatus.NeedMore)
            {
                status = body.TryRead(ref input, output, out error);
                Assert.Equal(status == BodyStatus.Invalid, !error.IsNone);
                Assert.True(status != BodyStatus.NeedMore || input.IsEmpty);
            }

            rest.Append(Encoding.Latin1.GetString(input));
        }

        return new Decoded(status, error, Encoding.Latin1.GetString(output.WrittenSpan), rest.ToString());
    }
}
