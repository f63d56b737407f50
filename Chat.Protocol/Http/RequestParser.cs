using System.Buffers;
using System.Runtime.CompilerServices;

namespace Chat.Protocol.Http;

public enum ParseStatus : byte
{
    /// <summary>Not decided yet; nothing was consumed. Call again with the same bytes and more.</summary>
    NeedMore,
    Complete,
    Invalid,
}

/// <summary>
/// Reads request heads off one connection, strictly by RFC 9112: what two recipients might understand differently is refused.
/// Not a body reader (<see cref="RequestBody"/>) and not a router. One per connection, one thread at a time:
/// <see cref="TryParse"/> until it answers Complete, then the body, then <see cref="TryParse"/> again for the next head.
/// </summary>
/// <remarks>
/// Cost is linear in the bytes of a head however they arrive: the parser remembers where it stopped. A head in one segment is
/// parsed in place and copied once, at its end; one that spans segments is gathered in the copy and parsed there. Offsets from
/// the start of the head mean the same in both, so a head may change from the one to the other while it arrives.
/// </remarks>
public sealed class RequestParser
{
    private readonly HttpLimits _limits;
    private readonly int _requestLineBytesMax;
    private Line _line;
    private int _lineStart;
    private int _scanned;
    private ProtocolError _refusal;

    public RequestParser(HttpLimits limits)
    {
        limits.RequireConsistent();
        _limits = limits;
        _requestLineBytesMax = limits.RequestLineBytesMax;
    }

    private enum Line : byte
    {
        /// <summary>Nothing of this head was seen; the head may hold the previous request.</summary>
        None,
        Request,
        /// <summary>The request line, after the one empty line that is forgiven.</summary>
        RequestAfterEmpty,
        Field,
    }

    /// <summary>
    /// Bytes looked at in search of line ends, over the connection's life. If it outgrows the bytes received, cost is not linear.
    /// </summary>
    public long BytesScanned { get; private set; }

    /// <summary>Takes one head off the front of the input, if all of it is there. Needs no new bytes to be called again.</summary>
    /// <param name="input">
    /// Everything received and not yet consumed: while more is needed it begins at the same byte and only grows.
    /// </param>
    /// <param name="head">
    /// Belongs to the parser from the first byte of a head until Complete: pass the same one, and do not read it. When Invalid, only
    /// its method may be read: <see cref="RequestMethod.Other"/> if it was not understood.
    /// </param>
    /// <param name="consumed">The end of the head when Complete, else the start of <paramref name="input"/>.</param>
    /// <param name="error">
    /// A value of <see cref="RequestErrors"/> when Invalid; the same one from then on, until <see cref="Reset"/>.
    /// </param>
    public ParseStatus TryParse(
        in ReadOnlySequence<byte> input, RequestHead head, out SequencePosition consumed, out ProtocolError error)
    {
        if (_line == Line.None)
        {
            head.Reset();
            _line = Line.Request;
        }

        ParseStatus status =
            !_refusal.IsNone ? ParseStatus.Invalid :
            input.IsSingleSegment ? ParseSegment(input.FirstSpan, head) :
            ParseSegments(input, head);

        consumed = input.Start;
        error = _refusal;
        if (status == ParseStatus.Complete)
        {
            consumed = input.GetPosition(_scanned);
            Reset();
        }

        return status;
    }

    /// <summary>Forgets a head that was begun or refused, to use the parser for another connection.</summary>
    public void Reset()
    {
        _line = Line.None;
        _lineStart = 0;
        _scanned = 0;
        _refusal = default;
    }

