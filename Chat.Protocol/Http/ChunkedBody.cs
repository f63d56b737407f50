using System.Buffers;

namespace Chat.Protocol.Http;

public enum BodyStatus : byte
{
    /// <summary>All of the input was consumed and the body goes on.</summary>
    NeedMore,
    /// <summary>The body has ended; what is left of the input belongs to the next request.</summary>
    Complete,
    Invalid,
}

/// <summary>
/// Decodes one chunked body (RFC 9112 section 7.1), resumable at any byte. A mutable struct: keep it in a field, not in a copy.
/// Chunk extensions and trailers are held to their grammar, and discarded.
/// </summary>
/// <remarks>
/// CR and LF are legal only as the pair that ends a line. Decoders that searched an extension for "\n", or skipped to "\r",
/// saw a different body than the proxy before them; that was request smuggling (CVE-2025-55315).
/// </remarks>
public struct ChunkedBody(HttpLimits limits)
{
    // 2^64 has 16. Only leading zeros get this far: the size is compared with what is left of the body at every digit.
    private const int SizeDigitsMax = 16;

    private const int ForbiddenTrailers = 3;
    private const int ForbiddenTrailersMask = (1 << ForbiddenTrailers) - 1;

    private State _state;
    private int _sizeDigits;
    private long _chunkBytesLeft;
    private int _bodyBytes;
    private int _extensionBytes;
    private int _trailerBytes;
    private int _trailerNameLength;
    private int _trailerCandidates;

    private enum State : byte
    {
        Size,
        SizeLf,
        // chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )
        BeforeSemicolon,
        BeforeName,
        Name,
        AfterName,
        BeforeValue,
        Value,
        Quoted,
        QuotedPair,
        AfterQuoted,
        Data,
        DataCr,
        DataLf,
        TrailerLine,
        TrailerName,
        TrailerValue,
        TrailerLf,
        EndLf,
        End,
    }

    /// <param name="input">Moved past what was decoded, or, when Invalid, up to the byte at fault.</param>
    /// <param name="output">Receives the content. When Invalid it may hold a part, to be thrown away.</param>
    /// <param name="error">A value of <see cref="RequestErrors"/> when Invalid; do not call again then.</param>
    public BodyStatus TryRead(ref ReadOnlySequence<byte> input, IBufferWriter<byte> output, out ProtocolError error)
    {
        error = default;
        long consumed = 0;
        foreach (ReadOnlyMemory<byte> segment in input)
        {
            error = Read(segment.Span, output, out int read);
            consumed += read;
            if (_state == State.End || !error.IsNone)
            {
                break;
            }
        }

        input = input.Slice(consumed);
        return !error.IsNone ? BodyStatus.Invalid : _state == State.End ? BodyStatus.Complete : BodyStatus.NeedMore;
    }

    private ProtocolError Read(ReadOnlySpan<byte> bytes, IBufferWriter<byte> output, out int read)
    {
        read = 0;
        while (read < bytes.Length && _state != State.End)
        {
            if (_state == State.Data)
            {
                int count = (int)Math.Min(_chunkBytesLeft, bytes.Length - read);
                output.Write(bytes.Slice(read, count));
                read += count;
                _chunkBytesLeft -= count;
                _state = _chunkBytesLeft == 0 ? State.DataCr : State.Data;
                continue;
            }

            ProtocolError error = ReadOctet(bytes[read]);
            if (!error.IsNone)
            {
                return error;
            }

            read++;
        }

        return default;
    }

    /// <summary>Everything but data goes byte by byte: it is short, and one state per byte has no edge where input may be cut.</summary>
    private ProtocolError ReadOctet(byte octet)
    {
        switch (_state)
        {
            case State.Size:
                return ReadSize(octet);

            case State.SizeLf:
                return octet == '\n' ? BeginChunk() : RequestErrors.BareCr;

            case State.DataCr:
                return octet == '\r' ? MoveTo(State.DataLf) : RequestErrors.ChunkDataUnterminated;

            case State.DataLf:
                return octet == '\n' ? MoveTo(State.Size) : RequestErrors.ChunkDataUnterminated;

            case State.EndLf:
                return octet == '\n' ? MoveTo(State.End) : RequestErrors.BareCr;

            case State.TrailerLine or State.TrailerName or State.TrailerValue or State.TrailerLf:
                return ReadTrailer(octet);

            default:
                return ReadExtension(octet);
        }
    }

    private ProtocolError ReadSize(byte octet)
    {
        int digit = HexDigits.ToValue(octet);
        if (digit >= 0)
        {
            _sizeDigits++;
            _chunkBytesLeft = (_chunkBytesLeft * 16) + digit;
            // At every digit, so that no number of digits can overflow.
            return _sizeDigits > SizeDigitsMax ? RequestErrors.ChunkSizeMalformed
                : _chunkBytesLeft > limits.BodyBytesMax - _bodyBytes ? RequestErrors.BodyTooLarge
                : default;
        }

        if (_sizeDigits == 0)
        {
            return RequestErrors.ChunkSizeMalformed;
        }

        return octet switch
        {
            (byte)'\r' => MoveTo(State.SizeLf),
            (byte)';' => CountExtension(State.BeforeName),
            (byte)' ' or (byte)'\t' => CountExtension(State.BeforeSemicolon),
            (byte)'\n' => RequestErrors.BareLf,
            _ => RequestErrors.ChunkSizeMalformed,
        };
    }

