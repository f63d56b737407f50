namespace Chat.Storage;

/// <summary>
/// Everything the server asks of its database except appending messages, which goes through <see cref="MessageLog"/>.
/// Call order: <see cref="BeginSessionAsync"/>, the rest, <see cref="EndSessionAsync"/>, dispose.
/// Safe for many threads. No method keeps the caller's thread: PostgreSQL is awaited, SQLite (synchronous by nature)
/// runs on thread-pool threads of its own choosing.
/// </summary>
/// <exception cref="StoreUnavailableException">From any method: the database cannot be reached now; a later call may succeed.</exception>
public interface IChatStore : IAsyncDisposable
{
    /// <summary>
    /// What pays between the commits of a writer in a steady flow, when <see cref="MessageLogOptions.CommitIntervalMin"/> does not say it.
    /// </summary>
    /// <param name="rooms">Rooms in the last transaction.</param>
    TimeSpan CommitIntervalMin(int rooms);

    /// <summary>
    /// Brings the schema to the version this build knows, whoever has the database: for what needs no session. A server begins one, which does
    /// the same. May be repeated, and called by several at once.
    /// </summary>
    /// <exception cref="StoreSchemaException">The schema is newer than this build, the database cannot hold it, or what is there is damaged.</exception>
    Task InitializeAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Takes the database over for this server, until <see cref="EndSessionAsync"/> or dispose, and then brings its schema to the version this build
    /// knows. Waits for what an earlier server still has in flight, and fences that server off: no batch of it commits afterwards.
    /// </summary>
    /// <exception cref="StoreInUseException">Another server holds it, and finds it unchanged.</exception>
    /// <exception cref="StoreSchemaException">As <see cref="InitializeAsync"/>.</exception>
    Task<StoreSession> BeginSessionAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Says that the stop was clean, so that the next start keeps the epoch. Only for a server whose message log drained to zero.
    /// </summary>
    Task EndSessionAsync(CancellationToken cancellationToken);

    /// <summary>
    /// False when another server has taken the database over since <see cref="BeginSessionAsync"/>: no batch of ours commits any more, and what it
    /// writes we do not see. A server that has nothing to write learns it only by asking.
    /// </summary>
    /// <exception cref="StoreUnavailableException">The database cannot be reached now.</exception>
    Task<bool> HoldsSessionAsync(CancellationToken cancellationToken);

    /// <summary>One round trip to the database; completes or throws.</summary>
    Task PingAsync(CancellationToken cancellationToken);

    /// <returns>Null when the e-mail is taken, in whatever case.</returns>
    /// <param name="email">ASCII, as the caller has checked.</param>
    /// <param name="username">Shown to other users.</param>
    /// <param name="passwordHash">Opaque here.</param>
    /// <param name="cancellationToken">Leaves the outcome open when it comes late.</param>
    Task<UserRecord?> CreateUserAsync(string email, string username, string passwordHash, CancellationToken cancellationToken);

    /// <summary>ASCII case does not matter.</summary>
    Task<UserRecord?> FindUserByEmailAsync(string email, CancellationToken cancellationToken);

    Task<UserRecord?> FindUserByIdAsync(long userId, CancellationToken cancellationToken);

    /// <summary>Stores another hash of the same password, unless the one that was read has been replaced since.</summary>
    /// <returns>False when there is no such user with that hash.</returns>
    Task<bool> ReplacePasswordHashAsync(long userId, string oldHash, string newHash, CancellationToken cancellationToken);

    /// <summary>Rooms with an id above <paramref name="afterId"/>, by id, at most <paramref name="limit"/>.</summary>
    Task<IReadOnlyList<RoomRecord>> ListRoomsAsync(long afterId, int limit, CancellationToken cancellationToken);

    Task<RoomRecord?> FindRoomAsync(long roomId, CancellationToken cancellationToken);

    Task<RoomRecord> CreateRoomAsync(string name, CancellationToken cancellationToken);

    /// <returns>True when added, false when already a member.</returns>
    /// <exception cref="KeyNotFoundException">No such room or no such user.</exception>
    Task<bool> AddMemberAsync(long roomId, long userId, CancellationToken cancellationToken);

    /// <returns>True when removed, false when not a member.</returns>
    Task<bool> RemoveMemberAsync(long roomId, long userId, CancellationToken cancellationToken);

    /// <summary>Members of the room with a user id above <paramref name="afterUserId"/>, by it, at most <paramref name="limit"/>; none of an unknown room.</summary>
    Task<IReadOnlyList<MemberRecord>> ListMembersAsync(long roomId, long afterUserId, int limit, CancellationToken cancellationToken);

    Task<bool> IsMemberAsync(long roomId, long userId, CancellationToken cancellationToken);

    /// <summary>
    /// Durable messages with <paramref name="afterSeq"/> &lt; seq &lt; <paramref name="beforeSeq"/>, ascending: the oldest
    /// <paramref name="limit"/> of them when <paramref name="afterSeq"/> is given, else the newest. Read by key, so a page costs the
    /// same at any depth. Empty for an unknown room. What is accepted but not committed is missing:
    /// readers use <see cref="MessageLog.ReadHistoryAsync"/>.
    /// </summary>
    Task<IReadOnlyList<MessageRecord>> ReadMessagesAsync(
        long roomId, long? beforeSeq, long? afterSeq, int limit, CancellationToken cancellationToken);

    /// <summary>The last durable seq; 0 for an unknown room or one without messages.</summary>
    Task<long> LastSeqAsync(long roomId, CancellationToken cancellationToken);

    /// <summary>The last durable seq whose message has at most this epoch; 0 when there is none.</summary>
    Task<long> LastSeqUpToEpochAsync(long roomId, int epoch, CancellationToken cancellationToken);

    /// <summary>
    /// Opens a connection of its own for appending. Blocks while connecting: only for the message log's lane threads.
    /// Needs a session.
    /// </summary>
    /// <exception cref="AppendException">Transient.</exception>
    IMessageWriter OpenWriter();
}
