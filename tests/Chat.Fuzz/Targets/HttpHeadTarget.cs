using System.Buffers;
using System.Text;
using Chat.Protocol;
using Chat.Protocol.Http;
using Chat.Protocol.WebSocket;
using Chat.Server.Tests.Oracles;

namespace Chat.Fuzz.Targets;

/// <summary>
/// A connection's requests: head, content, next head. However the bytes arrive they are the same requests, Kestrel reads each head
/// that is accepted as we do, and looking at the bytes costs no more than there are.
/// </summary>
internal static class HttpHeadTarget
{
    // Limits that an input of some hundred bytes reaches.
    private static readonly HttpLimits SmallLimits = new()
    {
        MethodBytesMax = 7,
        TargetBytesMax = 40,
        HeadBytesMax = 160,
        FieldsMax = 4,
        BodyBytesMax = 24,
        ChunkExtensionBytesMax = 8,
        TrailerBytesMax = 16,
    };

    public static void Run(FuzzInput input)
    {
        HttpLimits limits = input.HasOption(0) ? SmallLimits : HttpLimits.Default;
        int[] cuts = input.Cuts();
        string whole = Read(input.Data, [input.Data.Length], isSegmented: false, limits, asksKestrel: true);
        Check.Same(whole, Read(input.Data, cuts, isSegmented: false, limits, asksKestrel: false), "arriving in pieces gives the same");
        Check.Same(whole, Read(input.Data, cuts, isSegmented: true, limits, asksKestrel: false), "arriving in segments gives the same");
    }

    /// <summary>All that a connection learns from the bytes.</summary>
    private static string Read(byte[] bytes, int[] cuts, bool isSegmented, HttpLimits limits, bool asksKestrel)
    {
        var transcript = new StringBuilder();
        var content = new ArrayBufferWriter<byte>();
        var parser = new RequestParser(limits);
        using var head = new RequestHead();
        RequestBody? body = null;
        int start = 0;
        int calls = 0;
        foreach (int arrived in cuts)
        {
            while (true)
            {
                ReadOnlySequence<byte> received = isSegmented
                    ? Segments.Of(bytes, cuts, start, arrived)
                    : new ReadOnlySequence<byte>(bytes[start..arrived]);
                if (body is { } reading)
                {
                    BodyStatus status = reading.TryRead(ref received, content, out ProtocolError error);
                    body = status == BodyStatus.Complete ? null : reading;
                    start = arrived - (int)received.Length;
                    Check.That(content.WrittenCount <= limits.BodyBytesMax, "the content stays within its limit");
                    if (status == BodyStatus.NeedMore)
                    {
                        break;
                    }

                    transcript.Append('<').Append(Encoding.Latin1.GetString(content.WrittenSpan)).Append("> ").Append(error.Reason).Append('\n');
                    content.Clear();
                    if (status == BodyStatus.Invalid)
                    {
                        return transcript.ToString();
                    }

                    continue;
                }

                calls++;
                ParseStatus parsed = parser.TryParse(received, head, out SequencePosition consumed, out ProtocolError refusal);
                int consumedBytes = (int)received.Slice(0, consumed).Length;
                Check.That(parser.BytesScanned <= start + received.Length + calls, "no byte is looked at twice");
                Check.Same(parsed == ParseStatus.Invalid, !refusal.IsNone, "an error says that it is one");
                Check.That(parsed == ParseStatus.Complete || consumedBytes == 0, "nothing is consumed before the head is whole");
                if (parsed == ParseStatus.NeedMore)
                {
                    break;
                }

                if (parsed == ParseStatus.Invalid)
                {
                    return transcript.Append(refusal.Code).Append(' ').Append(refusal.Reason).ToString();
                }

                if (asksKestrel)
                {
                    CompareWithKestrel(bytes.AsSpan(start, consumedBytes), head);
                }

                Describe(head, transcript);
                body = new RequestBody(head, limits);
                start += consumedBytes;
            }
        }

        return transcript.Append(body is null ? "more of a head" : "more of a body").ToString();
    }

    private static void CompareWithKestrel(ReadOnlySpan<byte> bytes, RequestHead head)
    {
        // One empty line before a request is forgiven (RFC 9112 section 2.2): in Kestrel by the connection, not by the parser.
        ReadOnlySpan<byte> request = bytes.StartsWith("\r\n"u8) ? bytes[2..] : bytes;
        var fields = new StringBuilder();
        for (int i = 0; i < head.FieldCount; i++)
        {
            fields.Append('\n').Append(Latin1(head.Field(i).Name)).Append(": <").Append(Latin1(head.Field(i).Value)).Append('>');
        }

        Check.Same(
            KestrelRequest.Parse(new ReadOnlySequence<byte>(request.ToArray())),
            new KestrelRequest(Latin1(head.MethodName), Latin1(head.Target), $"Http1{head.VersionMinor}", fields.ToString(), request.Length),
            "what we accept, Kestrel accepts and sees alike");
    }

    /// <summary>With what the server asks a head about before it looks at anything else.</summary>
    private static void Describe(RequestHead head, StringBuilder transcript)
    {
        transcript.Append(head.Method).Append('/').Append(Latin1(head.MethodName)).Append(' ').Append(Latin1(head.Target))
            .Append(' ').Append(Latin1(head.Path)).Append(' ').Append(Latin1(head.Query)).Append(" 1.").Append(head.VersionMinor)
            .Append(' ').Append(head.ContentLength).Append(head.IsChunked ? " chunked" : "").Append(head.KeepAlive ? " keep-alive" : "")
            .Append(head.ExpectContinue ? " expect" : "").Append(Handshake.IsUpgrade(head) ? " upgrade" : "");
        for (int i = 0; i < head.FieldCount; i++)
        {
            transcript.Append('\n').Append(Latin1(head.Field(i).Name)).Append(": <").Append(Latin1(head.Field(i).Value)).Append('>');
        }

        transcript.Append('\n').Append(Handshake.TryRead(head, out OpeningHandshake handshake, out ProtocolError error) ? "" : error.Reason)
            .Append(Latin1(handshake.Key)).Append(handshake.OffersChatV1).Append(Latin1(handshake.BearerToken)).Append('\n')
            .Append(DeflateParameters.TryNegotiate(head, ContextTakeover.AsOffered, out DeflateParameters? agreed)).Append(agreed).Append('\n');

        byte[] decoded = new byte[head.Query.Length];
        transcript.Append(QueryString.Get(head.Query, "token"u8, decoded, out int written)).Append(Latin1(decoded.AsSpan(0, written))).Append('\n');
    }

    private static string Latin1(ReadOnlySpan<byte> bytes) => Encoding.Latin1.GetString(bytes);
}
