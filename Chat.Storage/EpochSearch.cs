namespace Chat.Storage;

/// <summary>
/// Finds where an epoch ends in a room. Epochs never fall as seq rises and seqs have no holes, so a binary search over the key
/// (room_id, seq) answers in about 20 single-row reads for a million messages. An index on epoch would answer in one,
/// and every COPY would pay for it; a client from an older epoch is rare.
/// </summary>
internal static class EpochSearch
{
    internal static async Task<long> LastSeqAsync(IChatStore store, long roomId, int epoch, CancellationToken cancellationToken)
    {
        long low = 0;
        var high = await store.LastSeqAsync(roomId, cancellationToken).ConfigureAwait(false);
        // Invariant: the answer is in [low, high].
        while (low < high)
        {
            var middle = low + (high - low + 1) / 2;
            var rows = await store.ReadMessagesAsync(roomId, middle + 1, middle - 1, 1, cancellationToken).ConfigureAwait(false);
            if (rows.Count == 0 || rows[0].Epoch <= epoch)
                low = middle;
            else
                high = middle - 1;
        }
        return low;
    }
}
