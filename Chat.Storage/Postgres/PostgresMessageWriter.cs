using System.Text;
using Npgsql;
using NpgsqlTypes;

namespace Chat.Storage.Postgres;

/// <summary>
/// Appends batches by one binary COPY each. Four round trips a batch: BEGIN with the fence and last_seq, COPY, its end, COMMIT.
/// </summary>
internal sealed class PostgresMessageWriter : IMessageWriter
{
    private const string Copy =
        "COPY messages (id, room_id, seq, epoch, sender_id, nonce, content, created_at) FROM STDIN (FORMAT BINARY)";

    /// <summary>
    /// Makes PostgreSQL notice within some 20 s that this computer is gone, and let go of our locks, also the one that keeps a second server out; by its own default
    /// that takes two hours.
    /// </summary>
    internal const string WatchPeer = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 3; SET tcp_keepalives_count = 3";

    private readonly NpgsqlConnection _connection;
    private readonly Backend _backend;
    private readonly LostBackends _lost;
    private readonly NpgsqlBatch _head;
    private readonly NpgsqlParameter<long[]> _roomIds = new() { NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Bigint };
    private readonly NpgsqlParameter<long[]> _lastSeqs = new() { NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Bigint };

    private PostgresMessageWriter(NpgsqlConnection connection, long session, LostBackends lost)
    {
        _connection = connection;
        _backend = Backend.Of(connection);
        _lost = lost;
        _head = new NpgsqlBatch(connection)
        {
            BatchCommands =
            {
                // The row lock is shared, so lanes do not wait for each other, and held to the end, so a new session waits for this batch.
                new NpgsqlBatchCommand("SELECT session FROM server_state WHERE session = $1 FOR SHARE")
                {
                    Parameters = { new NpgsqlParameter<long> { TypedValue = session } },
                },
                // A room may be in the batch in several runs, and UPDATE FROM would pick any of them. Rooms belong to one lane: no deadlock.
                new NpgsqlBatchCommand("""
                    UPDATE rooms SET last_seq = greatest(rooms.last_seq, run.last_seq)
                    FROM (SELECT room_id, max(last_seq) AS last_seq FROM unnest($1, $2) AS run (room_id, last_seq) GROUP BY room_id) AS run
                    WHERE rooms.id = run.room_id
                    """)
                {
                    Parameters = { _roomIds, _lastSeqs },
                },
            },
        };
    }

    internal static PostgresMessageWriter Open(NpgsqlDataSource dataSource, long session, LostBackends lost)
    {
        NpgsqlConnection? connection = null;
        try
        {
            connection = dataSource.OpenConnection();
            // An acknowledgement promises more than synchronous_commit = off keeps, whatever the server's default is.
            using (var command = new NpgsqlCommand(
                $"SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'; {WatchPeer}", connection))
                command.ExecuteNonQuery();
            using (var command = new NpgsqlCommand($"SELECT pg_try_advisory_lock_shared({PostgresSchema.SessionLock})", connection))
            {
                // Taken while another server begins its session; the fence decides, next time, whether that was ours to lose.
                if (command.ExecuteScalar() is false)
                    throw new AppendException(AppendErrorKind.Transient, "Another server is taking the database over.");
            }
            lost.End(connection);
            var writer = new PostgresMessageWriter(connection, session, lost);
            writer._head.Prepare();
            return writer;
        }
        catch (AppendException)
        {
            connection!.Dispose();
            throw;
        }
        catch (Exception e) when (PostgresErrors.IsUnavailable(e, connection) || e is PostgresException)
        {
            connection?.Dispose();
            throw new AppendException(AppendErrorKind.Transient, PostgresErrors.Describe(e), e);
        }
    }

