namespace Chat.Protocol.Messages;

/// <summary>
/// The event that every member of a room gets for a message:
/// <code>{"type":"message","room_id":1,"seq":1042,"id":9001,"sender_id":7,"username":"Test","content":"hi","nonce":"c7","created_at":"2026-11-22T18:06:58.123Z"}</code>
/// It can be written in two parts around the seq. The seq is given when the room orders its events, one at a time; the
/// expensive part, escaping the text, is done before, by whoever brought the message, outside of that order.
/// </summary>
public static class MessageEvent
{
    /// <summary>What <see cref="WritePrefix"/> writes at most.</summary>
    public const int PrefixBytesMax = 35 + EventWriter.IntegerBytesMax;

    /// <summary>Digits of a seq.</summary>
    public const int SeqBytesMax = EventWriter.IntegerBytesMax;

    /// <summary>
    /// The suffix without the text in it: literals, quotes, two integers and the timestamp. The mark of a deleted message takes fewer bytes than
    /// the digits that its sender does not have.
    /// </summary>
    private const int SuffixFixedBytesMax = 74 + 2 * EventWriter.IntegerBytesMax + UtcTimestamp.Bytes;

    /// <summary>What <see cref="WriteSuffix"/> writes at most for texts of these lengths in bytes, every byte escaped.</summary>
    public static int SuffixBytesMax(int usernameBytes, int contentBytes, int nonceBytes) =>
        SuffixFixedBytesMax + JsonText.EscapedBytesMax(checked(usernameBytes + contentBytes + nonceBytes));

    /// <summary>What <see cref="Write"/> writes at most for texts of these lengths in bytes.</summary>
    public static int BytesMax(int usernameBytes, int contentBytes, int nonceBytes) =>
        PrefixBytesMax + SeqBytesMax + SuffixBytesMax(usernameBytes, contentBytes, nonceBytes);

    /// <summary>Writes all before the digits of the seq, up to and including <c>"seq":</c>.</summary>
    /// <returns>Bytes written, at most <see cref="PrefixBytesMax"/>.</returns>
    public static int WritePrefix(Span<byte> destination, long roomId)
    {
        var writer = new EventWriter(destination);
        writer.Raw("{\"type\":\"message\",\"room_id\":"u8);
        writer.Integer(roomId);
        writer.Raw(",\"seq\":"u8);
        return writer.Written;
    }

    /// <summary>Writes the digits of the seq, which go between the two parts.</summary>
    /// <returns>Bytes written, at most <see cref="SeqBytesMax"/>.</returns>
    public static int WriteSeq(Span<byte> destination, long seq)
    {
        var writer = new EventWriter(destination);
        writer.Integer(seq);
        return writer.Written;
    }

    /// <summary>Writes all behind the digits of the seq, from <c>,"id":</c> to the closing brace.</summary>
    /// <param name="destination">At least as long as what is written; <see cref="SuffixBytesMax"/> always suffices.</param>
    /// <param name="id">The message's id, the same in every room.</param>
    /// <param name="senderId">The sender's user id; 0 for the place of a message that was refused, which the event says.</param>
    /// <param name="username">UTF-8, without escapes.</param>
    /// <param name="content">UTF-8, without escapes.</param>
    /// <param name="nonce">UTF-8, without escapes; when empty, the field is left out.</param>
    /// <param name="createdAtUnixMs">Milliseconds since 1970-01-01T00:00Z.</param>
    /// <returns>Bytes written.</returns>
    public static int WriteSuffix(
        Span<byte> destination,
        long id,
        long senderId,
        ReadOnlySpan<byte> username,
        ReadOnlySpan<byte> content,
        ReadOnlySpan<byte> nonce,
        long createdAtUnixMs)
    {
        var writer = new EventWriter(destination);
        writer.Raw(",\"id\":"u8);
        writer.Integer(id);
        writer.Raw(",\"sender_id\":"u8);
        writer.Integer(senderId);
        writer.Raw(",\"username\":"u8);
        writer.String(username);
        writer.Raw(",\"content\":"u8);
        writer.String(content);
        if (!nonce.IsEmpty)
        {
            writer.Raw(",\"nonce\":"u8);
            writer.String(nonce);
        }

        if (senderId == 0)
        {
            writer.Raw(",\"deleted\":true"u8);
        }

        writer.Raw(",\"created_at\":"u8);
        writer.Timestamp(createdAtUnixMs);
        writer.Raw("}"u8);
        return writer.Written;
    }

    /// <summary>Writes the whole event, for messages whose seq is known: those that are read from the store.</summary>
    /// <returns>Bytes written, at most <see cref="BytesMax"/>. The parameters are those of the two parts.</returns>
    public static int Write(
        Span<byte> destination,
        long roomId,
        long seq,
        long id,
        long senderId,
        ReadOnlySpan<byte> username,
        ReadOnlySpan<byte> content,
        ReadOnlySpan<byte> nonce,
        long createdAtUnixMs)
    {
        int written = WritePrefix(destination, roomId);
        written += WriteSeq(destination[written..], seq);
        return written + WriteSuffix(destination[written..], id, senderId, username, content, nonce, createdAtUnixMs);
    }
}
