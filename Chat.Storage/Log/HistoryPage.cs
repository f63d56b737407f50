namespace Chat.Storage;

/// <summary>A page of a room's history.</summary>
/// <param name="Messages">Ascending by seq, without holes.</param>
/// <param name="HasMore">True when the room has messages beyond the page's far end (older ones when it was read backwards).</param>
public sealed record HistoryPage(IReadOnlyList<MessageRecord> Messages, bool HasMore)
{
    /// <summary>Joins two ascending runs, a seq that is in both once, and keeps <paramref name="limit"/> rows from the asked end.</summary>
    internal static HistoryPage Merge(
        IReadOnlyList<MessageRecord> stored, IReadOnlyList<MessageRecord> pending, int limit, bool fromOldest)
    {
        var merged = new List<MessageRecord>(stored.Count + pending.Count);
        int s = 0, p = 0;
        while (s < stored.Count || p < pending.Count)
        {
            if (p == pending.Count || s < stored.Count && stored[s].Seq <= pending[p].Seq)
            {
                // The durable row is the one that stays: it may be the tombstone of the pending one.
                if (p < pending.Count && stored[s].Seq == pending[p].Seq)
                    p++;
                merged.Add(stored[s++]);
            }
            else
            {
                merged.Add(pending[p++]);
            }
        }
        var extra = merged.Count - limit;
        if (extra > 0)
            merged.RemoveRange(fromOldest ? limit : 0, extra);
        return new HistoryPage(merged, extra > 0);
    }
}
