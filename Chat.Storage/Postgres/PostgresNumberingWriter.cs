using System.Runtime.InteropServices;
using Npgsql;
using NpgsqlTypes;

namespace Chat.Storage.Postgres;

/// <summary>
/// The writer of one of several servers: the rooms' rows are locked, in the order of their ids, and their last_seq gives the messages their seqs. So
/// a room has one order whoever writes to it. Five round trips a batch: BEGIN with the fence and the locks, last_seq, COPY, its end, COMMIT.
/// <para>
/// What other servers stored since a message was accepted (<see cref="MessageRecord.KnownSeq"/>) may be that message, sent to them before and sent again here.
/// When there is something, a sixth round trip looks for its nonce; and for its id, which finds what an attempt with an unclear outcome has stored.
/// </para>
/// </summary>
internal sealed class PostgresNumberingWriter : PostgresWriter
{
    /// <summary>
    /// How long PostgreSQL waits for the next statement of a transaction, in seconds. Its locks keep the other servers from the batch's rooms, and ours may
    /// be frozen, or cut off.
    /// </summary>
    private const int IdleInTransactionMaxSeconds = 5;

    /// <summary>Beyond it all are forgotten, which costs a round trip a room.</summary>
    private const int TailsMax = 100_000;

    private readonly NpgsqlBatch _head;
    private readonly NpgsqlParameter<long[]> _roomIds = NewIds();
    private readonly NpgsqlCommand _raise;
    private readonly NpgsqlParameter<long[]> _raisedIds = NewIds();
    private readonly NpgsqlParameter<long[]> _raisedSeqs = NewIds();
    private readonly Dictionary<long, Tail> _tails = [];
    private readonly Dictionary<long, Tail> _tailsNow = [];
    private readonly List<MessageRecord> _numbered = [];

    /// <summary>Where a room ends, and from which seq on all messages are this writer's own, whose nonces its server knows.</summary>
    private record struct Tail(long OwnAfter, long LastSeq);

    /// <summary>
    /// What is looked for in a batch's rooms stands at their ends, which the planner cannot know: it takes a third of each room for likely, and reads a large table
    /// as a whole, with the rooms locked.
    /// </summary>
    private const string NoScans = "SET enable_seqscan = off";

    internal PostgresNumberingWriter(NpgsqlConnection connection, long session, LostBackends lost)
        : base(connection, lost)
    {
        // A COPY whose rows do not come counts as a statement. Its time is the one that we give it ourselves.
        using (var command = new NpgsqlCommand(
            $"SET idle_in_transaction_session_timeout = '{IdleInTransactionMaxSeconds}s'; SET statement_timeout = '{connection.CommandTimeout}s'; {NoScans}", connection))
            command.ExecuteNonQuery();
        _head = new NpgsqlBatch(connection)
        {
            BatchCommands =
            {
                new NpgsqlBatchCommand(Fence) { Parameters = { new NpgsqlParameter<long> { TypedValue = session } } },
                // As an UPDATE of last_seq would lock them, but all at once and in one order, so that no two servers wait for each other.
                new NpgsqlBatchCommand("SELECT id, last_seq FROM rooms WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE") { Parameters = { _roomIds } },
            },
        };
        _head.Prepare();
        _raise = new NpgsqlCommand(
            "UPDATE rooms SET last_seq = raised.last_seq FROM unnest($1, $2) AS raised (id, last_seq) WHERE rooms.id = raised.id", connection)
        {
            Parameters = { _raisedIds, _raisedSeqs },
        };
        _raise.Prepare();
    }

    public override ReadOnlySpan<MessageRecord> Numbered => CollectionsMarshal.AsSpan(_numbered);

    protected override void AppendRows(ReadOnlySpan<MessageRecord> batch, bool resend)
    {
        _numbered.Clear();
        LockRooms(batch);
        var stored = FindStored(batch);
        var rows = new List<MessageRecord>(batch.Length);
        foreach (var record in batch)
        {
            if (record.IsTombstone)
            {
                _numbered.Add(record); // A row that the database refuses needs no place here: it never had one.
                continue;
            }
            if (Find(stored, record) is { } found)
            {
                _numbered.Add(found.Id == record.Id ? record.At(found.Seq) : found.AsDuplicateOf(record));
                continue;
            }
            ref var tail = ref CollectionsMarshal.GetValueRefOrNullRef(_tailsNow, record.RoomId);
            tail.LastSeq++;
            var row = record.At(tail.LastSeq);
            _numbered.Add(row);
            rows.Add(row);
        }
        if (rows.Count == 0)
            return;
        RaiseLastSeqs(rows);
        CopyIn(CollectionsMarshal.AsSpan(rows));
    }

