namespace Chat.Protocol;

/// <summary>
/// Why bytes from a peer were refused. Parsers return it; they never throw for bytes from strangers. The default value says that
/// nothing was refused.
/// </summary>
/// <remarks>
/// One reference wide, so that it is returned in a register. A code and two strings came back through memory, written by halves and
/// read whole: the failed store forwarding (Intel, "Optimization Reference Manual", section 3.6.4) cost a tenth of parsing a head.
/// Keep the values that can be refused in static fields (<see cref="Http.RequestErrors"/>): each construction allocates.
/// </remarks>
public readonly record struct ProtocolError
{
    private readonly Refusal? _refusal;

    /// <param name="code">An HTTP status (400..599) or a WebSocket close code (1000..4999).</param>
    /// <param name="reason">One short ASCII sentence for the peer, at most 123 bytes (RFC 6455 section 5.5.1). Never holds peer input.</param>
    /// <param name="section">The clause that was broken, for example "RFC 9112 section 5.1"; empty when the limit is our own.</param>
    public ProtocolError(ushort code, string reason, string section = "") => _refusal = new Refusal(code, reason, section);

    /// <summary>The status or close code; 0 when nothing was refused.</summary>
    public ushort Code => _refusal?.Code ?? 0;

    /// <summary>The sentence for the peer; empty when nothing was refused.</summary>
    public string Reason => _refusal?.Reason ?? "";

    /// <summary>The clause that was broken; empty when the limit is our own.</summary>
    public string Section => _refusal?.Section ?? "";

    /// <summary>True for the default value: nothing was refused.</summary>
    public bool IsNone => _refusal is null;

    private sealed record Refusal(ushort Code, string Reason, string Section);
}
