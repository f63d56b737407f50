using System.Buffers.Binary;

namespace Chat.Protocol.WebSocket;

/// <summary>Who sent the bytes. A client must mask every frame, a server must mask none (RFC 6455 section 5.1).</summary>
public enum FrameSender : byte
{
    Client,
    Server,
}

/// <summary>
/// Reads frame headers. It knows one frame at a time: what a frame means after the ones before it (fragments, control
/// frames between them) is for <see cref="MessageReader"/>. Stateless, so any thread may call it.
/// <code>
///   0               1               2               3
///  +-+-+-+-+-------+-+-------------+-------------------------------+
///  |F|R|R|R| opcode|M| Payload len |    Extended payload length    |
///  |I|S|S|S|  (4)  |A|     (7)     |            (16/64)            |
///  |N|V|V|V|       |S|             |  (if payload len is 126/127)  |
///  | |1|2|3|       |K|             |                               |
///  +-+-+-+-+-------+-+-------------+ - - then the masking key (32), if MASK is set
/// </code>
/// </summary>
public static class FrameReader
{
    /// <summary>Two bytes, a 64-bit payload length and a masking key.</summary>
    public const int HeaderBytesMax = 2 + 8 + 4;

    /// <summary>What fits the 7-bit payload length: more is forbidden for control frames (RFC 6455 section 5.5).</summary>
    public const int ControlPayloadBytesMax = 125;

    internal const int Rsv1Bit = 0x40;

    /// <summary>A message over the limit: by its headers, or once inflated.</summary>
    internal static readonly ProtocolError MessageTooBig = new(CloseCode.MessageTooBig, "message too big", "RFC 6455 section 7.4.1");

    private const int FinBit = 0x80;
    private const int Rsv2And3Bits = 0x30;
    private const int OpcodeBits = 0x0F;
    private const int MaskBit = 0x80;
    private const int PayloadLengthBits = 0x7F;
    private const int Length16 = 126;
    private const int Length64 = 127;

    /// <summary>
    /// Reads the header at the start of <paramref name="input"/>. Checks go in the order of the bytes and each is made as
    /// soon as its bytes are there, so the answer does not depend on how the network cut the input.
    /// </summary>
    /// <param name="input">Received bytes from the start of a frame on.</param>
    /// <param name="sender">Whose masking rule applies.</param>
    /// <param name="rsv1Allowed">
    /// permessage-deflate was negotiated. RSV1 is then let through on the first frame of a message; on continuations and
    /// control frames it stays an error (RFC 7692 section 6.1).
    /// </param>
    /// <param name="payloadBytesMax">Limit for data frames, in bytes; control frames have their own (125).</param>
    /// <param name="header">Valid only when the answer is true.</param>
    /// <param name="error">
    /// When the answer is false: why the frame was refused (close code 1002 or 1009), or <see cref="ProtocolError.IsNone"/>
    /// when more input is needed.
    /// </param>
    /// <returns>True when the whole header was there and is acceptable. The payload need not be there yet.</returns>
    public static bool TryReadHeader(
        ReadOnlySpan<byte> input,
        FrameSender sender,
        bool rsv1Allowed,
        int payloadBytesMax,
        out FrameHeader header,
        out ProtocolError error)
    {
        header = default;
        error = default;

        if (input.IsEmpty)
        {
            return false;
        }

        int first = input[0];
        if (!IsFirstByteValid(first, rsv1Allowed, out error) || input.Length < 2)
        {
            return false;
        }

        int second = input[1];
        if (!IsSecondByteValid(first, second, sender, out error))
        {
            return false;
        }

        int maskingKeyOffset = (second & PayloadLengthBits) switch { Length64 => 10, Length16 => 4, _ => 2 };
        if (input.Length < maskingKeyOffset)
        {
            return false;
        }

        // As unsigned, a 64-bit length with its most significant bit set is simply over every limit;
        // it is refused apart only to name the clause.
        ulong payloadLength = (second & PayloadLengthBits) switch
        {
            Length64 => BinaryPrimitives.ReadUInt64BigEndian(input[2..]),
            Length16 => BinaryPrimitives.ReadUInt16BigEndian(input[2..]),
            int inSevenBits => (ulong)inSevenBits,
        };
        if (!IsLengthValid(first, payloadLength, maskingKeyOffset, payloadBytesMax, out error))
        {
            return false;
        }

        uint maskingKey = 0;
        int headerBytes = maskingKeyOffset;
        if (sender == FrameSender.Client)
        {
            headerBytes += sizeof(uint);
            if (input.Length < headerBytes)
            {
                return false;
            }

            maskingKey = BinaryPrimitives.ReadUInt32LittleEndian(input[maskingKeyOffset..]);
        }

        header = new FrameHeader(
            (Opcode)(first & OpcodeBits),
            (first & FinBit) != 0,
            (first & Rsv1Bit) != 0,
            maskingKey,
            (int)payloadLength,
            headerBytes);
        return true;
    }

    private static bool IsFirstByteValid(int first, bool rsv1Allowed, out ProtocolError error)
    {
        var opcode = (Opcode)(first & OpcodeBits);
        error = default;
        if ((first & Rsv2And3Bits) != 0 ||
            ((first & Rsv1Bit) != 0 && !(rsv1Allowed && opcode is Opcode.Text or Opcode.Binary)))
        {
            error = Refuse("a reserved bit is set", "RFC 6455 section 5.2");
        }
        else if (opcode is not (Opcode.Continuation or Opcode.Text or Opcode.Binary or Opcode.Close or Opcode.Ping or Opcode.Pong))
        {
            error = Refuse("reserved opcode", "RFC 6455 section 5.2");
        }
        else if (opcode >= Opcode.Close && (first & FinBit) == 0)
        {
            error = Refuse("control frame is fragmented", "RFC 6455 section 5.5");
        }

        return error.IsNone;
    }

    private static bool IsSecondByteValid(int first, int second, FrameSender sender, out ProtocolError error)
    {
        bool isMasked = (second & MaskBit) != 0;
        error = default;
        if (isMasked != (sender == FrameSender.Client))
        {
            error = Refuse(isMasked ? "frame from the server is masked" : "frame from the client is not masked", "RFC 6455 section 5.1");
        }
        else if ((Opcode)(first & OpcodeBits) >= Opcode.Close && (second & PayloadLengthBits) > ControlPayloadBytesMax)
        {
            error = Refuse("control frame payload over 125 bytes", "RFC 6455 section 5.5");
        }

        return error.IsNone;
    }

    private static bool IsLengthValid(int first, ulong payloadLength, int maskingKeyOffset, int payloadBytesMax, out ProtocolError error)
    {
        ulong notMinimalUpTo = maskingKeyOffset switch { 10 => ushort.MaxValue, 4 => ControlPayloadBytesMax, _ => 0 };
        error = default;
        if (payloadLength > long.MaxValue)
        {
            error = Refuse("most significant bit of the payload length is set", "RFC 6455 section 5.2");
        }
        else if (maskingKeyOffset > 2 && payloadLength <= notMinimalUpTo)
        {
            error = Refuse("payload length is not encoded in the fewest bytes", "RFC 6455 section 5.2");
        }
        else if ((Opcode)(first & OpcodeBits) < Opcode.Close && payloadLength > (ulong)payloadBytesMax)
        {
            error = MessageTooBig;
        }

        return error.IsNone;
    }

    private static ProtocolError Refuse(string reason, string section) => new(CloseCode.ProtocolError, reason, section);
}