    protected override void Committed()
    {
        if (_tails.Count > TailsMax)
            _tails.Clear();
        foreach (var (roomId, tail) in _tailsNow)
            _tails[roomId] = tail;
    }

    /// <summary>Makes <see cref="_tailsNow"/>: the batch's rooms as they are until we commit.</summary>
    private void LockRooms(ReadOnlySpan<MessageRecord> batch)
    {
        _tailsNow.Clear();
        var roomIds = new HashSet<long>();
        foreach (var record in batch)
            roomIds.Add(record.RoomId);
        _roomIds.TypedValue = [.. roomIds];
        using (var reader = _head.ExecuteReader())
        {
            if (!reader.Read())
                throw AppendException.SessionLost();
            reader.NextResult();
            while (reader.Read())
            {
                long roomId = reader.GetInt64(0), lastSeq = reader.GetInt64(1);
                var isOwn = _tails.TryGetValue(roomId, out var tail) && tail.LastSeq == lastSeq;
                _tailsNow.Add(roomId, isOwn ? tail : new Tail(lastSeq, lastSeq));
            }
        }
        if (_tailsNow.Count < roomIds.Count)
        {
            var badRows = new List<BadRow>();
            for (var i = 0; i < batch.Length; i++)
            {
                if (!_tailsNow.ContainsKey(batch[i].RoomId))
                    badRows.Add(new BadRow(i, AppendFailure.UnknownRoom));
            }
            throw new AppendException(AppendErrorKind.BadRows, "PostgreSQL: a room is missing.", null, badRows);
        }
    }

    /// <summary>Of the messages that the batch's senders' server had not seen, those with a nonce or an id of the batch.</summary>
    private List<MessageRecord> FindStored(ReadOnlySpan<MessageRecord> batch)
    {
        var known = new Dictionary<long, long>();
        var ids = new List<long>();
        var nonces = new HashSet<string>();
        foreach (var record in batch)
        {
            if (record.KnownSeq >= _tailsNow[record.RoomId].OwnAfter || record.IsTombstone)
                continue;
            known[record.RoomId] = Math.Min(record.KnownSeq, known.GetValueOrDefault(record.RoomId, long.MaxValue));
            ids.Add(record.Id);
            if (record.Nonce is not null)
                nonces.Add(record.Nonce);
        }
        var stored = new List<MessageRecord>();
        if (known.Count == 0)
            return stored;
        using var command = new NpgsqlCommand($"""
            {PostgresStore.MessageColumns}
            FROM unnest($1, $2) AS known (room_id, seq) JOIN messages m ON m.room_id = known.room_id AND m.seq > known.seq
            LEFT JOIN users u ON u.id = m.sender_id
            WHERE m.id = ANY($3) OR m.nonce = ANY($4)
            """, Connection)
        {
            Parameters =
            {
                new NpgsqlParameter<long[]> { TypedValue = [.. known.Keys] },
                new NpgsqlParameter<long[]> { TypedValue = [.. known.Values] },
                new NpgsqlParameter<long[]> { TypedValue = [.. ids] },
                new NpgsqlParameter<string[]> { TypedValue = [.. nonces] },
            },
        };
        using var reader = command.ExecuteReader();
        while (reader.Read())
            stored.Add(PostgresStore.ReadMessage(reader));
        return stored;
    }

    private static MessageRecord? Find(List<MessageRecord> stored, MessageRecord record)
    {
        MessageRecord? found = null;
        foreach (var row in stored)
        {
            if (row.Id == record.Id)
            {
                return row.RoomId == record.RoomId && (row.SenderId == record.SenderId || row.SenderId == 0) && row.Nonce == record.Nonce
                    ? row
                    : throw new AppendException(AppendErrorKind.SequenceConflict, $"Message id {record.Id} is another message's.");
            }
            if (record.Nonce is not null && row.RoomId == record.RoomId && row.SenderId == record.SenderId && row.Nonce == record.Nonce
                && row.Seq > record.KnownSeq)
                found = row;
        }
        return found;
    }

    private void RaiseLastSeqs(List<MessageRecord> rows)
    {
        var raised = rows.Select(static row => row.RoomId).Distinct().ToArray();
        _raisedIds.TypedValue = raised;
        _raisedSeqs.TypedValue = Array.ConvertAll(raised, roomId => _tailsNow[roomId].LastSeq);
        _raise.ExecuteNonQuery();
    }

    private static NpgsqlParameter<long[]> NewIds() => new() { NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Bigint };

    public override void Dispose()
    {
        _head.Dispose();
        _raise.Dispose();
        base.Dispose();
    }
}
