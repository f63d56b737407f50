namespace Chat.Protocol.WebSocket;

/// <summary>
/// The close codes this server sends (RFC 6455 section 7.4.1, and ours from the private range 4000-4999).
/// Each says what a client should do next. Ours are grouped so that a client that does not know a code can still
/// act on its hundred: 40xx resume, 41xx back off, 42xx refresh the token, 45xx stop.
/// </summary>
public static class CloseCode
{
    /// <summary>The purpose of the connection is fulfilled. Client: nothing; reconnect when there is a reason to.</summary>
    public const ushort NormalClosure = 1000;

    /// <summary>The server is shutting down without draining. Client: reconnect with jitter and resume.</summary>
    public const ushort GoingAway = 1001;

    /// <summary>The peer broke RFC 6455. Client: do not repeat; this is a bug in the client or in a proxy.</summary>
    public const ushort ProtocolError = 1002;

    /// <summary>A kind of data we do not take (binary, where commands are text). Client: a bug; do not repeat.</summary>
    public const ushort UnsupportedData = 1003;

    /// <summary>A text message or close reason that is not UTF-8. Client: a bug; do not repeat.</summary>
    public const ushort InvalidPayloadData = 1007;

    /// <summary>A rule of ours without a code of its own was broken. Client: show the reason and stop.</summary>
    public const ushort PolicyViolation = 1008;

    /// <summary>A message over our limit. Client: do not send it again; reconnect and resume.</summary>
    public const ushort MessageTooBig = 1009;

    /// <summary>The server failed. Client: reconnect with back-off and resume.</summary>
    public const ushort InternalError = 1011;

    /// <summary>This node is draining before a planned stop. Client: reconnect soon, with jitter, and resume.</summary>
    public const ushort Draining = 4001;

    /// <summary>The client read too slowly and its queue reached the limit. Client: reconnect with jitter and resume.</summary>
    public const ushort SlowConsumer = 4002;

    /// <summary>No pong (or any other frame) arrived in time. Client: reconnect with jitter and resume.</summary>
    public const ushort NoPong = 4004;

    /// <summary>The client went on sending over its rate limit. Client: back off before reconnecting.</summary>
    public const ushort RateLimited = 4101;

    /// <summary>The server has no room for this connection now. Client: back off before reconnecting.</summary>
    public const ushort Overloaded = 4102;

    /// <summary>The token expired while connected. Client: get a fresh token, then reconnect and resume.</summary>
    public const ushort TokenExpired = 4201;

    /// <summary>The token is not acceptable. Client: stop; log in again.</summary>
    public const ushort BadToken = 4500;

    /// <summary>The user may not do this here. Client: stop.</summary>
    public const ushort Forbidden = 4501;

    /// <summary>The room does not exist. Client: stop.</summary>
    public const ushort NoSuchRoom = 4502;

    /// <summary>Access was withdrawn while connected. Client: stop; log in again.</summary>
    public const ushort Revoked = 4505;

    /// <summary>
    /// Whether a peer may put <paramref name="code"/> in a close frame (RFC 6455 section 7.4).
    /// 1004 is reserved; 1005, 1006 and 1015 exist only to be reported by an endpoint to itself. 1012-1014 were assigned
    /// later by the registry that section 11.7 sets up. The rest of 1000-2999 is unassigned and belongs to RFCs to come.
    /// </summary>
    public static bool IsValidOnWire(int code) =>
        code is (>= 1000 and <= 1003) or (>= 1007 and <= 1014) or (>= 3000 and <= 4999);
}
