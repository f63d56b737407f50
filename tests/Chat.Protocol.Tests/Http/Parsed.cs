using System.Buffers;
using System.Text;
using Chat.Protocol.Http;

namespace Chat.Protocol.Tests.Http;

/// <summary>All that a parse tells, as values that can be compared.</summary>
internal sealed record Parsed(ParseStatus Status, ProtocolError Error, long ConsumedBytes, string Head)
{
    /// <summary>Parses the bytes whole, and checks that every other way to receive them gives the same.</summary>
    public static Parsed EveryWay(byte[] bytes, HttpLimits? limits = null)
    {
        limits ??= HttpLimits.Default;
        Parsed whole = Once(Segments.Whole(bytes), limits);
        Assert.Equal(whole, Once(Segments.BytePerSegment(bytes), limits));
        Assert.Equal(whole, Grown(bytes, limits, 1, static (bytes, count) => Segments.Whole(bytes[..count])));
        for (int index = 0; index <= bytes.Length; index++)
        {
            Assert.Equal(whole, Once(Segments.SplitAt(bytes, index), limits));
            Assert.Equal(whole, InTwoReads(bytes, index, limits));
        }

        return whole;
    }

    public static Parsed EveryWay(string text, HttpLimits? limits = null) => EveryWay(Encoding.Latin1.GetBytes(text), limits);

    public static Parsed Once(ReadOnlySequence<byte> input, HttpLimits limits)
    {
        using var head = new RequestHead();
        return Step(new RequestParser(limits), head, input);
    }

    /// <summary>Calls the parser with ever longer prefixes, until it decides.</summary>
    public static Parsed Grown(byte[] bytes, HttpLimits limits, int step, Func<byte[], int, ReadOnlySequence<byte>> cut)
    {
        using var head = new RequestHead();
        var parser = new RequestParser(limits);
        for (int count = 0; count < bytes.Length; count += step)
        {
            Parsed parsed = Step(parser, head, cut(bytes, count));
            if (parsed.Status != ParseStatus.NeedMore)
            {
                return parsed;
            }
        }

        return Step(parser, head, cut(bytes, bytes.Length));
    }

    private static Parsed InTwoReads(byte[] bytes, int index, HttpLimits limits)
    {
        using var head = new RequestHead();
        var parser = new RequestParser(limits);
        Parsed first = Step(parser, head, Segments.Whole(bytes[..index]));
        // The first segment stays where it was and the second is linked to it: what a pipe does.
        return first.Status == ParseStatus.NeedMore ? Step(parser, head, Segments.SplitAt(bytes, index)) : first;
    }

    private static Parsed Step(RequestParser parser, RequestHead head, ReadOnlySequence<byte> input)
    {
        ParseStatus status = parser.TryParse(input, head, out SequencePosition consumed, out ProtocolError error);
        Assert.Equal(status == ParseStatus.Invalid, !error.IsNone);
        long consumedBytes = input.Length - input.Slice(consumed).Length;
        Assert.True(status == ParseStatus.Complete || consumedBytes == 0);
        return new Parsed(status, error, consumedBytes, status == ParseStatus.Complete ? Describe(head) : "");
    }

    private static string Describe(RequestHead head)
    {
        var text = new StringBuilder();
        text.Append(head.Method).Append('/').Append(Latin1(head.MethodName)).Append(' ').Append(Latin1(head.Target));
        text.Append(" path=").Append(Latin1(head.Path)).Append(" query=").Append(Latin1(head.Query));
        text.Append(" 1.").Append(head.VersionMinor).Append(" length=").Append(head.ContentLength);
        text.Append(head.IsChunked ? " chunked" : "").Append(head.KeepAlive ? " keep-alive" : " close");
        text.Append(head.ExpectContinue ? " expect-continue" : "");
        for (int index = 0; index < head.FieldCount; index++)
        {
            FieldView field = head.Field(index);
            text.Append('\n').Append(Latin1(field.Name)).Append(": <").Append(Latin1(field.Value)).Append('>');
        }

        return text.ToString();
    }

    private static string Latin1(ReadOnlySpan<byte> bytes) => Encoding.Latin1.GetString(bytes);
}
