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
    private readonly IndexBacklog _backlog;
    private readonly SqliteConnection _connection;
    private readonly long _session;
    private readonly Statements _statements;
    private byte[] _utf8 = new byte[4096];
    private long[] _ids = [];
    private int[] _places = [];

    private SqliteMessageWriter(SqliteConnections connections, IndexBacklog backlog, SqliteConnection connection, long session)
    {
        _connections = connections;
        _backlog = backlog;
        _connection = connection;
        _session = session;
        _statements = new Statements(connection.Handle!);
    }

    internal static SqliteMessageWriter Open(SqliteConnections connections, IndexBacklog backlog, long session)
    {
        SqliteConnection? connection = null;
        try
        {
            connection = connections.Open();
            return new SqliteMessageWriter(connections, backlog, connection, session);
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
            if (SqliteErrors.IsRefusal(e))
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
            throw AppendException.SessionLost();
        foreach (var i in ById(batch))
        {
            if (!resend || !IsStored(batch[i]))
                Insert(batch[i]);
        }
        var runStart = 0;
        for (var i = 0; i < batch.Length; i++)
        {
            if (i + 1 == batch.Length || batch[i + 1].RoomId != batch[i].RoomId)
            {
                RaiseLastSeq(batch[runStart], batch[i], resend);
                runStart = i + 1;
            }
        }
        if (resend)
        {
            // Nobody knows what an attempt with an unclear outcome has left to be indexed.
            MessageRuns.AddAll(_connection);
            _statements.Commit.Run();
            _backlog.Clear();
            return;
        }
        var due = _backlog.Due();
        Index(due, batch);
        _statements.Commit.Run();
        _backlog.Committed(due, batch);
    }

    /// <summary>
    /// The places of a batch's rows, by id. A batch goes by room, and so back and forth between the last pages of the table: appending to its end costs
    /// SQLite a sixth less.
    /// </summary>
    private ReadOnlySpan<int> ById(ReadOnlySpan<MessageRecord> batch)
    {
        if (_ids.Length < batch.Length)
        {
            _ids = new long[batch.Length];
            _places = new int[batch.Length];
        }
        for (var i = 0; i < batch.Length; i++)
        {
            _ids[i] = batch[i].Id;
            _places[i] = i;
        }
        var places = _places.AsSpan(0, batch.Length);
        _ids.AsSpan(0, batch.Length).Sort(places);
        return places;
    }

    /// <summary>That no other server numbers the room is seen by its last seq: it must be the one before the first of this run.</summary>
    private void RaiseLastSeq(MessageRecord first, MessageRecord last, bool resend)
    {
        if (resend)
        {
            // Some rows may have been there; IsStored has looked at each.
            _statements.RaiseLastSeqAgain.Bind(1, last.Seq).Bind(2, last.RoomId).Bind(3, first.Seq - 1).Run();
            if (raw.sqlite3_changes(_connection.Handle) != 1)
                throw new AppendException(AppendErrorKind.SequenceConflict, $"Room {first.RoomId} does not reach seq {first.Seq}: messages before it are gone.");
            return;
        }
        _statements.RaiseLastSeq.Bind(1, last.Seq).Bind(2, last.RoomId).Bind(3, first.Seq - 1).Run();
        if (raw.sqlite3_changes(_connection.Handle) != 1)
            throw new AppendException(AppendErrorKind.Transient, $"Room {first.RoomId} does not end before seq {first.Seq}.");
    }

    /// <summary>Puts what waited in these rooms into the index, and moves the mark from which a session that begins would look.</summary>
    private void Index(List<IndexBacklog.Room> rooms, ReadOnlySpan<MessageRecord> batch)
    {
        foreach (var room in rooms)
        {
            for (var start = 0; start < room.MessageIds.Count; start += MessageRuns.MessagesMax)
            {
                var ids = room.MessageIds.Skip(start).Take(MessageRuns.MessagesMax);
                var firstSeq = room.FirstSeq + start;
                var lastSeq = Math.Min(firstSeq + MessageRuns.MessagesMax - 1, room.LastSeq);
                _statements.Index.Bind(1, room.Id).Bind(2, lastSeq).Bind(3, firstSeq).BindText(4, ToUtf8(SqliteCommands.JsonArray(ids))).Run();
            }
        }
        var current = _statements.UnindexedFrom.Read()!.Value;
        var from = _backlog.NextUnindexedFrom(current, rooms, batch);
        if (from != current)
            _statements.SetUnindexedFrom.Bind(1, from).Run();
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

    /// <summary>Until the next call.</summary>
    private ReadOnlySpan<byte> ToUtf8(string text)
    {
        var bytesMax = Encoding.UTF8.GetMaxByteCount(text.Length);
        if (_utf8.Length < bytesMax)
            _utf8 = new byte[bytesMax];
        return _utf8.AsSpan(0, Encoding.UTF8.GetBytes(text, _utf8));
    }

    /// <summary>Nobody can add the row between this look and the insert: the transaction holds the write lock.</summary>
    private bool IsStored(MessageRecord record)
    {
        var isSame = _statements.IsAt.Bind(1, record.RoomId).Bind(2, record.Seq).Bind(3, record.Id).Read();
        if (isSame == 0 || (isSame is null && _statements.LastSeq.Bind(1, record.RoomId).Read() >= record.Seq))
            throw new AppendException(AppendErrorKind.SequenceConflict,
                $"Room {record.RoomId} seq {record.Seq}, or id {record.Id}, is another message's.");
        return isSame is not null;
    }

    private void Rollback()
    {
        // Some errors (disk full, I/O) have rolled back already. A failing rollback leaves it to closing the connection.
        if (raw.sqlite3_get_autocommit(_connection.Handle) == 0)
            raw.sqlite3_exec(_connection.Handle, "ROLLBACK");
    }

    private static AppendException ToAppendException(SqliteException e, bool resend)
    {
        // A taken (room_id, seq) or id: the resend compares ids and so tells an earlier success from a second server.
        var kind = SqliteErrors.IsUnique(e) && resend ? AppendErrorKind.SequenceConflict : AppendErrorKind.Transient;
        return new AppendException(kind, $"SQLite: {e.Message}", e);
    }

    private AppendException NewBadRows(ReadOnlySpan<MessageRecord> batch, SqliteException? cause)
    {
        try
        {
            var badRows = BadRows.Find(batch, ids => Missing("users", ids), ids => Missing("rooms", ids));
            return new AppendException(AppendErrorKind.BadRows, cause is null ? "A row is not text." : $"SQLite: {cause.Message}", cause, badRows);
        }
        catch (SqliteException e)
        {
            return ToAppendException(e, resend: false);
        }
    }

    private List<long> Missing(string table, long[] ids) => _connection.All(
        reader => reader.GetInt64(0),
        $"SELECT value FROM json_each(@1) WHERE value NOT IN (SELECT id FROM {table})",
        SqliteCommands.JsonArray(ids));

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
        internal Statement IsAt { get; } = new(db, "SELECT room_id = ? AND seq = ? FROM messages WHERE id = ?");
        internal Statement LastSeq { get; } = new(db, "SELECT last_seq FROM rooms WHERE id = ?");
        internal Statement RaiseLastSeq { get; } = new(db, "UPDATE rooms SET last_seq = ? WHERE id = ? AND last_seq = ?");
        internal Statement RaiseLastSeqAgain { get; } = new(db, "UPDATE rooms SET last_seq = max(last_seq, ?) WHERE id = ? AND last_seq >= ?");
        internal Statement Index { get; } = new(db, "INSERT INTO message_runs (room_id, last_seq, first_seq, ids) VALUES (?,?,?,?)");
        internal Statement UnindexedFrom { get; } = new(db, "SELECT unindexed_from FROM server_state WHERE id = 1");
        internal Statement SetUnindexedFrom { get; } = new(db, "UPDATE server_state SET unindexed_from = ? WHERE id = 1");

        public void Dispose()
        {
            Begin.Dispose();
            Commit.Dispose();
            Session.Dispose();
            Insert.Dispose();
            IsAt.Dispose();
            LastSeq.Dispose();
            RaiseLastSeq.Dispose();
            RaiseLastSeqAgain.Dispose();
            Index.Dispose();
            UnindexedFrom.Dispose();
            SetUnindexedFrom.Dispose();
        }
    }
}
