using Chat.Server.Connections;
using Chat.Server.Tests.Rooms;
using Chat.Storage;
using Microsoft.Extensions.Logging.Abstractions;

namespace Chat.Server.Tests.Connections;

/// <summary>What is remembered of a room's members is true, in whatever order joins and leaves end.</summary>
public sealed class SubscriptionsTests
{
    [Fact]
    public async Task A_join_that_ends_after_a_later_leave_is_not_remembered()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        Subscriptions subscriptions = SubscriptionsOf(setup);
        var mayEnd = new TaskCompletionSource();
        setup.Store.MayEndAdding = mayEnd.Task;
        Task joining = JoinAsync(subscriptions, setup);
        await setup.Store.Added;

        await subscriptions.LeaveAsync(setup.Room, setup.Ann.UserId, CancellationToken.None);
        mayEnd.SetResult();
        await joining;

        Assert.False(await IsMemberAsync(setup));
        Assert.False(setup.Room.IsKnownMember(setup.Ann.UserId));
        await JoinAsync(subscriptions, setup);
        Assert.True(await IsMemberAsync(setup));
    }

    [Fact]
    public async Task Of_two_joins_around_a_leave_the_later_one_is_remembered()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        Subscriptions subscriptions = SubscriptionsOf(setup);
        var mayEnd = new TaskCompletionSource();
        setup.Store.MayEndAdding = mayEnd.Task;
        Task joining = JoinAsync(subscriptions, setup);
        await setup.Store.Added;

        await subscriptions.LeaveAsync(setup.Room, setup.Ann.UserId, CancellationToken.None);
        setup.Store.MayEndAdding = Task.CompletedTask;
        await JoinAsync(subscriptions, setup);
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
        Subscriptions subscriptions = SubscriptionsOf(setup);
        var mayEnd = new TaskCompletionSource();
        setup.Store.MayEndAdding = mayEnd.Task;
        Task failing = JoinAsync(subscriptions, setup);
        await setup.Store.Added;
        await setup.Store.RemoveMemberAsync(setup.Room.Id, setup.Ann.UserId, CancellationToken.None); // As if it had not come so far.
        setup.Store.MayEndAdding = Task.CompletedTask;

        await JoinAsync(subscriptions, setup);
        mayEnd.SetException(new StoreUnavailableException("away"));
        await Assert.ThrowsAsync<StoreUnavailableException>(() => failing);

        Assert.True(await IsMemberAsync(setup));
        Assert.True(setup.Room.IsKnownMember(setup.Ann.UserId));
    }

    [Fact]
    public async Task A_leave_that_is_given_up_after_it_was_stored_is_remembered()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        Subscriptions subscriptions = SubscriptionsOf(setup);
        await JoinAsync(subscriptions, setup);
        setup.Store.MayEndRemoving = Task.FromException(new StoreUnavailableException("cut off before the answer"));

        await Assert.ThrowsAsync<StoreUnavailableException>(
            () => subscriptions.LeaveAsync(setup.Room, setup.Ann.UserId, CancellationToken.None).AsTask());

        Assert.False(await IsMemberAsync(setup));
        await JoinAsync(subscriptions, setup);
        Assert.True(await IsMemberAsync(setup));
    }

    private static Subscriptions SubscriptionsOf(RoomSetup setup) => new(setup.Rooms, setup.Store, NullLogger<Subscriptions>.Instance);

    private static async Task JoinAsync(Subscriptions subscriptions, RoomSetup setup) =>
        Assert.Same(setup.Room, await subscriptions.JoinAsync(setup.Room.Id, setup.Ann.UserId, CancellationToken.None));

    private static Task<bool> IsMemberAsync(RoomSetup setup) =>
        setup.Store.IsMemberAsync(setup.Room.Id, setup.Ann.UserId, CancellationToken.None);
}
