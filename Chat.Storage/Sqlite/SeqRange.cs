namespace Chat.Storage.Sqlite;

/// <summary>Messages of a room that follow each other; none when <paramref name="Last"/> is before <paramref name="First"/>.</summary>
/// <param name="First">From 1 on.</param>
/// <param name="Last">Inclusive.</param>
internal readonly record struct SeqRange(long First, long Last)
{
    internal bool IsEmpty => Last < First;
}

/// <summary>
/// A page as <see cref="IChatStore.ReadMessagesAsync"/> is asked for it. A room has no holes, so which seqs it holds is known before a row is read.
/// </summary>
internal readonly record struct PageQuery(long? BeforeSeq, long? AfterSeq, int Limit)
{
    /// <param name="lastSeq">The room's last message; 0 when it has none.</param>
    internal SeqRange In(long lastSeq)
    {
        // Before and after may be any numbers: a client has sent them.
        var last = Math.Clamp(BeforeSeq ?? long.MaxValue, 1, lastSeq + 1) - 1;
        if (AfterSeq is not { } after)
            return new SeqRange(Math.Max(1, last - Limit + 1), last);
        after = Math.Clamp(after, 0, lastSeq);
        return new SeqRange(after + 1, Math.Min(last, after + Limit));
    }
}
