using Chat.Server.Auth;
using Chat.Server.Rest;
using Chat.Server.Settings;
using Chat.Storage;
using Chat.TestKit;

namespace Chat.Server.Tests.Rest;

public sealed class RoomEndpointsTests
{
    [Fact]
    public async Task A_room_that_the_database_could_not_make_is_not_counted()
    {
        using var folder = new TempFolder();
        await using IChatStore away = StoreFactory.Create($"postgres://chat@127.0.0.1:{FreePort.Next()}/chat", folder.Path);
        var endpoints = new RoomEndpoints(
            away,
            log: null!,
            rooms: null!,
            subscriptions: null!,
            rates: null,
            made: new AttemptLimit(1, TimeSpan.FromHours(1), TimeProvider.System),
            new ServerMetrics(),
            ServerSettings.Default.Rooms,
            epoch: 1,
            TimeProvider.System);
        for (int i = 0; i < 3; i++)
        {
            await Assert.ThrowsAsync<StoreUnavailableException>(
                () => endpoints.Routes.PostAsync("/rooms", """{"name":"a room"}""", new TokenIdentity(7, "Ann", DateTimeOffset.MaxValue), TestContext.Current.CancellationToken));
        }
    }
}
