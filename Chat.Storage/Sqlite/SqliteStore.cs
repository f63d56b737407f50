using Microsoft.Data.Sqlite;

namespace Chat.Storage.Sqlite;

/// <summary>
/// The embedded default: one file in WAL mode, beside it <c>-wal</c> and <c>-shm</c> while open and <c>.lock</c> always.
/// The file is made readable by its owner only: it holds password hashes.
/// </summary>
public sealed class SqliteStore : IChatStore
{
    private const string UserColumns = "SELECT id, email, username, password_hash, created_at FROM users ";
    private const string RoomColumns = "SELECT id, name, last_seq, created_at FROM rooms ";

    private readonly string _path;
    private readonly TimeProvider _time;
    private readonly SqliteConnections _connections;
    private readonly IndexBacklog _backlog;
    private FileStream? _lockFile;
    private long _session;

    /// <param name="path">The database file; its folder exists. Nothing is opened or created before <see cref="InitializeAsync"/>.</param>
    /// <param name="time">Gives the created_at of users, rooms and memberships.</param>
    public SqliteStore(string path, TimeProvider? time = null)
    {
        _path = path;
        _time = time ?? TimeProvider.System;
        _connections = new SqliteConnections(path);
        _backlog = new IndexBacklog(_time);
    }

    /// <summary>
    /// A commit runs on our own cores, and each room in it costs a change of its row and its acknowledgements their sends: 5 ms, and a tenth more for
    /// each room, so that 200 busy rooms commit 40 times a second and not 200 times.
    /// </summary>
    public TimeSpan CommitIntervalMin(int rooms) => TimeSpan.FromMilliseconds(Math.Min(5 + (rooms * 0.1), 25));

    public async Task InitializeAsync(CancellationToken cancellationToken)
    {
        try
        {
            await Task.Run(CreateFile, cancellationToken).ConfigureAwait(false);
            await _connections.WriteAsync(connection => { SqliteSchema.Migrate(connection); return true; }, cancellationToken).ConfigureAwait(false);
        }
        catch (SqliteException e)
        {
            throw NewSchemaException(e);
        }
    }

    /// <summary>What does not pass by itself, before there is a session.</summary>
    private StoreSchemaException NewSchemaException(SqliteException e) => new(
        SqliteErrors.IsDamaged(e) ? $"{_path} is no database of SQLite, or a damaged one: {e.Message}" : $"{_path} cannot be used: {e.Message}", e);

    private void CreateFile()
    {
        try
        {
            OpenForOwner(_path, FileShare.ReadWrite).Dispose();
            using var connection = _connections.Open();
            // Persistent, so once would do. The switch cannot happen inside a transaction.
            connection.Execute("PRAGMA journal_mode = WAL");
        }
        catch (IOException e)
        {
            throw new StoreUnavailableException($"Cannot create {_path}: {e.Message}", e);
        }
        catch (SqliteException e) when (SqliteErrors.IsTransient(e))
        {
            throw SqliteErrors.Unavailable(e);
        }
    }

    private static FileStream OpenForOwner(string path, FileShare share)
    {
        var options = new FileStreamOptions { Mode = FileMode.OpenOrCreate, Access = FileAccess.ReadWrite, Share = share };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        return new FileStream(path, options);
    }

