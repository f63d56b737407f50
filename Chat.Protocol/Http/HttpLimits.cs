namespace Chat.Protocol.Http;

/// <summary>
/// What one HTTP/1.1 request may cost us. Reaching a limit has a named status; nothing is cut off in silence.
/// One instance is shared by all connections.
/// </summary>
public sealed record HttpLimits
{
    public static HttpLimits Default { get; } = new();

    /// <summary>
    /// Bytes of a whole head: request line, field lines and the empty line. Beyond: 431.
    /// 32 KiB is what browsers with many cookies stay under and what Kestrel allows.
    /// </summary>
    public int HeadBytesMax { get; init; } = 32 * 1024;

    /// <summary>Field lines in one head. Beyond: 431. Lookups are linear, which 100 keeps cheap; browsers send under 30.</summary>
    public int FieldsMax { get; init; } = 100;

    /// <summary>Bytes of a method name. Beyond: 501 (RFC 9112 section 3). The longest registered one has 17.</summary>
    public int MethodBytesMax { get; init; } = 32;

    /// <summary>
    /// Bytes of a request-target. Beyond: 414. RFC 9112 section 3 asks for at least 8000 for the whole request line;
    /// a token in the query is what makes ours long.
    /// </summary>
    public int TargetBytesMax { get; init; } = 8 * 1024;

    /// <summary>
    /// Bytes of content, after chunked decoding. Beyond: 413. The largest legitimate body is one message of 4000 characters,
    /// which is 48 KB if each is escaped as a surrogate pair.
    /// </summary>
    public int BodyBytesMax { get; init; } = 64 * 1024;

    /// <summary>
    /// Bytes of chunk extensions in a whole body, not in each chunk: one-byte chunks with a long extension each
    /// would otherwise make us read megabytes for a small body. Beyond: 400. Nobody sends them in earnest.
    /// </summary>
    public int ChunkExtensionBytesMax { get; init; } = 1024;

    /// <summary>Bytes of a chunked body's trailer section. Beyond: 431. We discard trailers.</summary>
    public int TrailerBytesMax { get; init; } = 4 * 1024;

    /// <summary>Bytes of the longest request line, without its CRLF: method SP request-target SP "HTTP/1.1".</summary>
    public int RequestLineBytesMax => MethodBytesMax + 1 + TargetBytesMax + 1 + "HTTP/1.1"u8.Length;

    /// <summary>Checks each limit and the relations between them; called once where the limits are put to use.</summary>
    /// <exception cref="InvariantException">A limit is too small to be of use, or a head cannot hold the longest request line.</exception>
    public void RequireConsistent()
    {
        Invariant.Require(FieldsMax > 0);
        // The longest method whose name we recognise is OPTIONS.
        Invariant.Require(MethodBytesMax >= "OPTIONS"u8.Length);
        Invariant.Require(TargetBytesMax > 0);
        // Otherwise a target within its own limit would be refused as a head too large, and 414 could never be the answer.
        Invariant.Require(HeadBytesMax > RequestLineBytesMax + "\r\n\r\n"u8.Length);
        Invariant.Require(BodyBytesMax > 0);
        Invariant.Require(ChunkExtensionBytesMax >= 0);
        Invariant.Require(TrailerBytesMax >= 0);
    }
}
