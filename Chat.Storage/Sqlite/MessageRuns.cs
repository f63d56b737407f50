using Microsoft.Data.Sqlite;

namespace Chat.Storage.Sqlite;

/// <summary>
/// The table <c>message_runs</c>: where the messages of a room are, a row for a run of them. It may lack the newest messages,
/// which <see cref="IndexBacklog"/> knows.
/// </summary>
internal static class MessageRuns
{
    /// <summary>Of one run: its row stays below the kilobyte from which SQLite would give it a page of its own.</summary>
    internal const int MessagesMax = 100;

    private const string MessageColumns =
        "SELECT m.id, m.room_id, m.seq, m.epoch, m.sender_id, u.username, m.nonce, CAST(m.content AS BLOB), m.created_at ";

    /// <summary>Puts every message into the table that may not be there, in the transaction of the caller.</summary>
    internal static void AddAll(SqliteConnection connection) => connection.Execute($"""
        INSERT INTO message_runs (room_id, last_seq, first_seq, ids)
        SELECT room_id, max(seq), min(seq), json_group_array(id ORDER BY seq)
        FROM messages
        WHERE id >= (SELECT unindexed_from FROM server_state WHERE id = 1)
            AND seq > coalesce((SELECT max(last_seq) FROM message_runs WHERE room_id = messages.room_id), 0)
        GROUP BY room_id, (seq - 1) / {MessagesMax};
        UPDATE server_state SET unindexed_from = (SELECT coalesce(max(id), 0) + 1 FROM messages) WHERE id = 1;
        """);

    /// <returns>Of the last message that is in the table; 0 for a room without.</returns>
    internal static long LastSeq(SqliteConnection connection, long roomId) =>
        connection.Scalar("SELECT max(last_seq) FROM message_runs WHERE room_id = @1", roomId) ?? 0;

    internal static List<MessageRecord> Read(SqliteConnection connection, long roomId, SeqRange range) => range.IsEmpty ? [] : connection.All(
        ReadMessage,
        $"""
        {MessageColumns}
        FROM message_runs r CROSS JOIN json_each(r.ids) e CROSS JOIN messages m ON m.id = e.value LEFT JOIN users u ON u.id = m.sender_id
        WHERE r.room_id = @1 AND r.last_seq >= @2 AND r.last_seq < @3 + {MessagesMax} AND r.first_seq + e.key BETWEEN @2 AND @3
        ORDER BY r.last_seq, e.key
        """,
        roomId, range.First, range.Last);

    /// <summary>Messages in the order of their ids here, wherever they are.</summary>
    internal static List<MessageRecord> Read(SqliteConnection connection, long[] ids) => ids.Length == 0 ? [] : connection.All(
        ReadMessage,
        $"""
        {MessageColumns}
        FROM json_each(@1) e CROSS JOIN messages m ON m.id = e.value LEFT JOIN users u ON u.id = m.sender_id
        ORDER BY e.key
        """,
        SqliteCommands.JsonArray(ids));

    private static MessageRecord ReadMessage(SqliteDataReader reader) => new()
    {
        Id = reader.GetInt64(0),
        RoomId = reader.GetInt64(1),
        Seq = reader.GetInt64(2),
        Epoch = reader.GetInt32(3),
        SenderId = reader.IsDBNull(4) ? 0 : reader.GetInt64(4),
        SenderName = reader.IsDBNull(5) ? "" : reader.GetString(5),
        Nonce = reader.IsDBNull(6) ? null : reader.GetString(6),
        Content = reader.GetFieldValue<byte[]>(7),
        CreatedAtUnixMs = reader.GetInt64(8),
    };
}
