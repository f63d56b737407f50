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
/// Chunk extensions and trailers are checked for what could end a line in another recipient's eyes, and discarded.
/// </summary>
/// <remarks>
/// CR and LF are legal only as the pair that ends a line. Decoders that searched an extension for "\n", or skipped to "\r",
/// saw a different body than the proxy before them; that was request smuggling (CVE-2025-55315).
/// </remarks>
public struct ChunkedBody(HttpLimits limits)
{
    // 2^64 has 16. Only leading zeros get this far: the size is compared with what is left of the body at every digit.
    private const int SizeDigitsMax = 16;

    private State _state;
    private int _sizeDigits;
    private long _chunkBytesLeft;
    private int _bodyBytes;
    private int _extensionBytes;
    private int _trailerBytes;

    private enum State : byte
    {
        Size,
        SpaceAfterSize,
        Extension,
        SizeLf,
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

            case State.SpaceAfterSize:
                // chunk-ext = *( BWS ";" BWS chunk-ext-name ... ): whitespace is allowed, but only before an extension.
                return octet is (byte)' ' or (byte)'\t' or (byte)';'
                    ? ReadExtension(octet, octet == ';' ? State.Extension : State.SpaceAfterSize)
                    : RequestErrors.ChunkSizeMalformed;

            case State.Extension:
                return octet == '\r' ? MoveTo(State.SizeLf) : ReadExtension(octet, State.Extension);

            case State.SizeLf:
                return octet == '\n' ? BeginChunk() : RequestErrors.BareCr;

            case State.DataCr:
                return octet == '\r' ? MoveTo(State.DataLf) : RequestErrors.ChunkDataUnterminated;

            case State.DataLf:
                return octet == '\n' ? MoveTo(State.Size) : RequestErrors.ChunkDataUnterminated;

            case State.EndLf:
                return octet == '\n' ? MoveTo(State.End) : RequestErrors.BareCr;

            default:
                return ReadTrailer(octet);
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
            (byte)';' => ReadExtension(octet, State.Extension),
            (byte)' ' or (byte)'\t' => ReadExtension(octet, State.SpaceAfterSize),
            (byte)'\n' => RequestErrors.BareLf,
            _ => RequestErrors.ChunkSizeMalformed,
        };
    }

    private ProtocolError ReadExtension(byte octet, State next)
    {
        if (IsControl(octet))
        {
            return octet == '\n' ? RequestErrors.BareLf : RequestErrors.ControlCharacter;
        }

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
                return CharacterSets.Token.Contains(octet) ? MoveTo(State.TrailerName)
                    : octet == '\n' ? RequestErrors.BareLf
                    : octet is (byte)' ' or (byte)'\t' ? RequestErrors.ObsFold
                    : RequestErrors.FieldNameMalformed;

            case State.TrailerName:
                return CharacterSets.Token.Contains(octet) ? default
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

    private ProtocolError MoveTo(State next)
    {
        _state = next;
        return default;
    }

    private static bool IsControl(byte octet) => octet is (< 0x20 and not (byte)'\t') or 0x7F;
}
