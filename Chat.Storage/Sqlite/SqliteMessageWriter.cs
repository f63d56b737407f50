using System.Text;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace Chat.Storage.Sqlite;

/// <summary>
/// Appends batches by one prepared INSERT, through SQLite's C API: it takes the content's UTF-8 bytes as they are.
/// </summary>
internal sealed class SqliteMessageWriter : IMessageWriter
{
    private readonly SqliteConnections _connections;
    private readonly SqliteConnection _connection;
    private readonly long _session;
    private readonly Statements _statements;
    private byte[] _nonceBytes = new byte[256];

    private SqliteMessageWriter(SqliteConnections connections, SqliteConnection connection, long session)
    {
        _connections = connections;
        _connection = connection;
        _session = session;
        _statements = new Statements(connection.Handle!);
    }

    internal static SqliteMessageWriter Open(SqliteConnections connections, long session)
    {
        SqliteConnection? connection = null;
        try
        {
            connection = connections.Open();
            return new SqliteMessageWriter(connections, connection, session);
        }
        catch (SqliteException e)
        {
            connection?.Dispose();
            throw ToAppendException(e, resend: false);
        }
    }

    public void Append(ReadOnlySpan<MessageRecord> batch, bool resend)
    {
        foreach (var record in batch)
        {
            // STRICT tables check types, not encodings; PostgreSQL does, and both stores keep the same promise.
            if (!BadRows.IsStorable(record))
                throw NewBadRows(batch, null);
        }
        _connections.WriteGate.Wait();
        try
        {
            AppendInTransaction(batch, resend);
        }
        catch (SqliteException e)
        {
            Rollback();
            if (SqliteErrors.IsForeignKey(e))
                throw NewBadRows(batch, e);
            throw ToAppendException(e, resend);
        }
        catch (AppendException)
        {
            Rollback();
            throw;
        }
        finally
        {
            _connections.WriteGate.Release();
        }
    }

    private void AppendInTransaction(ReadOnlySpan<MessageRecord> batch, bool resend)
    {
        _statements.Begin.Run();
        if (_statements.Session.Read() != _session)
            throw new AppendException(AppendErrorKind.SessionLost, "Another server took the database over.");
        for (var i = 0; i < batch.Length; i++)
        {
            if (!resend || !IsStored(batch[i]))
                Insert(batch[i]);
            if (i + 1 == batch.Length || batch[i + 1].RoomId != batch[i].RoomId)
            {
                _statements.RaiseLastSeq.Bind(1, batch[i].Seq).Bind(2, batch[i].RoomId);
                _statements.RaiseLastSeq.Run();
            }
        }
        _statements.Commit.Run();
    }

    private void Insert(MessageRecord record)
    {
        var insert = _statements.Insert;
        insert.Bind(1, record.Id).Bind(2, record.RoomId).Bind(3, record.Seq).Bind(4, record.Epoch);
        if (record.IsTombstone)
            insert.BindNull(5);
        else
            insert.Bind(5, record.SenderId);
        if (record.Nonce is null)
            insert.BindNull(6);
        else
            insert.BindText(6, ToUtf8(record.Nonce));
        insert.BindText(7, record.Content.Span).Bind(8, record.CreatedAtUnixMs);
        insert.Run();
    }

    private ReadOnlySpan<byte> ToUtf8(string nonce)
    {
        var bytesMax = Encoding.UTF8.GetMaxByteCount(nonce.Length);
        if (_nonceBytes.Length < bytesMax)
            _nonceBytes = new byte[bytesMax];
        return _nonceBytes.AsSpan(0, Encoding.UTF8.GetBytes(nonce, _nonceBytes));
    }

    /// <summary>Nobody can add the row between this look and the insert: the transaction holds the write lock.</summary>
    private bool IsStored(MessageRecord record)
    {
        var id = _statements.IdAt.Bind(1, record.RoomId).Bind(2, record.Seq).Read();
        if (id is not null && id != record.Id)
            throw new AppendException(AppendErrorKind.SequenceConflict,
                $"Room {record.RoomId} seq {record.Seq} holds message {id}, not {record.Id}.");
        return id is not null;
    }

    private void Rollback()
    {
        // Some errors (disk full, I/O) have rolled back already. A failing rollback leaves it to closing the connection.
        if (raw.sqlite3_get_autocommit(_connection.Handle) == 0)
            raw.sqlite3_exec(_connection.Handle, "ROLLBACK");
    }

    private static AppendException ToAppendException(SqliteException e, bool resend)
    {
        var kind = AppendErrorKind.Transient;
        // A taken (room_id, seq) or id: the resend compares ids and so tells an earlier success from a second server.
        if (SqliteErrors.IsUnique(e))
            kind = resend ? AppendErrorKind.SequenceConflict : AppendErrorKind.Transient;
        else if (e.SqliteErrorCode is raw.SQLITE_CONSTRAINT or raw.SQLITE_MISMATCH or raw.SQLITE_TOOBIG)
            kind = AppendErrorKind.BadRows;
        return new AppendException(kind, $"SQLite: {e.Message}", e);
    }

    private AppendException NewBadRows(ReadOnlySpan<MessageRecord> batch, SqliteException? cause)
    {
        try
        {
            var badRows = BadRows.Find(batch, ids => Missing("users", ids), ids => Missing("rooms", ids));
            return new AppendException(AppendErrorKind.BadRows, $"{badRows.Count} rows cannot be stored.", cause, badRows);
        }
        catch (SqliteException e)
        {
            return ToAppendException(e, resend: false);
        }
    }

    private List<long> Missing(string table, long[] ids) => _connection.All(
        reader => reader.GetInt64(0),
        $"SELECT value FROM json_each(@1) WHERE value NOT IN (SELECT id FROM {table})",
        $"[{string.Join(',', ids)}]");

    public void Dispose()
    {
        _statements.Dispose();
        _connection.Dispose();
    }

    /// <summary>Everything the writer runs, prepared once.</summary>
    private sealed class Statements(sqlite3 db) : IDisposable
    {
        internal Statement Begin { get; } = new(db, "BEGIN IMMEDIATE");
        internal Statement Commit { get; } = new(db, "COMMIT");
        internal Statement Session { get; } = new(db, "SELECT session FROM server_state WHERE id = 1");
        internal Statement Insert { get; } = new(db,
            "INSERT INTO messages (id, room_id, seq, epoch, sender_id, nonce, content, created_at) VALUES (?,?,?,?,?,?,?,?)");
        internal Statement IdAt { get; } = new(db, "SELECT id FROM messages WHERE room_id = ? AND seq = ?");
        internal Statement RaiseLastSeq { get; } = new(db, "UPDATE rooms SET last_seq = max(last_seq, ?) WHERE id = ?");

        public void Dispose()
        {
            Begin.Dispose();
            Commit.Dispose();
            Session.Dispose();
            Insert.Dispose();
            IdAt.Dispose();
            RaiseLastSeq.Dispose();
        }
    }
}
