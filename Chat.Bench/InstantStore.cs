using Chat.Storage;

namespace Chat.Bench;

/// <summary>A store whose batches are committed as soon as they are handed over: what is left is the cost of the message log itself.</summary>
internal sealed class InstantStore : IChatStore
{
    public TimeSpan CommitIntervalMin(int rooms) => TimeSpan.Zero;

    public IMessageWriter OpenWriter() => new Writer();

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

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

    public Task<IReadOnlyList<MessageRecord>> ReadMessagesAsync(
        long roomId, long? beforeSeq, long? afterSeq, int limit, CancellationToken cancellationToken) => throw new NotSupportedException();

    public Task<long> LastSeqAsync(long roomId, CancellationToken cancellationToken) => throw new NotSupportedException();

    public Task<long> LastSeqUpToEpochAsync(long roomId, int epoch, CancellationToken cancellationToken) => throw new NotSupportedException();

    private sealed class Writer : IMessageWriter
    {
        public void Append(ReadOnlySpan<MessageRecord> batch, bool resend)
        {
        }

        public void Dispose()
        {
        }
    }
}