    public void Append(ReadOnlySpan<MessageRecord> batch, bool resend)
    {
        try
        {
            using var transaction = _connection.BeginTransaction();
            RaiseLastSeqs(batch);
            if (resend)
                InsertMissing(batch);
            else
                CopyIn(batch);
            transaction.Commit();
        }
        catch (AppendException)
        {
            throw;
        }
        catch (Exception e) when (PostgresErrors.IsUnavailable(e, _connection))
        {
            _lost.Add(_backend);
            throw new AppendException(AppendErrorKind.Transient, PostgresErrors.Describe(e), e);
        }
        catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.UniqueViolation)
        {
            // In a first attempt the resend will compare ids, and so tell an earlier success from a second server.
            throw new AppendException(
                resend ? AppendErrorKind.SequenceConflict : AppendErrorKind.Transient, PostgresErrors.Describe(e), e);
        }
        catch (PostgresException e) when (e.SqlState[..2] is "22" or "23")
        {
            throw NewBadRows(batch, e);
        }
        catch (PostgresException e)
        {
            // A missing table, a lost privilege: an operator's change, which an operator can take back.
            throw new AppendException(AppendErrorKind.Transient, PostgresErrors.Describe(e), e);
        }
        catch (EncoderFallbackException e)
        {
            // A nonce with a lone surrogate never gets as far as the server.
            throw NewBadRows(batch, e);
        }
    }

    private void RaiseLastSeqs(ReadOnlySpan<MessageRecord> batch)
    {
        var roomIds = new List<long>();
        var lastSeqs = new List<long>();
        for (var i = 0; i < batch.Length; i++)
        {
            if (i + 1 < batch.Length && batch[i + 1].RoomId == batch[i].RoomId)
                continue;
            roomIds.Add(batch[i].RoomId);
            lastSeqs.Add(batch[i].Seq);
        }
        _roomIds.TypedValue = [.. roomIds];
        _lastSeqs.TypedValue = [.. lastSeqs];
        using var reader = _head.ExecuteReader();
        if (!reader.Read())
            throw AppendException.SessionLost();
        reader.NextResult();
    }

    private void CopyIn(ReadOnlySpan<MessageRecord> batch)
    {
        // Disposed without Complete, the importer cancels the COPY.
        using var importer = _connection.BeginBinaryImport(Copy);
        foreach (var record in batch)
        {
            importer.StartRow();
            importer.Write(record.Id, NpgsqlDbType.Bigint);
            importer.Write(record.RoomId, NpgsqlDbType.Bigint);
            importer.Write(record.Seq, NpgsqlDbType.Bigint);
            importer.Write(record.Epoch, NpgsqlDbType.Integer);
            if (record.IsTombstone)
                importer.WriteNull();
            else
                importer.Write(record.SenderId, NpgsqlDbType.Bigint);
            if (record.Nonce is null)
                importer.WriteNull();
            else
                importer.Write(record.Nonce, NpgsqlDbType.Text);
            // The bytes as they are: a string in between would cost twice the memory, and hide invalid UTF-8.
            importer.Write(record.Content, NpgsqlDbType.Text);
            importer.Write(CreatedAt(record), NpgsqlDbType.TimestampTz);
        }
        importer.Complete();
    }

    /// <summary>
    /// After an unclear outcome. When the earlier attempt is still in flight on its lost connection, the insert waits for it at the unique index,
    /// and then sees what it did.
    /// </summary>
    private void InsertMissing(ReadOnlySpan<MessageRecord> batch)
    {
        using var insert = new NpgsqlCommand("""
            INSERT INTO messages (id, room_id, seq, epoch, sender_id, nonce, content, created_at)
            SELECT id, room_id, seq, epoch, sender_id, nonce, convert_from(content, 'UTF8'), created_at
            FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) AS sent (id, room_id, seq, epoch, sender_id, nonce, content, created_at)
            ON CONFLICT (room_id, seq) DO NOTHING
            """, _connection);
        AddColumn(insert, batch, NpgsqlDbType.Bigint, record => record.Id);
        AddColumn(insert, batch, NpgsqlDbType.Bigint, record => record.RoomId);
        AddColumn(insert, batch, NpgsqlDbType.Bigint, record => record.Seq);
        AddColumn(insert, batch, NpgsqlDbType.Integer, record => record.Epoch);
        AddColumn(insert, batch, NpgsqlDbType.Bigint, record => record.IsTombstone ? null : (long?)record.SenderId);
        AddColumn(insert, batch, NpgsqlDbType.Text, record => record.Nonce);
        AddColumn(insert, batch, NpgsqlDbType.Bytea, record => record.Content.ToArray());
        AddColumn(insert, batch, NpgsqlDbType.TimestampTz, CreatedAt);
        if (insert.ExecuteNonQuery() == batch.Length)
            return;

        using var compare = new NpgsqlCommand("""
            SELECT sent.room_id, sent.seq, sent.id, messages.id
            FROM unnest($1, $2, $3) AS sent (id, room_id, seq) JOIN messages USING (room_id, seq)
            WHERE messages.id <> sent.id LIMIT 1
            """, _connection);
        AddColumn(compare, batch, NpgsqlDbType.Bigint, record => record.Id);
        AddColumn(compare, batch, NpgsqlDbType.Bigint, record => record.RoomId);
        AddColumn(compare, batch, NpgsqlDbType.Bigint, record => record.Seq);
        using var reader = compare.ExecuteReader();
        if (reader.Read())
            throw new AppendException(AppendErrorKind.SequenceConflict,
                $"Room {reader.GetInt64(0)} seq {reader.GetInt64(1)} holds message {reader.GetInt64(3)}, not {reader.GetInt64(2)}.");
    }

    private static void AddColumn<T>(NpgsqlCommand command, ReadOnlySpan<MessageRecord> batch, NpgsqlDbType type, Func<MessageRecord, T> value)
    {
        var column = new T[batch.Length];
        for (var i = 0; i < batch.Length; i++)
            column[i] = value(batch[i]);
        command.Parameters.Add(new NpgsqlParameter<T[]> { NpgsqlDbType = NpgsqlDbType.Array | type, TypedValue = column });
    }

    private static DateTime CreatedAt(MessageRecord record) => DateTime.UnixEpoch.AddMilliseconds(record.CreatedAtUnixMs);

    /// <summary>The transaction is rolled back by now, so the connection takes queries, unless it broke meanwhile.</summary>
    private AppendException NewBadRows(ReadOnlySpan<MessageRecord> batch, Exception cause)
    {
        try
        {
            var badRows = BadRows.Find(batch, ids => Missing("users", ids), ids => Missing("rooms", ids));
            return new AppendException(AppendErrorKind.BadRows, PostgresErrors.Describe(cause), cause, badRows);
        }
        catch (Exception e) when (PostgresErrors.IsUnavailable(e, _connection) || e is PostgresException)
        {
            return new AppendException(AppendErrorKind.Transient, PostgresErrors.Describe(e), e);
        }
    }

    private List<long> Missing(string table, long[] ids)
    {
#pragma warning disable CA2100 // The table is one of two literals above.
        using var command = new NpgsqlCommand(
            $"SELECT id FROM unnest($1) AS id WHERE NOT EXISTS (SELECT FROM {table} WHERE {table}.id = id.id)", _connection);
#pragma warning restore CA2100
        command.Parameters.Add(new NpgsqlParameter<long[]> { TypedValue = ids });
        using var reader = command.ExecuteReader();
        var missing = new List<long>();
        while (reader.Read())
            missing.Add(reader.GetInt64(0));
        return missing;
    }

    public void Dispose()
    {
        _head.Dispose();
        _connection.Dispose();
    }
}
