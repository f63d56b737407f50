namespace Chat.Storage;

/// <summary>
/// One connection that appends batches. Not thread-safe, and synchronous on purpose: each lane of the message log owns a
/// thread, both stores' cheapest path is synchronous, and a commit then never waits behind the fan-out for a thread-pool thread.
/// After an exception only dispose it.
/// </summary>
public interface IMessageWriter : IDisposable
{
    /// <summary>
    /// Appends all rows and raises <c>rooms.last_seq</c> in one transaction; when it returns, the rows are durable.
    /// </summary>
    /// <param name="batch">At least one row; rows of one room ascend by seq. Not kept.</param>
    /// <param name="resend">
    /// True when an earlier attempt may have committed these rows: rows that are there are left alone, and their ids compared.
    /// </param>
    /// <exception cref="AppendException">Says what to do. Nothing is durable unless its kind is transient, where that is unknown.</exception>
    void Append(ReadOnlySpan<MessageRecord> batch, bool resend);

    /// <summary>
    /// What became of the rows of the last <see cref="Append"/>, one for one, where the database numbers them; empty where they came numbered. Until the
    /// next call.
    /// </summary>
    ReadOnlySpan<MessageRecord> Numbered => default;
}
