using System.Data.Common;
using System.Diagnostics;
using Npgsql;

namespace Chat.Storage.Postgres;

/// <summary>
/// The store for deployments that have a PostgreSQL (12 or later). Accounts, rooms and history share a connection pool; the session and
/// each message writer have a connection of their own outside it.
/// </summary>
public sealed class PostgresStore : IChatStore
{
    private const string UserColumns = "SELECT id, email, username, password_hash, created_at FROM users ";
    private const string RoomColumns = "SELECT id, name, last_seq, created_at FROM rooms ";

    /// <summary>For <see cref="ReadMessage"/>: of messages m and users u.</summary>
    internal const string MessageColumns =
        "SELECT m.id, m.room_id, m.seq, m.epoch, m.sender_id, u.username, m.nonce, m.content, m.created_at";

    /// <summary>
    /// How long a start waits for another server's session, in milliseconds: a killed one is gone as soon as PostgreSQL reads the end of its socket.
    /// </summary>
    private const int SessionLockTimeoutMs = 2_000;
    private const int SessionLockRetryMs = 50;

    /// <summary>
    /// Connections for accounts, rooms and history, unless the connection string has a <c>Maximum Pool Size</c> of its own. Each answers in a
    /// millisecond or two, so a few keep thousands of readers going.
    /// </summary>
    public const int PoolSizeMax = 16;

    private readonly TimeProvider _time;
    private readonly bool _isShared;
    private readonly NpgsqlDataSource _pool;
    private readonly NpgsqlDataSource _unpooled;
    private readonly LostBackends _lost = new();
    private NpgsqlConnection? _sessionConnection;
    private long _session;

    /// <param name="connectionString">As <see cref="DatabaseUrl.ToConnectionString"/> makes it. Nothing is connected yet.</param>
    /// <param name="time">Gives the created_at of users, rooms and memberships.</param>
    /// <param name="isShared">Several servers use the database at once: its session is one that others may join.</param>
    public PostgresStore(string connectionString, TimeProvider? time = null, bool isShared = false)
    {
        _time = time ?? TimeProvider.System;
        _isShared = isShared;
        var builder = new NpgsqlConnectionStringBuilder(connectionString);
        // Which keys it names; Npgsql's own builder "contains" every key that it knows.
        var given = new DbConnectionStringBuilder { ConnectionString = builder.ConnectionString };
        if (!given.ContainsKey("Timeout"))
            builder.Timeout = 5;
        if (!given.ContainsKey("Command Timeout"))
            builder.CommandTimeout = 10;
        // Npgsql's 100 are all that a PostgreSQL with its defaults has: after a crash the reads of clients that came back took them, and kept
        // them idle for five minutes, in which the message log was refused a connection to commit on.
        if (!given.ContainsKey("Maximum Pool Size"))
            builder.MaxPoolSize = Math.Max(PoolSizeMax, builder.MinPoolSize);
        builder.ApplicationName ??= "chat";
        // Most commands are one of a dozen texts; prepared, they save the planner half a millisecond.
        builder.MaxAutoPrepare = Math.Max(builder.MaxAutoPrepare, 32);
        _pool = NpgsqlDataSource.Create(builder);
        builder.Pooling = false;
        _unpooled = NpgsqlDataSource.Create(builder);
    }

    /// <summary>A commit costs this process little, and the database's own time already lets rows gather.</summary>
    public TimeSpan CommitIntervalMin(int rooms) => TimeSpan.FromMilliseconds(1);

    public Task InitializeAsync(CancellationToken cancellationToken) => GuardStartAsync(async () =>
    {
        await using var connection = await _unpooled.OpenConnectionAsync(cancellationToken).ConfigureAwait(false);
        await PostgresSchema.MigrateAsync(connection, cancellationToken).ConfigureAwait(false);
        return true;
    });

