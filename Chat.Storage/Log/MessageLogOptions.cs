namespace Chat.Storage;

/// <summary>Limits of the message log. <see cref="MessageLog"/> checks them, and their relations, when it is made.</summary>
public sealed class MessageLogOptions
{
    /// <summary>Rows accepted and not yet durable. 65,536 is one second of what a small PostgreSQL takes.</summary>
    public int RowsMax { get; init; } = 65_536;

    /// <summary>Content bytes accepted and not yet durable: the memory a dead database may cost.</summary>
    public long BytesMax { get; init; } = 64L << 20;

    /// <summary>Rows a transaction. Throughput is flat from about 1,000 on; more only delays the acknowledgements.</summary>
    public int BatchRowsMax { get; init; } = 1_000;

    /// <summary>Content bytes a transaction; a single larger row still goes, alone.</summary>
    public int BatchBytesMax { get; init; } = 1 << 20;

    /// <summary>Writers, each with a thread and a connection; a room belongs to lane room_id mod lanes. More than one pays on a
    /// PostgreSQL with cores to spare, never on SQLite.</summary>
    public int Lanes { get; init; } = 1;

    /// <summary>
    /// Commits of a lane begin at least this far apart, unless a batch is full. A message after a pause commits at once; in a
    /// steady flow this makes larger batches of what would be thousands of small commits a second, for half of it on average.
    /// Zero turns it off; null takes <see cref="IChatStore.CommitIntervalMin"/>.
    /// </summary>
    public TimeSpan? CommitIntervalMin { get; init; }

    /// <summary>The first wait after a failure; doubled by each further one up to <see cref="BackoffMax"/>, less up to half at random.</summary>
    public TimeSpan BackoffMin { get; init; } = TimeSpan.FromMilliseconds(10);

    public TimeSpan BackoffMax { get; init; } = TimeSpan.FromSeconds(1);

    internal void Check()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Lanes, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(Lanes, 64);
        ArgumentOutOfRangeException.ThrowIfLessThan(BatchRowsMax, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(RowsMax, BatchRowsMax);
        ArgumentOutOfRangeException.ThrowIfLessThan(BatchBytesMax, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(BytesMax, BatchBytesMax);
        ArgumentOutOfRangeException.ThrowIfLessThan(BackoffMin, TimeSpan.FromMilliseconds(1));
        ArgumentOutOfRangeException.ThrowIfLessThan(BackoffMax, BackoffMin);
    }
}
