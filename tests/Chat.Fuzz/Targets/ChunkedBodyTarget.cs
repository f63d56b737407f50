using System.Buffers;
using System.Text;
using Chat.Fuzz.Oracles;
using Chat.Protocol;
using Chat.Protocol.Http;

namespace Chat.Fuzz.Targets;

/// <summary>
/// One chunked body. However it arrives it is the same content and ends at the same byte, and a decoder that only looks for lines
/// finds that content and that end too.
/// </summary>
internal static class ChunkedBodyTarget
{
    private static readonly HttpLimits SmallLimits = new() { BodyBytesMax = 40, ChunkExtensionBytesMax = 12, TrailerBytesMax = 20 };

    public static void Run(FuzzInput input)
    {
        HttpLimits limits = input.HasOption(0) ? SmallLimits : HttpLimits.Default;
        byte[] bytes = input.Data;
        int[] cuts = input.Cuts();
        Decoded whole = Read(limits, new ReadOnlySequence<byte>(bytes));
        Check.Same(whole, Read(limits, Segments.Of(bytes, cuts, 0, bytes.Length)), "arriving in segments gives the same");

        var pieces = new ReadOnlySequence<byte>[cuts.Length];
        for (int i = 0; i < cuts.Length; i++)
        {
            pieces[i] = new ReadOnlySequence<byte>(bytes[(i == 0 ? 0 : cuts[i - 1])..cuts[i]]);
        }

        Check.Same(whole, Read(limits, pieces), "arriving in pieces gives the same");
        Check.That(whole.Content.Length <= limits.BodyBytesMax, "the content stays within its limit");
        if (whole.Status == BodyStatus.Complete)
        {
            Check.Same(
                SlowChunks.Decode(Encoding.Latin1.GetString(bytes)), (whole.Content, whole.Rest), "the content and its end are what the lines say");
        }
    }

    private static Decoded Read(HttpLimits limits, params ReadOnlySpan<ReadOnlySequence<byte>> pieces)
    {
        var body = new ChunkedBody(limits);
        var output = new ArrayBufferWriter<byte>();
        var rest = new StringBuilder();
        BodyStatus status = BodyStatus.NeedMore;
        ProtocolError error = default;
        foreach (ReadOnlySequence<byte> piece in pieces)
        {
            ReadOnlySequence<byte> unread = piece;
            if (status == BodyStatus.NeedMore)
            {
                status = body.TryRead(ref unread, output, out error);
                Check.Same(status == BodyStatus.Invalid, !error.IsNone, "an error says that it is one");
                Check.That(status != BodyStatus.NeedMore || unread.IsEmpty, "all is consumed while more is needed");
            }

            rest.Append(Encoding.Latin1.GetString(unread));
        }

        return new Decoded(status, error, Encoding.Latin1.GetString(output.WrittenSpan), rest.ToString());
    }

    private sealed record Decoded(BodyStatus Status, ProtocolError Error, string Content, string Rest);
}