    public async Task<StoreSession> BeginSessionAsync(CancellationToken cancellationToken)
    {
        try
        {
            // The kernel drops this lock with the process, however it ends. The file is left there: deleting it would race.
            _lockFile ??= await Task.Run(() => OpenForOwner(_path + ".lock", FileShare.None), cancellationToken).ConfigureAwait(false);
        }
        catch (IOException e) when (IsSharingViolation(e))
        {
            throw new StoreInUseException($"Another server has {_path} open.", e);
        }
        catch (IOException e)
        {
            throw new StoreUnavailableException($"Cannot lock {_path}: {e.Message}", e);
        }
        await InitializeAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            var session = await _connections.WriteAsync(RaiseSession, cancellationToken).ConfigureAwait(false);
            _backlog.Clear();
            return session;
        }
        catch (SqliteException e)
        {
            throw NewSchemaException(e);
        }
    }

    private StoreSession RaiseSession(SqliteConnection connection)
    {
        connection.Execute(
            "UPDATE server_state SET epoch = epoch + (clean_stop = 0), session = session + 1, clean_stop = 0 WHERE id = 1");
        Volatile.Write(ref _session, connection.Scalar("SELECT session FROM server_state WHERE id = 1")!.Value);
        MessageRuns.AddAll(connection);
        _connections.LengthenWal();
        return new StoreSession(
            (int)connection.Scalar("SELECT epoch FROM server_state WHERE id = 1")!.Value,
            connection.Scalar("SELECT max(id) FROM messages") ?? 0);
    }

    /// <summary>What .NET makes of a lock that another has: ERROR_SHARING_VIOLATION on Windows, elsewhere the errno EWOULDBLOCK of flock.</summary>
    private static bool IsSharingViolation(IOException e) => e.HResult ==
        (OperatingSystem.IsWindows() ? unchecked((int)0x80070020) : OperatingSystem.IsLinux() ? 11 : 35);

    public async Task EndSessionAsync(CancellationToken cancellationToken)
    {
        await _connections.WriteAsync(connection =>
        {
            MessageRuns.AddAll(connection);
            return connection.Execute("UPDATE server_state SET clean_stop = 1 WHERE session = @1", _session);
        }, cancellationToken).ConfigureAwait(false);
        _lockFile?.Dispose();
        _lockFile = null;
    }

    public async Task<bool> HoldsSessionAsync(CancellationToken cancellationToken) =>
        await _connections.ReadAsync(connection => connection.Scalar("SELECT session FROM server_state"), cancellationToken).ConfigureAwait(false)
            == Volatile.Read(ref _session);

    public Task PingAsync(CancellationToken cancellationToken) =>
        _connections.ReadAsync(connection => connection.Scalar("SELECT epoch FROM server_state"), cancellationToken);

    public Task<UserRecord?> CreateUserAsync(string email, string username, string passwordHash, CancellationToken cancellationToken) =>
        _connections.WriteAsync(connection =>
        {
            var nowMs = _time.GetUtcNow().ToUnixTimeMilliseconds();
            var id = connection.Scalar(
                """
                INSERT INTO users (email, username, password_hash, created_at) VALUES (@1, @2, @3, @4)
                ON CONFLICT (email) DO NOTHING RETURNING id
                """, email, username, passwordHash, nowMs);
            return id is null ? null : new UserRecord(id.Value, email, username, passwordHash, DateTimeOffset.FromUnixTimeMilliseconds(nowMs));
        }, cancellationToken);

    public Task<UserRecord?> FindUserByEmailAsync(string email, CancellationToken cancellationToken) =>
        _connections.ReadAsync(connection => connection.First(ReadUser, UserColumns + "WHERE email = @1", email), cancellationToken);

    public Task<UserRecord?> FindUserByIdAsync(long userId, CancellationToken cancellationToken) =>
        _connections.ReadAsync(connection => connection.First(ReadUser, UserColumns + "WHERE id = @1", userId), cancellationToken);

    public Task<bool> ReplacePasswordHashAsync(long userId, string oldHash, string newHash, CancellationToken cancellationToken) =>
        _connections.WriteAsync(
            connection => connection.Execute(
                "UPDATE users SET password_hash = @3 WHERE id = @1 AND password_hash = @2", userId, oldHash, newHash) == 1,
            cancellationToken);

    public async Task<IReadOnlyList<RoomRecord>> ListRoomsAsync(long afterId, int limit, CancellationToken cancellationToken) =>
        await _connections.ReadAsync(
            connection => connection.All(ReadRoom, RoomColumns + "WHERE id > @1 ORDER BY id LIMIT @2", afterId, limit), cancellationToken)
            .ConfigureAwait(false);

    public Task<RoomRecord?> FindRoomAsync(long roomId, CancellationToken cancellationToken) =>
        _connections.ReadAsync(connection => connection.First(ReadRoom, RoomColumns + "WHERE id = @1", roomId), cancellationToken);

    public Task<RoomRecord> CreateRoomAsync(string name, CancellationToken cancellationToken) =>
        _connections.WriteAsync(connection =>
        {
            var nowMs = _time.GetUtcNow().ToUnixTimeMilliseconds();
            var id = connection.Scalar("INSERT INTO rooms (name, created_at) VALUES (@1, @2) RETURNING id", name, nowMs)!.Value;
            return new RoomRecord(id, name, 0, DateTimeOffset.FromUnixTimeMilliseconds(nowMs));
        }, cancellationToken);

    public async Task<bool> AddMemberAsync(long roomId, long userId, CancellationToken cancellationToken)
    {
        try
        {
            return await _connections.WriteAsync(connection => connection.Execute(
                "INSERT INTO room_members (room_id, user_id, joined_at) VALUES (@1, @2, @3) ON CONFLICT (room_id, user_id) DO NOTHING",
                roomId, userId, _time.GetUtcNow().ToUnixTimeMilliseconds()) == 1, cancellationToken).ConfigureAwait(false);
        }
        catch (SqliteException e) when (SqliteErrors.IsForeignKey(e))
        {
            throw new KeyNotFoundException($"No room {roomId} or no user {userId}.", e);
        }
    }

    public Task<bool> RemoveMemberAsync(long roomId, long userId, CancellationToken cancellationToken) =>
        _connections.WriteAsync(
            connection => connection.Execute("DELETE FROM room_members WHERE room_id = @1 AND user_id = @2", roomId, userId) == 1,
            cancellationToken);

    public async Task<IReadOnlyList<MemberRecord>> ListMembersAsync(
        long roomId, long afterUserId, int limit, CancellationToken cancellationToken) =>
        await _connections.ReadAsync(connection => connection.All(
            reader => new MemberRecord(reader.GetInt64(0), reader.GetString(1), ReadTime(reader, 2)),
            """
            SELECT m.user_id, u.username, m.joined_at FROM room_members m JOIN users u ON u.id = m.user_id
            WHERE m.room_id = @1 AND m.user_id > @2 ORDER BY m.user_id LIMIT @3
            """, roomId, afterUserId, limit), cancellationToken).ConfigureAwait(false);

    public Task<bool> IsMemberAsync(long roomId, long userId, CancellationToken cancellationToken) =>
        _connections.ReadAsync(
            connection => connection.Scalar("SELECT 1 FROM room_members WHERE room_id = @1 AND user_id = @2", roomId, userId) is not null,
            cancellationToken);

    public async Task<IReadOnlyList<MessageRecord>> ReadMessagesAsync(
        long roomId, long? beforeSeq, long? afterSeq, int limit, CancellationToken cancellationToken)
    {
        var query = new PageQuery(beforeSeq, afterSeq, limit);
        var hasPage = _backlog.TryRead(roomId, query, out var page, out var newest);
        return await _connections.ReadAsync(connection =>
        {
            if (!hasPage)
                page = query.In(MessageRuns.LastSeq(connection, roomId));
            var records = MessageRuns.Read(connection, roomId, page with { Last = page.Last - newest.Length });
            records.AddRange(MessageRuns.Read(connection, newest));
            return records;
        }, cancellationToken).ConfigureAwait(false);
    }

    public async Task<long> LastSeqAsync(long roomId, CancellationToken cancellationToken) =>
        await _connections.ReadAsync(
            connection => connection.Scalar("SELECT last_seq FROM rooms WHERE id = @1", roomId) ?? 0, cancellationToken).ConfigureAwait(false);

    public Task<long> LastSeqUpToEpochAsync(long roomId, int epoch, CancellationToken cancellationToken) =>
        EpochSearch.LastSeqAsync(this, roomId, epoch, cancellationToken);

    public IMessageWriter OpenWriter()
    {
        var session = Volatile.Read(ref _session);
        Invariant.Require(session > 0);
        return SqliteMessageWriter.Open(_connections, _backlog, session);
    }

    public ValueTask DisposeAsync()
    {
        _connections.Dispose();
        _lockFile?.Dispose();
        return ValueTask.CompletedTask;
    }

    private static UserRecord ReadUser(SqliteDataReader reader) =>
        new(reader.GetInt64(0), reader.GetString(1), reader.GetString(2), reader.GetString(3), ReadTime(reader, 4));

    private static RoomRecord ReadRoom(SqliteDataReader reader) =>
        new(reader.GetInt64(0), reader.GetString(1), reader.GetInt64(2), ReadTime(reader, 3));

    private static DateTimeOffset ReadTime(SqliteDataReader reader, int ordinal) =>
        DateTimeOffset.FromUnixTimeMilliseconds(reader.GetInt64(ordinal));
}
