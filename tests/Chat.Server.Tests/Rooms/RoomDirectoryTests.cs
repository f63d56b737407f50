using Chat.Server.Rooms;

namespace Chat.Server.Tests.Rooms;

public sealed class RoomDirectoryTests
{
    [Fact]
    public async Task Concurrent_askers_get_the_one_room()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        Room?[] rooms = await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => Task.Run(() => setup.Rooms.FindAsync(2, CancellationToken.None).AsTask())));

        Assert.All(rooms, room => Assert.Same(rooms[0], room));
        Assert.Same(rooms[0], setup.Rooms.FindLoaded(2));
        Assert.Equal(2, setup.Rooms.Loaded.Count());
    }

    [Fact]
    public async Task An_unknown_room_is_not_kept_and_is_found_once_it_exists()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        Assert.Null(await setup.Rooms.FindAsync(4, CancellationToken.None));
        Assert.Null(await setup.Rooms.FindAsync(-1, CancellationToken.None));
        Assert.Null(setup.Rooms.FindLoaded(4));
        Assert.Single(setup.Rooms.Loaded);

        long id = (await setup.Store.CreateRoomAsync("new", CancellationToken.None)).Id;
        Assert.Equal(4, id);
        Assert.NotNull(await setup.Rooms.FindAsync(id, CancellationToken.None));
    }
}
