using System.Buffers;

namespace Chat.Protocol.Http;

/// <summary>
/// The content of one request, whichever way its length was announced (RFC 9112 section 6.3). A mutable struct: keep it in a
/// field, not in a copy. Make it when the head is complete and read until Complete, also when nobody wants the content:
/// the next request begins behind it.
/// </summary>
public struct RequestBody
{
    private readonly bool _isChunked;
    private ChunkedBody _chunked;
    private long _bytesLeft;

    public RequestBody(RequestHead head, HttpLimits limits)
    {
        _isChunked = head.IsChunked;
        _chunked = new ChunkedBody(limits);
        _bytesLeft = Math.Max(head.ContentLength, 0);
    }

    /// <inheritdoc cref="ChunkedBody.TryRead"/>
    public BodyStatus TryRead(ref ReadOnlySequence<byte> input, IBufferWriter<byte> output, out ProtocolError error)
    {
        if (_isChunked)
        {
            return _chunked.TryRead(ref input, output, out error);
        }

        error = default;
        long read = 0;
        foreach (ReadOnlyMemory<byte> segment in input)
        {
            int count = (int)Math.Min(_bytesLeft - read, segment.Length);
            output.Write(segment.Span[..count]);
            read += count;
        }

        _bytesLeft -= read;
        input = input.Slice(read);
        return _bytesLeft == 0 ? BodyStatus.Complete : BodyStatus.NeedMore;
    }
}
