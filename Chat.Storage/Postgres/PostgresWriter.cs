using System.Text;
using Npgsql;
using NpgsqlTypes;

namespace Chat.Storage.Postgres;

/// <summary>What both ways of appending to PostgreSQL share: a connection of their own, one transaction a batch, and what its errors mean.</summary>
internal abstract class PostgresWriter : IMessageWriter
{
    private const string Copy =
        "COPY messages (id, room_id, seq, epoch, sender_id, nonce, content, created_at) FROM STDIN (FORMAT BINARY)";

    /// <summary>
    /// Makes PostgreSQL notice within some 20 s that this computer is gone, and let go of our locks, also the one that keeps a second server out; by its own default
    /// that takes two hours.
    /// </summary>
    internal const string WatchPeer = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 3; SET tcp_keepalives_count = 3";

    /// <summary>An acknowledgement, and an epoch, promise more than synchronous_commit = off keeps, whatever the server's default is.</summary>
    internal const string KeepCommits =
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

    /// <summary>
    /// First in each transaction. The row lock is shared, so lanes and servers do not wait for each other, and held to the end, so a new session waits for this batch.
    /// </summary>
    protected const string Fence = "SELECT session FROM server_state WHERE session = $1 FOR SHARE";

    private readonly Backend _backend;
    private readonly LostBackends _lost;

    private protected PostgresWriter(NpgsqlConnection connection, LostBackends lost)
    {
        Connection = connection;
        _backend = Backend.Of(connection);
        _lost = lost;
    }

    protected NpgsqlConnection Connection { get; }

    /// <param name="dataSource">Without a pool.</param>
    /// <param name="lost">What earlier writers left behind, which is ended first.</param>
    /// <param name="make">Makes the writer, which then owns the connection.</param>
    internal static PostgresWriter Open(NpgsqlDataSource dataSource, LostBackends lost, Func<NpgsqlConnection, PostgresWriter> make)
    {
        NpgsqlConnection? connection = null;
        try
        {
            connection = dataSource.OpenConnection();
            using (var command = new NpgsqlCommand($"{KeepCommits}; {WatchPeer}", connection))
                command.ExecuteNonQuery();
            using (var command = new NpgsqlCommand($"SELECT pg_try_advisory_lock_shared({PostgresSchema.SessionLock})", connection))
            {
                // Taken while another server begins its session; the fence decides, next time, whether that was ours to lose.
                if (command.ExecuteScalar() is false)
                    throw new AppendException(AppendErrorKind.Transient, "Another server is taking the database over.");
            }
            lost.End(connection);
            return make(connection);
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

    public virtual ReadOnlySpan<MessageRecord> Numbered => default;

    public void Append(ReadOnlySpan<MessageRecord> batch, bool resend)
    {
        try
        {
            using var transaction = Connection.BeginTransaction();
            AppendRows(batch, resend);
            transaction.Commit();
            Committed();
        }
        catch (AppendException)
        {
            throw;
        }
        catch (Exception e) when (PostgresErrors.IsUnavailable(e, Connection))
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

    /// <summary>Within a transaction, which begins with the <see cref="Fence"/>.</summary>
    protected abstract void AppendRows(ReadOnlySpan<MessageRecord> batch, bool resend);

    /// <summary>The transaction has committed.</summary>
    protected virtual void Committed()
    {
    }

    protected void CopyIn(ReadOnlySpan<MessageRecord> batch)
    {
        // Disposed without Complete, the importer cancels the COPY.
        using var importer = Connection.BeginBinaryImport(Copy);
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

    protected static void AddColumn<T>(NpgsqlCommand command, ReadOnlySpan<MessageRecord> batch, NpgsqlDbType type, Func<MessageRecord, T> value)
    {
        var column = new T[batch.Length];
        for (var i = 0; i < batch.Length; i++)
            column[i] = value(batch[i]);
        command.Parameters.Add(new NpgsqlParameter<T[]> { NpgsqlDbType = NpgsqlDbType.Array | type, TypedValue = column });
    }

    protected static DateTime CreatedAt(MessageRecord record) => DateTime.UnixEpoch.AddMilliseconds(record.CreatedAtUnixMs);

    /// <summary>The transaction is rolled back by now, so the connection takes queries, unless it broke meanwhile.</summary>
    private AppendException NewBadRows(ReadOnlySpan<MessageRecord> batch, Exception cause)
    {
        try
        {
            var badRows = BadRows.Find(batch, ids => Missing("users", ids), ids => Missing("rooms", ids));
            return new AppendException(AppendErrorKind.BadRows, PostgresErrors.Describe(cause), cause, badRows);
        }
        catch (Exception e) when (PostgresErrors.IsUnavailable(e, Connection) || e is PostgresException)
        {
            return new AppendException(AppendErrorKind.Transient, PostgresErrors.Describe(e), e);
        }
    }

    private List<long> Missing(string table, long[] ids)
    {
#pragma warning disable CA2100 // The table is one of two literals above.
        using var command = new NpgsqlCommand(
            $"SELECT id FROM unnest($1) AS id WHERE NOT EXISTS (SELECT FROM {table} WHERE {table}.id = id.id)", Connection);
#pragma warning restore CA2100
        command.Parameters.Add(new NpgsqlParameter<long[]> { TypedValue = ids });
        using var reader = command.ExecuteReader();
        var missing = new List<long>();
        while (reader.Read())
            missing.Add(reader.GetInt64(0));
        return missing;
    }

    public virtual void Dispose() => Connection.Dispose();
}
