using Npgsql;
using NpgsqlTypes;

namespace Chat.Storage.Postgres;

/// <summary>
/// The writer of the only server of a database, which numbers its rooms. Appends batches by one binary COPY each. Four round trips a batch: BEGIN with
/// the fence and last_seq, COPY, its end, COMMIT.
/// </summary>
internal sealed class PostgresMessageWriter : PostgresWriter
{
    private readonly NpgsqlBatch _head;
    private readonly NpgsqlParameter<long[]> _roomIds = new() { NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Bigint };
    private readonly NpgsqlParameter<long[]> _firstSeqs = new() { NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Bigint };
    private readonly NpgsqlParameter<long[]> _lastSeqs = new() { NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Bigint };

    internal PostgresMessageWriter(NpgsqlConnection connection, long session, LostBackends lost)
        : base(connection, lost)
    {
        _head = new NpgsqlBatch(connection)
        {
            BatchCommands =
            {
                new NpgsqlBatchCommand(Fence)
                {
                    Parameters = { new NpgsqlParameter<long> { TypedValue = session } },
                },
                // A room may be in the batch in several runs, and UPDATE FROM would pick any of them. Rooms belong to one lane: no deadlock.
                new NpgsqlBatchCommand("""
                    UPDATE rooms SET last_seq = greatest(rooms.last_seq, run.last_seq)
                    FROM (SELECT room_id, min(first_seq) AS first_seq, max(last_seq) AS last_seq
                          FROM unnest($1, $2, $3) AS run (room_id, first_seq, last_seq) GROUP BY room_id) AS run
                    WHERE rooms.id = run.room_id AND rooms.last_seq >= run.first_seq - 1
                    """)
                {
                    Parameters = { _roomIds, _firstSeqs, _lastSeqs },
                },
            },
        };
        _head.Prepare();
    }

    protected override void AppendRows(ReadOnlySpan<MessageRecord> batch, bool resend)
    {
        RaiseLastSeqs(batch, resend);
        if (resend)
            InsertMissing(batch);
        else
            CopyIn(batch);
    }

    /// <summary>A room must reach to before the first of its rows; also when a part of them is there, after an attempt with an unclear outcome.</summary>
    private void RaiseLastSeqs(ReadOnlySpan<MessageRecord> batch, bool resend)
    {
        var roomIds = new List<long>();
        var firstSeqs = new List<long>();
        var lastSeqs = new List<long>();
        for (var i = 0; i < batch.Length; i++)
        {
            if (i == 0 || batch[i - 1].RoomId != batch[i].RoomId)
            {
                roomIds.Add(batch[i].RoomId);
                firstSeqs.Add(batch[i].Seq);
                lastSeqs.Add(0);
            }
            lastSeqs[^1] = batch[i].Seq;
        }
        _roomIds.TypedValue = [.. roomIds];
        _firstSeqs.TypedValue = [.. firstSeqs];
        _lastSeqs.TypedValue = [.. lastSeqs];
        using (var reader = _head.ExecuteReader())
        {
            if (!reader.Read())
                throw AppendException.SessionLost();
            reader.NextResult();
        }
        if (_head.BatchCommands[1].RecordsAffected < roomIds.Distinct().Count())
            RequireReached(resend);
    }

    /// <summary>Rooms that are missing are the rows' own trouble.</summary>
    private void RequireReached(bool resend)
    {
        using var command = new NpgsqlCommand("""
            SELECT rooms.id, rooms.last_seq FROM rooms JOIN unnest($1, $2) AS run (room_id, first_seq) ON rooms.id = run.room_id
            GROUP BY rooms.id HAVING rooms.last_seq < min(run.first_seq) - 1 LIMIT 1
            """, Connection)
        {
            Parameters =
            {
                new NpgsqlParameter<long[]> { TypedValue = _roomIds.TypedValue! },
                new NpgsqlParameter<long[]> { TypedValue = _firstSeqs.TypedValue! },
            },
        };
        using var reader = command.ExecuteReader();
        if (reader.Read())
            throw new AppendException(
                resend ? AppendErrorKind.SequenceConflict : AppendErrorKind.Transient,
                $"Room {reader.GetInt64(0)} ends at seq {reader.GetInt64(1)}: messages behind it that were durable are gone.");
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
            """, Connection);
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
            """, Connection);
        AddColumn(compare, batch, NpgsqlDbType.Bigint, record => record.Id);
        AddColumn(compare, batch, NpgsqlDbType.Bigint, record => record.RoomId);
        AddColumn(compare, batch, NpgsqlDbType.Bigint, record => record.Seq);
        using var reader = compare.ExecuteReader();
        if (reader.Read())
            throw new AppendException(AppendErrorKind.SequenceConflict,
                $"Room {reader.GetInt64(0)} seq {reader.GetInt64(1)} holds message {reader.GetInt64(3)}, not {reader.GetInt64(2)}.");
    }

    public override void Dispose()
    {
        _head.Dispose();
        base.Dispose();
    }
}
