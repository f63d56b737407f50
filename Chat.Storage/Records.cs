namespace Chat.Storage;

/// <summary>A row of <c>users</c>. <paramref name="Email"/> is as the user wrote it; it is compared without regard to ASCII case.</summary>
public sealed record UserRecord(long Id, string Email, string Username, string PasswordHash, DateTimeOffset CreatedAt)
{
    /// <summary>Leaves the password hash out, because records end up in logs.</summary>
    public override string ToString() => $"user {Id}";
}

/// <summary>A row of <c>rooms</c>. <paramref name="LastSeq"/> is the last durable seq, 0 for a room without messages.</summary>
public sealed record RoomRecord(long Id, string Name, long LastSeq, DateTimeOffset CreatedAt);

/// <summary>A row of <c>room_members</c> with the name of its user.</summary>
public sealed record MemberRecord(long UserId, string Username, DateTimeOffset JoinedAt);

/// <summary>
/// What a server is given when it takes over a database.
/// </summary>
/// <param name="Epoch">Goes into every message; raised by a start that follows an unclean stop, 1 in a new database.</param>
/// <param name="MaxMessageId">
/// Where this server's message ids begin: the highest in the database, 0 in a new one. In a shared session before the first of a block of
/// <see cref="MessageIds.BlockSize"/> that no other server uses.
/// </param>
/// <param name="IsShared">Several servers have the database, which then numbers the messages of a room, and not the server.</param>
public sealed record StoreSession(int Epoch, long MaxMessageId, bool IsShared = false);
