using Chat.Storage;

namespace Chat.Server.Rooms;

/// <summary>Who sends messages, as everybody sees them. Shared by all connections that came with the same token.</summary>
internal sealed record Sender(long UserId, string Username)
{
    public byte[] UsernameUtf8 { get; } = System.Text.Encoding.UTF8.GetBytes(Username);
}

/// <summary>
/// Who waits to hear what became of a message: a session or a REST call. Called on the message log's thread, which
/// serves every room: implementations hand over and return.
/// </summary>
internal interface IPublisher
{
    /// <summary>The message is durable. <paramref name="isDuplicate"/> when this publisher sent it again.</summary>
    void Committed(MessageRecord record, bool isDuplicate);

    /// <summary>The message will never be stored; nothing of it was acknowledged. <paramref name="code"/> as in docs/protocol.md.</summary>
    void Failed(long roomId, string? nonce, string code);
}

/// <summary>What became of a message offered to a room, as far as it is known at once.</summary>
internal enum OfferStatus
{
    /// <summary>Numbered and handed to the message log: the publisher will be told of the commit.</summary>
    Accepted,

    /// <summary>Sent again, and already durable: acknowledge it with the original's seq and id.</summary>
    Duplicate,

    /// <summary>Sent again while the original is on its way: the publisher will be told of the commit.</summary>
    Pending,

    /// <summary>
    /// The ring has no room before the slowest of its readers, and may not grow; nothing was numbered, nothing will be stored. Offer it again in
    /// <see cref="Room.FullRingRetryMs"/>, and give up after <see cref="Room.FullRingWaitMs"/>.
    /// </summary>
    Full,

    /// <summary>The message log has no room; nothing was numbered, nothing will be stored.</summary>
    Overloaded,
}
