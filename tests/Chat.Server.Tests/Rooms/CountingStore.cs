using Chat.Storage;

namespace Chat.Server.Tests.Rooms;

/// <summary>A real store that counts what is asked of it, and answers when it may.</summary>
internal sealed class CountingStore(IChatStore store) : IChatStore
{
    private readonly TaskCompletionSource _added = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _pagesRead;
    private int _epochsSearched;

    public int PagesRead => Volatile.Read(ref _pagesRead);

    public int EpochsSearched => Volatile.Read(ref _epochsSearched);

    /// <summary>Pages are read when this has completed.</summary>
    public Task MayRead { get; set; } = Task.CompletedTask;

    /// <summary>Calls that add a member, and have stored it, return when this has completed.</summary>
    public Task MayEndAdding { get; set; } = Task.CompletedTask;

    /// <summary>Calls that remove a member, and have stored that, return when this has completed.</summary>
    public Task MayEndRemoving { get; set; } = Task.CompletedTask;

    /// <summary>A member has been stored.</summary>
    public Task Added => _added.Task;

    public async Task<IReadOnlyList<MessageRecord>> ReadMessagesAsync(
        long roomId, long? beforeSeq, long? afterSeq, int limit, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _pagesRead);
        await MayRead;
        return await store.ReadMessagesAsync(roomId, beforeSeq, afterSeq, limit, cancellationToken);
    }

    public Task<long> LastSeqUpToEpochAsync(long roomId, int epoch, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _epochsSearched);
        return store.LastSeqUpToEpochAsync(roomId, epoch, cancellationToken);
    }

    public TimeSpan CommitIntervalMin(int rooms) => store.CommitIntervalMin(rooms);

    public Task InitializeAsync(CancellationToken cancellationToken) => store.InitializeAsync(cancellationToken);

    public Task<StoreSession> BeginSessionAsync(CancellationToken cancellationToken) => store.BeginSessionAsync(cancellationToken);

    public Task EndSessionAsync(CancellationToken cancellationToken) => store.EndSessionAsync(cancellationToken);

    public Task<bool> HoldsSessionAsync(CancellationToken cancellationToken) => store.HoldsSessionAsync(cancellationToken);

    public Task PingAsync(CancellationToken cancellationToken) => store.PingAsync(cancellationToken);

    public Task<UserRecord?> CreateUserAsync(string email, string username, string passwordHash, CancellationToken cancellationToken) =>
        store.CreateUserAsync(email, username, passwordHash, cancellationToken);

    public Task<UserRecord?> FindUserByEmailAsync(string email, CancellationToken cancellationToken) =>
        store.FindUserByEmailAsync(email, cancellationToken);

    public Task<UserRecord?> FindUserByIdAsync(long userId, CancellationToken cancellationToken) => store.FindUserByIdAsync(userId, cancellationToken);

    public Task<bool> ReplacePasswordHashAsync(long userId, string oldHash, string newHash, CancellationToken cancellationToken) =>
        store.ReplacePasswordHashAsync(userId, oldHash, newHash, cancellationToken);

    public Task<IReadOnlyList<RoomRecord>> ListRoomsAsync(long afterId, int limit, CancellationToken cancellationToken) =>
        store.ListRoomsAsync(afterId, limit, cancellationToken);

    public Task<RoomRecord?> FindRoomAsync(long roomId, CancellationToken cancellationToken) => store.FindRoomAsync(roomId, cancellationToken);

    public Task<RoomRecord> CreateRoomAsync(string name, CancellationToken cancellationToken) => store.CreateRoomAsync(name, cancellationToken);

    public async Task<bool> AddMemberAsync(long roomId, long userId, CancellationToken cancellationToken)
    {
        bool isNew = await store.AddMemberAsync(roomId, userId, cancellationToken);
        Task mayEnd = MayEndAdding;
        _added.TrySetResult();
        await mayEnd;
        return isNew;
    }

    public async Task<bool> RemoveMemberAsync(long roomId, long userId, CancellationToken cancellationToken)
    {
        bool wasMember = await store.RemoveMemberAsync(roomId, userId, cancellationToken);
        await MayEndRemoving;
        return wasMember;
    }

    public Task<IReadOnlyList<MemberRecord>> ListMembersAsync(long roomId, long afterUserId, int limit, CancellationToken cancellationToken) =>
        store.ListMembersAsync(roomId, afterUserId, limit, cancellationToken);

    public Task<bool> IsMemberAsync(long roomId, long userId, CancellationToken cancellationToken) =>
        store.IsMemberAsync(roomId, userId, cancellationToken);

    public Task<long> LastSeqAsync(long roomId, CancellationToken cancellationToken) => store.LastSeqAsync(roomId, cancellationToken);

    public IMessageWriter OpenWriter() => store.OpenWriter();

    public ValueTask DisposeAsync() => store.DisposeAsync();
}
