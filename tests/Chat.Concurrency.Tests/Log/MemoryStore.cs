using Chat.Storage;

namespace Chat.Concurrency.Tests.Log;

/// <summary>
/// Durable rows of one room, in memory: Coyote cannot steer a database. What the log and history ask of a store, and nothing else.
/// Its transactions are whole or not at all, and fail as a test wants them to.
/// </summary>
internal sealed class MemoryStore : IChatStore
{
    private readonly Lock _gate = new();
    private readonly List<MessageRecord> _rows = [];

    /// <summary>Transactions that end without an outcome before one commits; every other of them has committed.</summary>
    public int Failures { get; set; }

    /// <summary>The seq of a row that is refused; 0 for none.</summary>
    public long BadSeq { get; init; }

    public List<MessageRecord> Rows
    {
        get
        {
            lock (_gate)
            {
                return [.. _rows];
            }
        }
    }

    /// <summary>As many durable rows before the scenario begins.</summary>
    public MemoryStore Seed(int rows)
    {
        for (int seq = 1; seq <= rows; seq++)
        {
            _rows.Add(new MessageRecord
            {
                Id = seq,
                RoomId = 1,
                Seq = seq,
                Epoch = 1,
                SenderId = 1,
                SenderName = "Ann",
                Content = "before"u8.ToArray(),
                CreatedAtUnixMs = 0,
            });
        }

        return this;
    }

    public TimeSpan CommitIntervalMin(int rooms) => TimeSpan.Zero;

    public Task<IReadOnlyList<MessageRecord>> ReadMessagesAsync(
        long roomId, long? beforeSeq, long? afterSeq, int limit, CancellationToken cancellationToken)
    {
        List<MessageRecord> found = Rows.FindAll(row => row.Seq > (afterSeq ?? 0) && row.Seq < (beforeSeq ?? long.MaxValue));
        int surplus = Math.Max(0, found.Count - limit);
        found.RemoveRange(afterSeq is null ? 0 : found.Count - surplus, surplus);
        return Task.FromResult<IReadOnlyList<MessageRecord>>(found);
    }

    public IMessageWriter OpenWriter() => new Writer(this);

    public Task InitializeAsync(CancellationToken cancellationToken) => throw new NotSupportedException();

    public Task<StoreSession> BeginSessionAsync(CancellationToken cancellationToken) => throw new NotSupportedException();

    public Task EndSessionAsync(CancellationToken cancellationToken) => throw new NotSupportedException();

    public Task<bool> HoldsSessionAsync(CancellationToken cancellationToken) => Task.FromResult(true);

    public Task PingAsync(CancellationToken cancellationToken) => throw new NotSupportedException();

    public Task<UserRecord?> CreateUserAsync(string email, string username, string passwordHash, CancellationToken cancellationToken) =>
        throw new NotSupportedException();

    public Task<UserRecord?> FindUserByEmailAsync(string email, CancellationToken cancellationToken) => throw new NotSupportedException();

    public Task<UserRecord?> FindUserByIdAsync(long userId, CancellationToken cancellationToken) => throw new NotSupportedException();

    public Task<bool> ReplacePasswordHashAsync(long userId, string oldHash, string newHash, CancellationToken cancellationToken) =>
        throw new NotSupportedException();

    public Task<IReadOnlyList<RoomRecord>> ListRoomsAsync(long afterId, int limit, CancellationToken cancellationToken) => throw new NotSupportedException();

    public Task<RoomRecord?> FindRoomAsync(long roomId, CancellationToken cancellationToken) => throw new NotSupportedException();

    public Task<RoomRecord> CreateRoomAsync(string name, CancellationToken cancellationToken) => throw new NotSupportedException();

    public Task<bool> AddMemberAsync(long roomId, long userId, CancellationToken cancellationToken) => throw new NotSupportedException();

    public Task<bool> RemoveMemberAsync(long roomId, long userId, CancellationToken cancellationToken) => throw new NotSupportedException();

    public Task<IReadOnlyList<MemberRecord>> ListMembersAsync(long roomId, long afterUserId, int limit, CancellationToken cancellationToken) =>
        throw new NotSupportedException();

    public Task<bool> IsMemberAsync(long roomId, long userId, CancellationToken cancellationToken) => throw new NotSupportedException();

    public Task<long> LastSeqAsync(long roomId, CancellationToken cancellationToken) => throw new NotSupportedException();

    public Task<long> LastSeqUpToEpochAsync(long roomId, int epoch, CancellationToken cancellationToken) => throw new NotSupportedException();

    public ValueTask DisposeAsync() => default;

    private void Commit(ReadOnlySpan<MessageRecord> batch, bool resend)
    {
        lock (_gate)
        {
            foreach (MessageRecord row in batch)
            {
                long last = _rows.Count == 0 ? 0 : _rows[^1].Seq;
                if (resend && row.Seq <= last && _rows[(int)row.Seq - 1].Id == row.Id)
                {
                    continue;
                }

                Invariant.Require(row.Seq == last + 1);
                _rows.Add(row);
            }
        }
    }

    private sealed class Writer(MemoryStore store) : IMessageWriter
    {
        public void Append(ReadOnlySpan<MessageRecord> batch, bool resend)
        {
            if (store.Failures > 0)
            {
                if (--store.Failures % 2 == 0)
                {
                    store.Commit(batch, resend);
                }

                throw new AppendException(AppendErrorKind.Transient, "no outcome");
            }

            for (int i = 0; i < batch.Length; i++)
            {
                if (batch[i].Seq == store.BadSeq && !batch[i].IsTombstone)
                {
                    throw new AppendException(AppendErrorKind.BadRows, "refused", null, [new BadRow(i, AppendFailure.InvalidRow)]);
                }
            }

            store.Commit(batch, resend);
        }

        public void Dispose()
        {
        }
    }
}
