namespace Chat.Protocol.Messages;

/// <summary>
/// What the server says to one connection, beside <see cref="MessageEvent"/> which a whole room shares. Each method writes
/// one JSON object into the destination and returns its length in bytes. <see cref="BytesMax"/> bounds them all; a shorter
/// destination may throw, which is a bug of the caller.
/// </summary>
public static class Events
{
    /// <summary>The longest event without its texts: a welcome with every integer at 20 digits.</summary>
    private const int FixedBytesMax = 320;

    /// <summary>
    /// What any event takes at most, when its texts (username, nonce, code and message) have together
    /// <paramref name="textBytes"/> bytes.
    /// </summary>
    public static int BytesMax(int textBytes) => FixedBytesMax + JsonText.EscapedBytesMax(textBytes);

    /// <summary>
    /// The first event of a room on this connection, before the room's other events; without a room, the first event of
    /// the connection.
    /// </summary>
    public static int WriteWelcome(Span<byte> destination, in Welcome welcome)
    {
        var writer = new EventWriter(destination);
        writer.Raw("{\"type\":\"welcome\""u8);
        if (welcome.RoomId != 0)
        {
            writer.Raw(",\"room_id\":"u8);
            writer.Integer(welcome.RoomId);
            writer.Raw(",\"seq\":"u8);
            writer.Integer(welcome.Seq);
            writer.Raw(",\"epoch\":"u8);
            writer.Integer(welcome.Epoch);
            writer.Raw(welcome.Recovered ? ",\"recovered\":true"u8 : ",\"recovered\":false"u8);
            writer.Raw(",\"rolled_back_to\":"u8);
            if (welcome.RolledBackTo is long rolledBackTo)
            {
                writer.Integer(rolledBackTo);
            }
            else
            {
                writer.Raw("null"u8);
            }
        }

        writer.Raw(",\"user\":{\"id\":"u8);
        writer.Integer(welcome.UserId);
        writer.Raw(",\"username\":"u8);
        writer.String(welcome.Username);
        writer.Raw("},\"ping_ms\":"u8);
        writer.Integer(welcome.PingMs);
        writer.Raw(",\"expires_at\":"u8);
        writer.Timestamp(welcome.ExpiresAtUnixMs);
        writer.Raw("}"u8);
        return writer.Written;
    }

    /// <summary>The message is durable.</summary>
    /// <param name="destination">Where the event goes.</param>
    /// <param name="nonce">The one the sender gave; when empty, the field is left out.</param>
    /// <param name="roomId">The message's room.</param>
    /// <param name="seq">The message's place in the room.</param>
    /// <param name="id">The message's id.</param>
    /// <param name="duplicate">The nonce was seen before: these are the seq and id of the original, and nothing was sent again.</param>
    public static int WriteAck(Span<byte> destination, ReadOnlySpan<byte> nonce, long roomId, long seq, long id, bool duplicate = false)
    {
        var writer = new EventWriter(destination);
        writer.Raw("{\"type\":\"ack\""u8);
        if (!nonce.IsEmpty)
        {
            writer.Raw(",\"nonce\":"u8);
            writer.String(nonce);
        }

        writer.Raw(",\"room_id\":"u8);
        writer.Integer(roomId);
        writer.Raw(",\"seq\":"u8);
        writer.Integer(seq);
        writer.Raw(",\"id\":"u8);
        writer.Integer(id);
        writer.Raw(duplicate ? ",\"duplicate\":true}"u8 : "}"u8);
        return writer.Written;
    }

    /// <summary>A command was refused; the connection stays open.</summary>
    /// <param name="destination">Where the event goes.</param>
    /// <param name="code">A stable identifier for programs, such as <see cref="CommandError.BadField"/>; ASCII.</param>
    /// <param name="message">For the developer who reads it; ASCII, never holds input.</param>
    /// <param name="nonce">The refused command's; when empty, the field is left out.</param>
    /// <param name="roomId">The refused command's; when 0, the field is left out.</param>
    /// <param name="retryAfterMs">When to try again, in milliseconds; when 0, the field is left out.</param>
    public static int WriteError(
        Span<byte> destination,
        string code,
        string message,
        ReadOnlySpan<byte> nonce = default,
        long roomId = 0,
        long retryAfterMs = 0)
    {
        var writer = new EventWriter(destination);
        writer.Raw("{\"type\":\"error\",\"code\":"u8);
        writer.String(code);
        writer.Raw(",\"message\":"u8);
        writer.String(message);
        if (!nonce.IsEmpty)
        {
            writer.Raw(",\"nonce\":"u8);
            writer.String(nonce);
        }

        if (roomId != 0)
        {
            writer.Raw(",\"room_id\":"u8);
            writer.Integer(roomId);
        }

        if (retryAfterMs != 0)
        {
            writer.Raw(",\"retry_after_ms\":"u8);
            writer.Integer(retryAfterMs);
        }

        writer.Raw("}"u8);
        return writer.Written;
    }

    /// <summary>Answers a ping command; the head of the room lets an idle client notice a loss. A room of 0: no room.</summary>
    public static int WritePong(Span<byte> destination, long roomId = 0, long seq = 0)
    {
        var writer = new EventWriter(destination);
        writer.Raw("{\"type\":\"pong\""u8);
        if (roomId != 0)
        {
            writer.Raw(",\"room_id\":"u8);
            writer.Integer(roomId);
            writer.Raw(",\"seq\":"u8);
            writer.Integer(seq);
        }

        writer.Raw("}"u8);
        return writer.Written;
    }

    /// <summary>The last event of the room on this connection.</summary>
    public static int WriteUnsubscribed(Span<byte> destination, long roomId)
    {
        var writer = new EventWriter(destination);
        writer.Raw("{\"type\":\"unsubscribed\",\"room_id\":"u8);
        writer.Integer(roomId);
        writer.Raw("}"u8);
        return writer.Written;
    }
}

/// <summary>The fields of a welcome event.</summary>
public readonly ref struct Welcome
{
    /// <summary>0 on a connection without a room: then the fields up to <see cref="RolledBackTo"/> are left out.</summary>
    public long RoomId { get; init; }

    /// <summary>The head of the room: the seq of its newest event, 0 when it has none.</summary>
    public long Seq { get; init; }

    /// <summary>What the client gives back, with the last seq it saw, when it resumes.</summary>
    public long Epoch { get; init; }

    /// <summary>Everything after the client's last seq follows; else it must reload the room.</summary>
    public bool Recovered { get; init; }

    /// <summary>The client must drop what it has above this seq: it was lost in a crash. Null when nothing was.</summary>
    public long? RolledBackTo { get; init; }

    /// <summary>Who the token says the client is.</summary>
    public long UserId { get; init; }

    /// <summary>UTF-8, without escapes.</summary>
    public ReadOnlySpan<byte> Username { get; init; }

    /// <summary>The interval of the server's pings, in milliseconds: a client that hears nothing for longer may think itself cut off.</summary>
    public int PingMs { get; init; }

    /// <summary>When the token expires, in milliseconds since 1970-01-01T00:00Z.</summary>
    public long ExpiresAtUnixMs { get; init; }
}
