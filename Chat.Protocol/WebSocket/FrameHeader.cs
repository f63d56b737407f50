namespace Chat.Protocol.WebSocket;

/// <summary>
/// A frame without its payload data (RFC 6455 section 5.2), already checked by <see cref="FrameReader"/>.
/// </summary>
/// <param name="Opcode">What the payload is.</param>
/// <param name="Fin">The last fragment of its message; true for an unfragmented message and for every control frame.</param>
/// <param name="Rsv1">The per-message compressed bit (RFC 7692 section 6); only ever true when the reader was told to allow it.</param>
/// <param name="MaskingKey">Little-endian: the first key byte on the wire is the least significant. 0 when not masked.</param>
/// <param name="PayloadLength">Bytes of payload that follow the header; never over the limit given to the reader.</param>
/// <param name="HeaderBytes">Length of the header itself, masking key included: 2 to 14.</param>
public readonly record struct FrameHeader(
    Opcode Opcode,
    bool Fin,
    bool Rsv1,
    uint MaskingKey,
    int PayloadLength,
    int HeaderBytes)
{
    /// <summary>Close, ping or pong, and the reserved opcodes beside them (RFC 6455 section 5.5): the high bit is set.</summary>
    public bool IsControl => ((byte)Opcode & 0x8) != 0;
}
