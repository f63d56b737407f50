namespace Chat.Storage;

/// <summary>Counters since the log was made, for metrics; read without a lock, so they may differ by a batch in flight.</summary>
/// <param name="QueuedRows">Reserved, not yet durable nor failed.</param>
/// <param name="QueuedBytes">Content bytes of those.</param>
/// <param name="RowsCommitted">Messages made durable; tombstones are not counted.</param>
/// <param name="RowsFailed">Rows handed to the failed callback.</param>
/// <param name="Retries">Transactions that failed and were sent again.</param>
/// <param name="Commits">How long the transactions took that committed, from the first row sent to the outcome.</param>
/// <param name="LastError">Kind of the last failed transaction; null when none failed.</param>
public readonly record struct MessageLogStatistics(
    long QueuedRows, long QueuedBytes, long RowsCommitted, long RowsFailed, long Retries, DurationCounts Commits, AppendErrorKind? LastError);
