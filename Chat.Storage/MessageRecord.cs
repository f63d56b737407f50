namespace Chat.Storage;

/// <summary>
/// A row of <c>messages</c>, on its way to the database or read from it. Immutable, and therefore free to be shared by
/// threads; its content belongs to the garbage collector, never to a pool, because history hands it to readers of unknown speed.
/// </summary>
public sealed class MessageRecord
{
    /// <summary>Unique in the whole database; from <see cref="MessageLog.NextMessageId"/>, given once, never on retry.</summary>
    public required long Id { get; init; }

    public required long RoomId { get; init; }

    /// <summary>
    /// Place in the room: 1, 2, 3, ... without holes. In a shared session the database gives it, and until then this is the row's place among those
    /// that this server sends to the room.
    /// </summary>
    public required long Seq { get; init; }

    /// <summary><see cref="StoreSession.Epoch"/> of the server that accepted the message.</summary>
    public required int Epoch { get; init; }

    /// <summary>0 in a tombstone.</summary>
    public required long SenderId { get; init; }

    /// <summary>Not stored with the message: history takes it from <c>users</c>.</summary>
    public required string SenderName { get; init; }

    public string? Nonce { get; init; }

    /// <summary>Valid UTF-8 without NUL; anything else makes the row a poison row. Empty in a tombstone.</summary>
    public required ReadOnlyMemory<byte> Content { get; init; }

    /// <summary>Milliseconds since 1970, UTC.</summary>
    public required long CreatedAtUnixMs { get; init; }

    /// <summary>
    /// In a shared session: every message of the room up to this seq had been seen here when this one was accepted, its nonce among none of them.
    /// </summary>
    public long KnownSeq { get; init; }

    /// <summary>In a shared session, told to <c>committed</c>: another server had stored the message before, and this is what it stored.</summary>
    public bool IsDuplicate { get; init; }

    /// <summary>Who waits for the acknowledgement. Opaque here and never stored; null in what history returns.</summary>
    public object? Origin { get; init; }

    /// <summary>
    /// True for the row that keeps the place of a message which could not be stored. History returns tombstones, so that a page
    /// has as many rows as seqs and a reader never mistakes one for a loss; show it as a deleted message.
    /// </summary>
    public bool IsTombstone => SenderId == 0;

    /// <summary>As the database has numbered it.</summary>
    internal MessageRecord At(long seq) => Copy(seq, isDuplicate: false, Origin);

    /// <summary>What is stored of <paramref name="sent"/>, whose sender is to be told: this row.</summary>
    internal MessageRecord AsDuplicateOf(MessageRecord sent) => Copy(Seq, isDuplicate: true, sent.Origin);

    private MessageRecord Copy(long seq, bool isDuplicate, object? origin) => new()
    {
        Id = Id,
        RoomId = RoomId,
        Seq = seq,
        Epoch = Epoch,
        SenderId = SenderId,
        SenderName = SenderName,
        Nonce = Nonce,
        Content = Content,
        CreatedAtUnixMs = CreatedAtUnixMs,
        IsDuplicate = isDuplicate,
        Origin = origin,
    };

    internal MessageRecord ToTombstone() => new()
    {
        Id = Id,
        RoomId = RoomId,
        Seq = Seq,
        Epoch = Epoch,
        SenderId = 0,
        SenderName = "",
        Content = default,
        CreatedAtUnixMs = CreatedAtUnixMs,
    };
}