    private ParseStatus ParseSegment(ReadOnlySpan<byte> received, RequestHead head)
    {
        ParseStatus status = ParseLines(received, head);
        if (status == ParseStatus.Complete)
        {
            head.CopyWhole(received[.._scanned]);
        }

        return status;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private ParseStatus ParseSegments(in ReadOnlySequence<byte> input, RequestHead head)
    {
        foreach (ReadOnlyMemory<byte> segment in input.Slice(head.CopiedCount))
        {
            // Segment by segment, so that a body behind the head is not copied with it.
            int room = _limits.HeadBytesMax - head.CopiedCount;
            head.Append(segment.Length <= room ? segment.Span : segment.Span[..room]);
            if (head.CopiedCount <= _scanned)
            {
                continue; // Seen already, when the head was still in one segment.
            }

            ParseStatus status = ParseLines(head.Copied, head);
            if (status != ParseStatus.NeedMore)
            {
                return status;
            }
        }

        return ParseStatus.NeedMore;
    }

    /// <summary>Parses the lines that have arrived. <paramref name="received"/> begins at the first byte of the head.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private ParseStatus ParseLines(ReadOnlySpan<byte> received, RequestHead head)
    {
        Invariant.Require(received.Length >= _scanned);
        // Bytes beyond the limit must not change the answer: it would then depend on how the bytes were cut.
        ReadOnlySpan<byte> bytes = received.Length <= _limits.HeadBytesMax ? received : received[.._limits.HeadBytesMax];
        var controls = new ControlSearch(bytes, _scanned);
        while (true)
        {
            ParseStatus found = FindLineEnd(bytes, head, ref controls);
            if (found != ParseStatus.Complete)
            {
                return found;
            }

            var line = new HeadSlice(_lineStart, _scanned - _lineStart);
            bool isEnd = line.Length == 0 && _line == Line.Field;
            ProtocolError error = isEnd ? CheckWhole(bytes, head) : ParseLine(bytes, line, head);
            if (!error.IsNone)
            {
                return Refuse(error);
            }

            _scanned += "\r\n"u8.Length;
            _lineStart = _scanned;
            if (isEnd)
            {
                return ParseStatus.Complete;
            }
        }
    }

    /// <summary>Moves <c>_scanned</c> to the CR that ends the current line, or to the end of what has arrived.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ParseStatus FindLineEnd(ReadOnlySpan<byte> bytes, RequestHead head, ref ControlSearch controls)
    {
        int stop = controls.FindFrom(_scanned);
        int passed = (stop < 0 ? bytes.Length : stop) - _scanned;
        _scanned += passed;
        BytesScanned += stop < 0 ? passed : passed + 1;

        if (_line != Line.Field && _scanned - _lineStart > _requestLineBytesMax)
        {
            return Refuse(RequestLine.WhyTooLong(bytes[_lineStart.._scanned], head, _limits));
        }

        bool endsWithCr = stop >= 0 && bytes[_scanned] == '\r';
        if (stop < 0 || (endsWithCr && _scanned + 1 == bytes.Length))
        {
            return bytes.Length == _limits.HeadBytesMax ? Refuse(RequestErrors.HeadTooLarge) : ParseStatus.NeedMore;
        }

        if (endsWithCr && bytes[_scanned + 1] == '\n')
        {
            return ParseStatus.Complete;
        }

        return Refuse(
            endsWithCr ? RequestErrors.BareCr :
            bytes[_scanned] == '\n' ? RequestErrors.BareLf :
            RequestErrors.ControlCharacter);
    }

    private ProtocolError ParseLine(ReadOnlySpan<byte> bytes, HeadSlice line, RequestHead head)
    {
        if (_line == Line.Field)
        {
            return FieldLine.Parse(bytes, line, head, _limits);
        }

        if (line.Length == 0 && _line == Line.Request)
        {
            // RFC 9112 section 2.2: old clients send an extra CRLF after a body. One is forgiven, a stream of them is not.
            _line = Line.RequestAfterEmpty;
            return default;
        }

        _line = Line.Field;
        return RequestLine.Parse(bytes, line, head, _limits);
    }

    private static ProtocolError CheckWhole(ReadOnlySpan<byte> bytes, RequestHead head) =>
        head.VersionMinor == 1 && !head.HasHost ? RequestErrors.HostMissing :
        head.AuthoritySlice.Length > 0 && head.HasHost && !RequestLine.IsSameHost(bytes, head) ? RequestErrors.HostMismatch :
        default;

    private ParseStatus Refuse(ProtocolError error)
    {
        _refusal = error;
        return ParseStatus.Invalid;
    }
}