    /// <summary>
    /// One byte of an extension (RFC 9112 section 7.1.1). Its grammar is held to as well as its lines: a decoder that skips
    /// what it does not expect is one more that might stop elsewhere.
    /// </summary>
    private ProtocolError ReadExtension(byte octet)
    {
        if (octet == '\r' && _state is State.Name or State.Value or State.AfterQuoted)
        {
            return MoveTo(State.SizeLf);
        }

        if (octet != '\r' && IsControl(octet))
        {
            return octet == '\n' ? RequestErrors.BareLf : RequestErrors.ControlCharacter;
        }

        bool isSpace = octet is (byte)' ' or (byte)'\t';
        bool isToken = CharacterSets.Token.Contains(octet);
        State next = _state switch
        {
            State.BeforeSemicolon => isSpace ? _state : octet == ';' ? State.BeforeName : State.Size,
            State.BeforeName => isSpace ? _state : isToken ? State.Name : State.Size,
            State.Name when isToken => _state,
            State.Name or State.AfterName =>
                isSpace ? State.AfterName : octet == '=' ? State.BeforeValue : octet == ';' ? State.BeforeName : State.Size,
            State.BeforeValue => isSpace ? _state : octet == '"' ? State.Quoted : isToken ? State.Value : State.Size,
            State.Value when isToken => _state,
            State.Quoted => octet == '"' ? State.AfterQuoted : octet == '\\' ? State.QuotedPair : octet == '\r' ? State.Size : _state,
            State.QuotedPair => octet == '\r' ? State.Size : State.Quoted,
            _ => isSpace ? State.BeforeSemicolon : octet == ';' ? State.BeforeName : State.Size, // After a value.
        };
        return next == State.Size ? RequestErrors.ChunkExtensionMalformed : CountExtension(next);
    }

    private ProtocolError CountExtension(State next)
    {
        _extensionBytes++;
        return _extensionBytes > limits.ChunkExtensionBytesMax ? RequestErrors.ChunkExtensionTooLong : MoveTo(next);
    }

    private ProtocolError BeginChunk()
    {
        bool isLast = _chunkBytesLeft == 0;
        _sizeDigits = 0;
        _bodyBytes += (int)_chunkBytesLeft;
        return MoveTo(isLast ? State.TrailerLine : State.Data);
    }

    private ProtocolError ReadTrailer(byte octet)
    {
        if (_state == State.TrailerLine && octet == '\r')
        {
            return MoveTo(State.EndLf);
        }

        _trailerBytes++;
        if (_trailerBytes > limits.TrailerBytesMax)
        {
            return RequestErrors.TrailerTooLarge;
        }

        switch (_state)
        {
            case State.TrailerLine:
                _trailerNameLength = 0;
                _trailerCandidates = ForbiddenTrailersMask;
                CompareTrailerName(octet);
                return CharacterSets.Token.Contains(octet) ? MoveTo(State.TrailerName)
                    : octet == '\n' ? RequestErrors.BareLf
                    : octet is (byte)' ' or (byte)'\t' ? RequestErrors.ObsFold
                    : RequestErrors.FieldNameMalformed;

            case State.TrailerName:
                bool isForbidden = octet == ':' && IsTrailerForbidden();
                CompareTrailerName(octet);
                return CharacterSets.Token.Contains(octet) ? default
                    : isForbidden ? RequestErrors.TrailerForbidden
                    : octet == ':' ? MoveTo(State.TrailerValue)
                    : RequestErrors.FieldNameMalformed;

            case State.TrailerValue:
                return octet == '\r' ? MoveTo(State.TrailerLf)
                    : octet == '\n' ? RequestErrors.BareLf
                    : IsControl(octet) ? RequestErrors.ControlCharacter
                    : default;

            default:
                return octet == '\n' ? MoveTo(State.TrailerLine) : RequestErrors.BareCr;
        }
    }

    /// <summary>Strikes out the forbidden names that differ in this byte: no name has to be kept.</summary>
    private void CompareTrailerName(byte octet)
    {
        for (int i = 0; i < ForbiddenTrailers; i++)
        {
            ReadOnlySpan<byte> name = ForbiddenTrailer(i);
            if (_trailerNameLength >= name.Length || name[_trailerNameLength] != (octet | 0x20))
            {
                _trailerCandidates &= ~(1 << i);
            }
        }

        _trailerNameLength++;
    }

    private readonly bool IsTrailerForbidden()
    {
        for (int i = 0; i < ForbiddenTrailers; i++)
        {
            if ((_trailerCandidates & (1 << i)) != 0 && ForbiddenTrailer(i).Length == _trailerNameLength)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>
    /// What RFC 9110 section 6.5.1 forbids first: framing and routing. We discard trailers, but who merges them into the head
    /// before or behind us would see another message. (A set bit 5 lowers letters and leaves "-" as it is.)
    /// </summary>
    private static ReadOnlySpan<byte> ForbiddenTrailer(int index) => index switch
    {
        0 => "content-length"u8,
        1 => "transfer-encoding"u8,
        _ => "host"u8,
    };

    private ProtocolError MoveTo(State next)
    {
        _state = next;
        return default;
    }

    private static bool IsControl(byte octet) => octet is (< 0x20 and not (byte)'\t') or 0x7F;
}
