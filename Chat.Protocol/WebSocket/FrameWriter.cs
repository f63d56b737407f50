using System.Buffers.Binary;

namespace Chat.Protocol.WebSocket;

/// <summary>
/// Writes frames in their shortest form (RFC 6455 section 5.2). A server sends its frames unmasked; the masked form is for
/// clients: load tools and tests. A destination that is too short is a bug of the caller and throws.
/// </summary>
public static class FrameWriter
{
    /// <summary>Header of an unmasked frame, longest case.</summary>
    public const int HeaderBytesMax = 2 + 8;

    /// <summary>What a close frame has for its reason, beside the code: 125 - 2 (RFC 6455 section 5.5.1).</summary>
    public const int CloseReasonBytesMax = FrameReader.ControlPayloadBytesMax - sizeof(ushort);

    /// <summary>The longest control frame a server can send.</summary>
    public const int ControlFrameBytesMax = 2 + FrameReader.ControlPayloadBytesMax;

    /// <summary>Length in bytes of the unmasked header for a payload of <paramref name="payloadLength"/> bytes: 2, 4 or 10.</summary>
    public static int HeaderBytes(long payloadLength) => payloadLength switch
    {
        <= 125 => 2,
        <= ushort.MaxValue => 4,
        _ => 10,
    };

    /// <summary>Writes an unmasked header and returns its length in bytes. The payload is for the caller to put behind it.</summary>
    public static int WriteHeader(Span<byte> destination, Opcode opcode, long payloadLength, bool fin = true) =>
        WriteHeader(destination, opcode, payloadLength, fin, maskBit: 0);

    /// <summary>The same for a whole message that was compressed: with RSV1 (RFC 7692 section 6).</summary>
    public static int WriteCompressedHeader(Span<byte> destination, Opcode opcode, long payloadLength)
    {
        Invariant.Require(opcode is Opcode.Text or Opcode.Binary);
        int length = WriteHeader(destination, opcode, payloadLength);
        destination[0] |= FrameReader.Rsv1Bit;
        return length;
    }

    /// <summary>Writes a whole unmasked frame and returns its length in bytes.</summary>
    public static int WriteFrame(Span<byte> destination, Opcode opcode, ReadOnlySpan<byte> payload, bool fin = true)
    {
        int headerBytes = WriteHeader(destination, opcode, payload.Length, fin);
        payload.CopyTo(destination[headerBytes..]);
        return headerBytes + payload.Length;
    }

    /// <summary>
    /// Writes a close frame with a code and returns its length in bytes, at most <see cref="ControlFrameBytesMax"/>.
    /// </summary>
    /// <param name="destination">Where the frame goes.</param>
    /// <param name="code">A code that may be sent: <see cref="CloseCode.IsValidOnWire"/>.</param>
    /// <param name="reason">UTF-8, at most <see cref="CloseReasonBytesMax"/> bytes.</param>
    public static int WriteClose(Span<byte> destination, ushort code, ReadOnlySpan<byte> reason)
    {
        Invariant.Require(CloseCode.IsValidOnWire(code));
        Invariant.Require(reason.Length <= CloseReasonBytesMax);
        int offset = WriteHeader(destination, Opcode.Close, sizeof(ushort) + reason.Length);
        BinaryPrimitives.WriteUInt16BigEndian(destination[offset..], code);
        offset += sizeof(ushort);
        reason.CopyTo(destination[offset..]);
        return offset + reason.Length;
    }

    /// <summary>Length in bytes of a whole masked frame for a payload of <paramref name="payloadLength"/> bytes.</summary>
    public static long MaskedFrameBytes(long payloadLength) => HeaderBytes(payloadLength) + sizeof(uint) + payloadLength;

    /// <summary>
    /// Writes a whole frame as a client sends it and returns its length in bytes. The key should be fresh and hard to guess
    /// for each frame (RFC 6455 section 5.3); <paramref name="payload"/> is left as it is.
    /// </summary>
    public static int WriteMasked(Span<byte> destination, Opcode opcode, ReadOnlySpan<byte> payload, uint maskingKey, bool fin = true)
    {
        int offset = WriteHeader(destination, opcode, payload.Length, fin, maskBit: 0x80);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[offset..], maskingKey);
        offset += sizeof(uint);
        Masking.Unmask(payload, destination[offset..], maskingKey, phase: 0);
        return offset + payload.Length;
    }

    private static int WriteHeader(Span<byte> destination, Opcode opcode, long payloadLength, bool fin, int maskBit)
    {
        Invariant.Require(payloadLength >= 0);
        Invariant.Require(opcode < Opcode.Close || (fin && payloadLength <= FrameReader.ControlPayloadBytesMax));
        destination[0] = (byte)((fin ? 0x80 : 0) | (int)opcode);
        switch (HeaderBytes(payloadLength))
        {
            case 2:
                destination[1] = (byte)(maskBit | (int)payloadLength);
                return 2;
            case 4:
                destination[1] = (byte)(maskBit | 126);
                BinaryPrimitives.WriteUInt16BigEndian(destination[2..], (ushort)payloadLength);
                return 4;
            default:
                destination[1] = (byte)(maskBit | 127);
                BinaryPrimitives.WriteInt64BigEndian(destination[2..], payloadLength);
                return 10;
        }
    }
}
