using System.Text.Unicode;

namespace Chat.Storage;

/// <summary>
/// Finds the rows that made a batch fail, after the fact. Both stores use it, so that they refuse the same rows; on the
/// good path nothing here runs except <see cref="IsStorable"/>, which SQLite (it would store any bytes) asks beforehand.
/// </summary>
internal static class BadRows
{
    /// <summary>Asks which of some distinct ids are not in the database.</summary>
    internal delegate IReadOnlyCollection<long> FindMissing(long[] ids);

    internal static List<BadRow> Find(ReadOnlySpan<MessageRecord> batch, FindMissing missingUsers, FindMissing missingRooms)
    {
        var userIds = new HashSet<long>();
        var roomIds = new HashSet<long>();
        foreach (var record in batch)
        {
            roomIds.Add(record.RoomId);
            if (!record.IsTombstone)
                userIds.Add(record.SenderId);
        }
        var noRoom = missingRooms([.. roomIds]).ToHashSet();
        var noUser = missingUsers([.. userIds]).ToHashSet();

        var badRows = new List<BadRow>();
        for (var i = 0; i < batch.Length; i++)
        {
            if (noRoom.Contains(batch[i].RoomId))
                badRows.Add(new BadRow(i, AppendFailure.UnknownRoom));
            else if (!batch[i].IsTombstone && noUser.Contains(batch[i].SenderId))
                badRows.Add(new BadRow(i, AppendFailure.UnknownSender));
            else if (!IsStorable(batch[i]))
                badRows.Add(new BadRow(i, AppendFailure.InvalidRow));
        }
        return badRows;
    }

    /// <summary>True when PostgreSQL's text type takes content and nonce: valid UTF-8 without NUL.</summary>
    internal static bool IsStorable(MessageRecord record) =>
        Utf8.IsValid(record.Content.Span) && !record.Content.Span.Contains((byte)0)
        && (record.Nonce is null || IsWellFormed(record.Nonce));

    private static bool IsWellFormed(string text)
    {
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] == '\0')
                return false;
            if (!char.IsSurrogate(text[i]))
                continue;
            if (!char.IsHighSurrogate(text[i]) || i + 1 == text.Length || !char.IsLowSurrogate(text[i + 1]))
                return false;
            i++;
        }
        return true;
    }
}
