namespace Chat.Protocol.Http;

/// <summary>
/// Every reason for which a request is refused before anyone looks at what it asks for. After any of them
/// the connection must be closed: where the next request begins is no longer known.
/// </summary>
public static class RequestErrors
{
    // Lines.
    public static readonly ProtocolError BareLf = new(400, "A line must end with CRLF, not with LF alone.", "RFC 9112 section 2.2");
    public static readonly ProtocolError BareCr = new(400, "CR must be followed by LF.", "RFC 9112 section 2.2");
    public static readonly ProtocolError ControlCharacter = new(400, "Control characters are not allowed here.", "RFC 9110 section 5.5");
    public static readonly ProtocolError HeadTooLarge = new(431, "The request head is too large.", "RFC 6585 section 5");

    // Request line.
    public static readonly ProtocolError RequestLineMalformed =
        new(400, "The request line must be: method SP target SP version.", "RFC 9112 section 3");
    public static readonly ProtocolError MethodMalformed = new(400, "The method is not a token.", "RFC 9112 section 3.1");
    public static readonly ProtocolError MethodTooLong =
        new(501, "The method is longer than any that is implemented.", "RFC 9112 section 3");
    public static readonly ProtocolError ConnectRefused = new(501, "CONNECT is not implemented.", "RFC 9110 section 9.3.6");
    public static readonly ProtocolError TargetTooLong = new(414, "The request target is too long.", "RFC 9112 section 3");
    public static readonly ProtocolError TargetMalformed = new(400, "The request target is malformed.", "RFC 9112 section 3.2");
    public static readonly ProtocolError VersionMalformed = new(400, "The HTTP version is malformed.", "RFC 9112 section 2.3");
    public static readonly ProtocolError VersionUnsupported =
        new(505, "Only HTTP/1.1 and HTTP/1.0 are spoken here.", "RFC 9110 section 15.6.6");
    public static readonly ProtocolError NotSecured =
        new(421, "The target's scheme is https, and the connection is not secured.", "RFC 9110 section 7.4");

    // Field lines.
    public static readonly ProtocolError FieldNameMalformed =
        new(400, "A field name is not a token followed by a colon.", "RFC 9112 section 5");
    public static readonly ProtocolError SpaceBeforeColon = new(400, "Whitespace between field name and colon.", "RFC 9112 section 5.1");
    public static readonly ProtocolError ObsFold = new(400, "A line must not begin with whitespace.", "RFC 9112 section 5.2");
    public static readonly ProtocolError TooManyFields = new(431, "Too many field lines.", "RFC 6585 section 5");
    public static readonly ProtocolError HostMissing = new(400, "Host is missing.", "RFC 9112 section 3.2");
    public static readonly ProtocolError HostRepeated = new(400, "Host is repeated.", "RFC 9112 section 3.2");
    public static readonly ProtocolError HostMalformed = new(400, "Host is malformed.", "RFC 9112 section 3.2");
    public static readonly ProtocolError HostMismatch = new(400, "Host names another host than the target.", "RFC 9112 section 3.2");
    public static readonly ProtocolError ExpectationFailed =
        new(417, "Only the expectation 100-continue is known.", "RFC 9110 section 10.1.1");

    // Message body length.
    public static readonly ProtocolError ContentLengthMalformed =
        new(400, "Content-Length is not a decimal number.", "RFC 9112 section 6.3");
    public static readonly ProtocolError ContentLengthRepeated = new(400, "Content-Length is repeated.", "RFC 9112 section 6.3");
    public static readonly ProtocolError TransferEncodingMalformed =
        new(400, "Transfer-Encoding must be: chunked.", "RFC 9112 section 6.3");
    public static readonly ProtocolError TransferEncodingRepeated = new(400, "Transfer-Encoding is repeated.", "RFC 9112 section 6.1");
    public static readonly ProtocolError TransferEncodingInHttp10 =
        new(400, "Transfer-Encoding in an HTTP/1.0 request.", "RFC 9112 section 6.1");
    public static readonly ProtocolError TransferCodingUnknown =
        new(501, "Only the transfer coding chunked is implemented.", "RFC 9112 section 6.1");
    public static readonly ProtocolError TwoBodyLengths = new(400, "Both Transfer-Encoding and Content-Length.", "RFC 9112 section 6.3");
    public static readonly ProtocolError BodyTooLarge = new(413, "The request body is too large.", "RFC 9110 section 15.5.14");

    // Chunked body.
    public static readonly ProtocolError ChunkSizeMalformed = new(400, "A chunk size is not a hexadecimal number.", "RFC 9112 section 7.1");
    public static readonly ProtocolError ChunkDataUnterminated = new(400, "Chunk data must be followed by CRLF.", "RFC 9112 section 7.1");
    public static readonly ProtocolError ChunkExtensionMalformed = new(400, "A chunk extension is malformed.", "RFC 9112 section 7.1.1");
    public static readonly ProtocolError ChunkExtensionTooLong = new(400, "The chunk extensions are too long.", "RFC 9112 section 7.1.1");
    public static readonly ProtocolError TrailerTooLarge = new(431, "The trailer section is too large.", "RFC 9112 section 7.1.2");
    public static readonly ProtocolError TrailerForbidden =
        new(400, "A trailer must not say how long the message is, or whom it is for.", "RFC 9110 section 6.5.1");
}
