namespace Chat.Protocol;

/// <summary>
/// Why bytes from a peer were refused. Parsers return it; they never throw for bytes from strangers.
/// </summary>
/// <param name="Code">An HTTP status (400..599) or a WebSocket close code (1000..4999).</param>
/// <param name="Reason">One short ASCII sentence for the peer, at most 123 bytes (RFC 6455 section 5.5.1). Never holds peer input.</param>
/// <param name="Section">The clause that was broken, for example "RFC 9112 section 5.1"; empty when the limit is our own.</param>
public readonly record struct ProtocolError(ushort Code, string Reason, string Section = "")
{
    /// <summary>True for the default value: nothing was refused.</summary>
    public bool IsNone => Code == 0;
}
