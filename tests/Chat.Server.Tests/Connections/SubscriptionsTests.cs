using Chat.Server.Tests.Rooms;
using Chat.Storage;

namespace Chat.Server.Tests.Connections;

/// <summary>What is remembered of a room's members is true, in whatever order joins and leaves end.</summary>
public sealed class SubscriptionsTests
{
    [Fact]
    public async Task A_join_that_ends_after_a_later_leave_is_not_remembered()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        (Task joining, TaskCompletionSource mayEnd) = await BeginJoinAsync(setup);

        await LeaveAsync(setup);
        mayEnd.SetResult();
        await joining;

        Assert.False(await IsMemberAsync(setup));
        Assert.False(setup.Room.IsKnownMember(setup.Ann.UserId));
        await JoinAsync(setup);
        Assert.True(await IsMemberAsync(setup));
    }

    [Fact]
    public async Task Of_two_joins_around_a_leave_the_later_one_is_remembered()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        (Task joining, TaskCompletionSource mayEnd) = await BeginJoinAsync(setup);

        await LeaveAsync(setup);
        setup.Store.MayEndAdding = Task.CompletedTask;
        await JoinAsync(setup);
        Assert.True(setup.Room.IsKnownMember(setup.Ann.UserId));
        mayEnd.SetResult();
        await joining;

        Assert.True(await IsMemberAsync(setup));
        Assert.True(setup.Room.IsKnownMember(setup.Ann.UserId));
    }

    [Fact]
    public async Task A_join_beside_one_that_fails_asks_the_database_itself()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        (Task failing, TaskCompletionSource mayEnd) = await BeginJoinAsync(setup);
        await setup.Store.RemoveMemberAsync(setup.Room.Id, setup.Ann.UserId, CancellationToken.None); // As if it had not come so far.
        setup.Store.MayEndAdding = Task.CompletedTask;

        await JoinAsync(setup);
        mayEnd.SetException(new StoreUnavailableException("away"));
        await Assert.ThrowsAsync<StoreUnavailableException>(() => failing);

        Assert.True(await IsMemberAsync(setup));
        Assert.True(setup.Room.IsKnownMember(setup.Ann.UserId));
    }

    [Fact]
    public async Task A_leave_that_is_given_up_after_it_was_stored_is_remembered()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        await JoinAsync(setup);
        setup.Store.MayEndRemoving = Task.FromException(new StoreUnavailableException("cut off before the answer"));

        await Assert.ThrowsAsync<StoreUnavailableException>(
            () => LeaveAsync(setup));

        Assert.False(await IsMemberAsync(setup));
        await JoinAsync(setup);
        Assert.True(await IsMemberAsync(setup));
    }

    /// <summary>A join that the store has done, and whose answer comes when the test says so.</summary>
    private static async Task<(Task Joining, TaskCompletionSource MayEnd)> BeginJoinAsync(RoomSetup setup)
    {
        var mayEnd = new TaskCompletionSource();
        setup.Store.MayEndAdding = mayEnd.Task;
        Task joining = JoinAsync(setup);
        await setup.Store.Added;
        return (joining, mayEnd);
    }

    private static async Task JoinAsync(RoomSetup setup) =>
        Assert.Same(setup.Room, await setup.Services.Subscriptions.JoinAsync(setup.Room.Id, setup.Ann.UserId, CancellationToken.None));

    private static Task LeaveAsync(RoomSetup setup) =>
        setup.Services.Subscriptions.LeaveAsync(setup.Room, setup.Ann.UserId, CancellationToken.None).AsTask();

    private static Task<bool> IsMemberAsync(RoomSetup setup) =>
        setup.Store.IsMemberAsync(setup.Room.Id, setup.Ann.UserId, CancellationToken.None);
}