    public Task<StoreSession> BeginSessionAsync(CancellationToken cancellationToken) => GuardStartAsync(async () =>
    {
        if (await LockSessionAsync(cancellationToken).ConfigureAwait(false))
            await TakeOverAsync(cancellationToken).ConfigureAwait(false);
        else
            await PostgresSchema.CheckAsync(_sessionConnection!, cancellationToken).ConfigureAwait(false);
        int epoch;
        long maxMessageId;
        await using (var read = new NpgsqlCommand(
            "SELECT session, shared, epoch, (SELECT coalesce(max(id), 0) FROM messages) FROM server_state", _sessionConnection))
        {
            await using var reader = await read.ExecuteReaderAsync(cancellationToken).ConfigureAwait(false);
            await reader.ReadAsync(cancellationToken).ConfigureAwait(false);
            if (reader.GetBoolean(1) != _isShared)
                throw InUse();
            Volatile.Write(ref _session, reader.GetInt64(0));
            epoch = reader.GetInt32(2);
            maxMessageId = reader.GetInt64(3);
        }
        if (_isShared)
            maxMessageId = await NextMessageIdsAsync(cancellationToken).ConfigureAwait(false);
        return new StoreSession(epoch, maxMessageId, _isShared);
    });

    /// <summary>Begins a session when no other server has the lock.</summary>
    private async Task TakeOverAsync(CancellationToken cancellationToken)
    {
        var isMigrated = await PostgresSchema.MigrateAsync(_sessionConnection!, cancellationToken).ConfigureAwait(false);
        // The update waits for transactions of an earlier session (each holds the row FOR SHARE), so what they commit is counted afterwards. What several
        // servers show is durable, so that none of their stops is unclean. A shared session goes on, for servers whose locks are gone because the
        // database restarted, and who are there; unless they knew another schema.
        await using (var command = new NpgsqlCommand(
            """
            UPDATE server_state
            SET epoch = epoch + CASE WHEN clean_stop THEN 0 ELSE 1 END, session = session + CASE WHEN shared AND $1 AND NOT $2 THEN 0 ELSE 1 END,
                clean_stop = $1, shared = $1
            """, _sessionConnection))
        {
            command.Parameters.Add(new NpgsqlParameter<bool> { TypedValue = _isShared });
            command.Parameters.Add(new NpgsqlParameter<bool> { TypedValue = isMigrated });
            await command.ExecuteNonQueryAsync(cancellationToken).ConfigureAwait(false);
        }
        if (_isShared)
        {
            // Above what a server has given that had the database alone. Only then: others of our session may be there and take a block meanwhile.
            await using var raise = new NpgsqlCommand(
                $"""
                SELECT setval('message_id_blocks', given.block) FROM message_id_blocks, (SELECT coalesce(max(id), 0) / {MessageIds.BlockSize} AS block FROM messages) AS given
                WHERE given.block >= last_value + is_called::int
                """,
                _sessionConnection);
            await raise.ExecuteNonQueryAsync(cancellationToken).ConfigureAwait(false);
        }
        // From here on a second server waits for the shared lock, which the writers hold as well.
        await using var share = new NpgsqlCommand(
            $"SELECT pg_advisory_lock_shared({PostgresSchema.SessionLock}); SELECT pg_advisory_unlock({PostgresSchema.SessionLock})", _sessionConnection);
        await share.ExecuteNonQueryAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>In a shared session: takes a block of <see cref="MessageIds.BlockSize"/> message ids for this server, from the answer + 1 on.</summary>
    public async Task<long> NextMessageIdsAsync(CancellationToken cancellationToken) => MessageIds.BlockSize
        * (await ReadAsync("SELECT nextval('message_id_blocks')", reader => reader.GetInt64(0), cancellationToken).ConfigureAwait(false)).Single();

    /// <summary>In a shared session: what tells its servers from those of other databases.</summary>
    public async Task<string> ClusterAsync(CancellationToken cancellationToken) =>
        (await ReadAsync("SELECT cluster FROM server_state", reader => reader.GetString(0), cancellationToken).ConfigureAwait(false)).Single();

    /// <summary>The last durable seqs of rooms, in any order; of rooms that there are.</summary>
    public async Task<IReadOnlyList<(long RoomId, long LastSeq)>> LastSeqsAsync(IReadOnlyCollection<long> roomIds, CancellationToken cancellationToken) =>
        await ReadAsync(
            "SELECT id, last_seq FROM rooms WHERE id = ANY($1)", reader => (reader.GetInt64(0), reader.GetInt64(1)), cancellationToken, roomIds.ToArray())
            .ConfigureAwait(false);

    /// <summary>
    /// An advisory lock tells a second server why it must not start: taken alone here, then shared by this connection and every writer, so
    /// that it returns with the first writer when the database restarted. It is a courtesy. Should a second server slip through while
    /// every connection is down, the session number in server_state stops the first. Servers that share a session share the lock from the start, but for the first.
    /// </summary>
    /// <returns>True when it is ours alone; false when we share it, with servers whose session it is.</returns>
    private async Task<bool> LockSessionAsync(CancellationToken cancellationToken)
    {
        if (_sessionConnection is not null)
            await _sessionConnection.DisposeAsync().ConfigureAwait(false);
        _sessionConnection = await _unpooled.OpenConnectionAsync(cancellationToken).ConfigureAwait(false);
        await using (var command = new NpgsqlCommand($"{PostgresWriter.KeepCommits}; {PostgresWriter.WatchPeer}", _sessionConnection))
            await command.ExecuteNonQueryAsync(cancellationToken).ConfigureAwait(false);
        // Asked for again and again: a request that waits for the lock would keep the first server's writers from sharing it.
        await using var tryLock = new NpgsqlCommand($"SELECT pg_try_advisory_lock({PostgresSchema.SessionLock})", _sessionConnection);
        var startedAt = Stopwatch.GetTimestamp();
        await using var tryShare = new NpgsqlCommand($"SELECT pg_try_advisory_lock_shared({PostgresSchema.SessionLock})", _sessionConnection);
        while (await tryLock.ExecuteScalarAsync(cancellationToken).ConfigureAwait(false) is false)
        {
            if (_isShared && await tryShare.ExecuteScalarAsync(cancellationToken).ConfigureAwait(false) is true)
                return false;
            if (Stopwatch.GetElapsedTime(startedAt).TotalMilliseconds > SessionLockTimeoutMs)
                throw InUse();
            await Task.Delay(SessionLockRetryMs, cancellationToken).ConfigureAwait(false);
        }
        return true;
    }

    private static StoreInUseException InUse() => new("Another server uses this database.");

    public Task EndSessionAsync(CancellationToken cancellationToken) => GuardAsync(async () =>
    {
        if (!_isShared) // A shared one has no unclean stop, and the row is locked by the batches of others.
        {
            await using var command = _pool.CreateCommand("UPDATE server_state SET clean_stop = true WHERE session = $1");
            command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = _session });
            await command.ExecuteNonQueryAsync(cancellationToken).ConfigureAwait(false);
        }
        if (_sessionConnection is not null)
            await _sessionConnection.DisposeAsync().ConfigureAwait(false);
        _sessionConnection = null;
        return true;
    });

    public async Task<bool> HoldsSessionAsync(CancellationToken cancellationToken) =>
        (await ReadAsync("SELECT session FROM server_state", reader => reader.GetInt64(0), cancellationToken).ConfigureAwait(false)).Single() == _session;

    public Task PingAsync(CancellationToken cancellationToken) => ReadAsync("SELECT 1", reader => reader.GetInt32(0), cancellationToken);

    public async Task<UserRecord?> CreateUserAsync(
        string email, string username, string passwordHash, CancellationToken cancellationToken) =>
        await FirstAsync("""
            INSERT INTO users (email, username, password_hash, created_at) VALUES ($1, $2, $3, $4)
            ON CONFLICT (lower(email COLLATE "C")) DO NOTHING RETURNING id, email, username, password_hash, created_at
            """, ReadUser, cancellationToken, email, username, passwordHash, Now()).ConfigureAwait(false);

    public Task<UserRecord?> FindUserByEmailAsync(string email, CancellationToken cancellationToken) =>
        ReadFirstAsync(UserColumns + """WHERE lower(email COLLATE "C") = lower($1 COLLATE "C")""", ReadUser, cancellationToken, email);

    public Task<UserRecord?> FindUserByIdAsync(long userId, CancellationToken cancellationToken) =>
        ReadFirstAsync(UserColumns + "WHERE id = $1", ReadUser, cancellationToken, userId);

    public async Task<bool> ReplacePasswordHashAsync(long userId, string oldHash, string newHash, CancellationToken cancellationToken) =>
        await ExecuteAsync("UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2", cancellationToken, userId, oldHash, newHash)
            .ConfigureAwait(false) == 1;

    public async Task<IReadOnlyList<RoomRecord>> ListRoomsAsync(long afterId, int limit, CancellationToken cancellationToken) =>
        await ReadAsync(RoomColumns + "WHERE id > $1 ORDER BY id LIMIT $2", ReadRoom, cancellationToken, afterId, limit).ConfigureAwait(false);

    public Task<RoomRecord?> FindRoomAsync(long roomId, CancellationToken cancellationToken) =>
        ReadFirstAsync(RoomColumns + "WHERE id = $1", ReadRoom, cancellationToken, roomId);

    public async Task<RoomRecord> CreateRoomAsync(string name, CancellationToken cancellationToken) =>
        (await FirstAsync(
            "INSERT INTO rooms (name, created_at) VALUES ($1, $2) RETURNING id, name, last_seq, created_at", ReadRoom, cancellationToken, name, Now())
            .ConfigureAwait(false))!;

    public async Task<bool> AddMemberAsync(long roomId, long userId, CancellationToken cancellationToken)
    {
        try
        {
            return await ExecuteAsync(
                "INSERT INTO room_members (room_id, user_id, joined_at) VALUES ($1, $2, $3) ON CONFLICT (room_id, user_id) DO NOTHING",
                cancellationToken, roomId, userId, Now()).ConfigureAwait(false) == 1;
        }
        catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.ForeignKeyViolation)
        {
            throw new KeyNotFoundException($"No room {roomId} or no user {userId}.", e);
        }
    }

    public async Task<bool> RemoveMemberAsync(long roomId, long userId, CancellationToken cancellationToken) =>
        await ExecuteAsync("DELETE FROM room_members WHERE room_id = $1 AND user_id = $2", cancellationToken, roomId, userId).ConfigureAwait(false) == 1;

    public async Task<IReadOnlyList<MemberRecord>> ListMembersAsync(
        long roomId, long afterUserId, int limit, CancellationToken cancellationToken) =>
        await ReadAsync(
            """
            SELECT m.user_id, u.username, m.joined_at FROM room_members m JOIN users u ON u.id = m.user_id
            WHERE m.room_id = $1 AND m.user_id > $2 ORDER BY m.user_id LIMIT $3
            """,
            reader => new MemberRecord(reader.GetInt64(0), reader.GetString(1), ReadTime(reader, 2)),
            cancellationToken, roomId, afterUserId, limit).ConfigureAwait(false);

    public async Task<bool> IsMemberAsync(long roomId, long userId, CancellationToken cancellationToken) =>
        (await ReadAsync(
            "SELECT user_id FROM room_members WHERE room_id = $1 AND user_id = $2", reader => reader.GetInt64(0), cancellationToken, roomId, userId)
            .ConfigureAwait(false)).Count == 1;

    public async Task<IReadOnlyList<MessageRecord>> ReadMessagesAsync(
        long roomId, long? beforeSeq, long? afterSeq, int limit, CancellationToken cancellationToken)
    {
        var newestFirst = afterSeq is null;
        var records = await ReadAsync($"""
            {MessageColumns}
            FROM messages m LEFT JOIN users u ON u.id = m.sender_id
            WHERE m.room_id = $1 AND m.seq < $2 AND m.seq > $3
            ORDER BY m.seq {(newestFirst ? "DESC" : "ASC")} LIMIT $4
            """, ReadMessage, cancellationToken, roomId, beforeSeq ?? long.MaxValue, afterSeq ?? 0, limit).ConfigureAwait(false);
        if (newestFirst)
            records.Reverse();
        return records;
    }

    public async Task<long> LastSeqAsync(long roomId, CancellationToken cancellationToken) =>
        (await FindRoomAsync(roomId, cancellationToken).ConfigureAwait(false))?.LastSeq ?? 0;

    public Task<long> LastSeqUpToEpochAsync(long roomId, int epoch, CancellationToken cancellationToken) =>
        EpochSearch.LastSeqAsync(this, roomId, epoch, cancellationToken);

    public IMessageWriter OpenWriter()
    {
        var session = Volatile.Read(ref _session);
        Invariant.Require(session > 0);
        return PostgresWriter.Open(
            _unpooled, _lost, connection => _isShared ? new PostgresNumberingWriter(connection, session, _lost) : new PostgresMessageWriter(connection, session, _lost));
    }

    public async ValueTask DisposeAsync()
    {
        if (_sessionConnection is not null)
            await _sessionConnection.DisposeAsync().ConfigureAwait(false);
        await _pool.DisposeAsync().ConfigureAwait(false);
        await _unpooled.DisposeAsync().ConfigureAwait(false);
    }

    /// <summary>Whole milliseconds, as SQLite stores them and the API shows them.</summary>
    private DateTime Now() => DateTimeOffset.FromUnixTimeMilliseconds(_time.GetUtcNow().ToUnixTimeMilliseconds()).UtcDateTime;

    /// <returns>Rows changed.</returns>
    private Task<int> ExecuteAsync(string sql, CancellationToken cancellationToken, params object[] values) => GuardAsync(async () =>
    {
        await using var connection = await RentAsync(cancellationToken).ConfigureAwait(false);
        await using var command = Command(connection, sql, values);
        return await command.ExecuteNonQueryAsync(cancellationToken).ConfigureAwait(false);
    });

    private async Task<T?> FirstAsync<T>(
        string sql, Func<NpgsqlDataReader, T> row, CancellationToken cancellationToken, params object[] values)
        where T : class
    {
        await using var connection = await RentAsync(cancellationToken).ConfigureAwait(false);
        var rows = await AllAsync(connection, sql, row, cancellationToken, values).ConfigureAwait(false);
        return rows.Count == 0 ? null : rows[0];
    }

    /// <summary>
    /// A read that finds its pooled connection dead (the database restarted while it was idle) empties the pool and asks once more,
    /// so that a restart does not cost one failed request for each pooled connection. One that was silent until the timeout empties the pool only:
    /// the caller has waited long enough. One that got no connection leaves the pool alone: of those in use it knows nothing. Writes are not repeated:
    /// their outcome is unclear.
    /// </summary>
    private async Task<List<T>> ReadAsync<T>(
        string sql, Func<NpgsqlDataReader, T> row, CancellationToken cancellationToken, params object[] values)
    {
        await using (var connection = await RentAsync(cancellationToken).ConfigureAwait(false))
        {
            try
            {
                return await AllAsync(connection, sql, row, cancellationToken, values).ConfigureAwait(false);
            }
            catch (StoreUnavailableException e)
            {
                _pool.Clear();
                if (e.InnerException is NpgsqlException { InnerException: TimeoutException })
                    throw;
            }
        }
        await using var next = await RentAsync(cancellationToken).ConfigureAwait(false);
        return await AllAsync(next, sql, row, cancellationToken, values).ConfigureAwait(false);
    }

    private async Task<T?> ReadFirstAsync<T>(
        string sql, Func<NpgsqlDataReader, T> row, CancellationToken cancellationToken, params object[] values)
        where T : class
    {
        var rows = await ReadAsync(sql, row, cancellationToken, values).ConfigureAwait(false);
        return rows.Count == 0 ? null : rows[0];
    }

    private Task<NpgsqlConnection> RentAsync(CancellationToken cancellationToken) => GuardAsync(async () =>
    {
        // The caller's thread may be one that serves sockets: it does none of the driver's work, not even what comes before the first wait.
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        return await _pool.OpenConnectionAsync(cancellationToken).ConfigureAwait(false);
    });

    private static Task<List<T>> AllAsync<T>(
        NpgsqlConnection connection, string sql, Func<NpgsqlDataReader, T> row, CancellationToken cancellationToken, params object[] values) => GuardAsync(async () =>
    {
        await using var command = Command(connection, sql, values);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken).ConfigureAwait(false);
        var rows = new List<T>();
        while (await reader.ReadAsync(cancellationToken).ConfigureAwait(false))
            rows.Add(row(reader));
        return rows;
    });

    private static NpgsqlCommand Command(NpgsqlConnection connection, string sql, object[] values)
    {
#pragma warning disable CA2100 // Literals of this file only; values travel as parameters.
        var command = new NpgsqlCommand(sql, connection);
#pragma warning restore CA2100
        foreach (var value in values)
            command.Parameters.Add(new NpgsqlParameter { Value = value });
        return command;
    }

    private static async Task<T> GuardAsync<T>(Func<Task<T>> work)
    {
        try
        {
            return await work().ConfigureAwait(false);
        }
        catch (Exception e) when (PostgresErrors.IsUnavailable(e))
        {
            throw PostgresErrors.Unavailable(e);
        }
    }

    private static async Task<T> GuardStartAsync<T>(Func<Task<T>> work)
    {
        try
        {
            return await GuardAsync(work).ConfigureAwait(false);
        }
        catch (PostgresException e) when (e.SqlState is
            PostgresErrorCodes.UniqueViolation or PostgresErrorCodes.DuplicateTable or PostgresErrorCodes.DuplicateObject)
        {
            // Somebody runs init.sql by hand at the same time, under no lock of ours. Another attempt finds what that has made.
            throw PostgresErrors.Unavailable(e);
        }
        catch (PostgresException e)
        {
            throw new StoreSchemaException(PostgresErrors.Describe(e), e);
        }
    }

    private static UserRecord ReadUser(NpgsqlDataReader reader) =>
        new(reader.GetInt64(0), reader.GetString(1), reader.GetString(2), reader.GetString(3), ReadTime(reader, 4));

    private static RoomRecord ReadRoom(NpgsqlDataReader reader) =>
        new(reader.GetInt64(0), reader.GetString(1), reader.GetInt64(2), ReadTime(reader, 3));

    internal static MessageRecord ReadMessage(NpgsqlDataReader reader) => new()
    {
        Id = reader.GetInt64(0),
        RoomId = reader.GetInt64(1),
        Seq = reader.GetInt64(2),
        Epoch = reader.GetInt32(3),
        SenderId = reader.IsDBNull(4) ? 0 : reader.GetInt64(4),
        SenderName = reader.IsDBNull(5) ? "" : reader.GetString(5),
        Nonce = reader.IsDBNull(6) ? null : reader.GetString(6),
        Content = reader.GetFieldValue<byte[]>(7),
        CreatedAtUnixMs = ReadTime(reader, 8).ToUnixTimeMilliseconds(),
    };

    private static DateTimeOffset ReadTime(NpgsqlDataReader reader, int ordinal) => reader.GetFieldValue<DateTimeOffset>(ordinal);
}
