using System.Diagnostics;
using Chat.TestKit;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>PostgreSQL crashes, freezes, is not there yet, or belongs to another server.</summary>
public sealed class DatabaseFaultsOnPostgres() : FaultSetup(ServerLaunch.Postgres)
{
    [Theory]
    [InlineData(Immediate)]
    [InlineData(Committed)]
    public async Task The_database_crashes_and_returns_under_load(string delivery)
    {
        await using PostgresCluster cluster = await StartClusterAsync();
        await using RunningServer server = await StartAsync(delivery, await cluster.CreateDatabaseAsync());
        await using Load load = await Load.StartAsync(server);
        for (int i = 0; i < 2; i++)
        {
            await load.ProgressAsync();
            await cluster.StopAsync("immediate");
            await server.ReadyBecomesAsync(false);
            await cluster.StartAgainAsync();
            await server.ReadyBecomesAsync(true);
        }

        await load.ProgressAsync();
        await load.CheckAsync();
        Assert.Equal(0, load.Rollbacks);
    }

    [Fact]
    public async Task A_server_that_starts_before_its_database_waits_and_says_so()
    {
        await using PostgresCluster cluster = await StartClusterAsync();
        string database = await cluster.CreateDatabaseAsync();
        await cluster.StopAsync("fast");
        await using RunningServer server = await StartAsync(Immediate, database);

        Assert.Equal(200, (await server.GetAsync("/healthz")).Status);
        Answer ready = await server.GetAsync("/readyz");
        Assert.Equal((503, false, false), (ready.Status, ready.Json.Flag("database"), ready.Json.Flag("message_log")));
        (await server.PostAsync("/auth/login", "{}")).IsProblem(503, "unavailable");
        Assert.Equal(503, await ChatSocket.RefusedAsync(server, "/ws/1?token=x"));

        await cluster.StartAgainAsync();
        await server.ReadyBecomesAsync(true);
        User user = await server.RegisterAsync();
        Assert.Equal(1, await server.PublishAsync(user, 1, "at last"));
    }

    [Fact]
    public async Task A_server_that_waits_for_its_database_can_be_stopped()
    {
        await using PostgresCluster cluster = await StartClusterAsync();
        string database = await cluster.CreateDatabaseAsync();
        await cluster.StopAsync("fast");
        await using RunningServer server = await StartAsync(Immediate, database);

        server.Process.Terminate();

        Assert.Equal(0, await server.Process.ExitAsync());
    }

    [Fact]
    public async Task A_stop_while_the_database_is_away_says_what_is_not_saved_and_nothing_of_that_was_acknowledged()
    {
        await using PostgresCluster cluster = await StartClusterAsync();
        await using RunningServer server = await StartAsync(Immediate, await cluster.CreateDatabaseAsync(), drainTimeoutMs: "200");
        User user = await server.RegisterAsync();
        long room = await server.CreateRoomAsync(user);
        using ChatSocket socket = await server.EnterAsync(user, room);
        await socket.SayAsync("saved", "saved");
        await socket.SkipToAsync("ack");
        await cluster.StopAsync("immediate");
        await socket.SayAsync("not saved", "not saved");
        while ((await socket.SkipToAsync("message")).Text("content") != "not saved")
        {
        }

        server.ErrorsAreExpected = true;
        server.Process.Terminate();

        Assert.Equal("unavailable", (await socket.NextAsync("error")).Text("code"));
        Assert.Equal(1001, await socket.ClosedAsync());
        Assert.Equal(1, await server.Process.ExitAsync());
        Assert.Contains("1 messages unsaved", Assert.Single(server.Process.Errors), StringComparison.Ordinal);

        await cluster.StartAgainAsync();
        await server.StartAgainAsync();
        using ChatSocket again = await server.EnterAsync(user, room, $"&since=2&epoch={socket.Welcome.Number("epoch")}");
        Assert.Equal(1, again.Welcome.Number("rolled_back_to"));
    }

    /// <summary>
    /// The time is that of DRAIN_TIMEOUT_MS, 10 s, and what a busy machine adds. When each step had a time of its own it was 20 s, and whoever kills
    /// after 10 or 15 cut off the clients.
    /// </summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_stop_while_the_database_is_silent_ends_in_its_time(bool hasUnsaved)
    {
        await using PostgresCluster cluster = await StartClusterAsync();
        await using RunningServer server = await StartAsync(Immediate, await cluster.CreateDatabaseAsync());
        User user = await server.RegisterAsync();
        using ChatSocket socket = await server.EnterAsync(user, 1);
        await cluster.FreezeAsync();
        try
        {
            if (hasUnsaved)
            {
                await socket.SayAsync("not saved");
                await socket.NextAsync("message");
            }

            server.ErrorsAreExpected = true;
            long startedAt = Stopwatch.GetTimestamp();
            server.Process.Terminate();

            Assert.Equal(1001, await socket.ClosedAsync());
            Assert.Equal(1, await server.Process.ExitAsync());
            Assert.InRange(Stopwatch.GetElapsedTime(startedAt).TotalSeconds, 0, 15);
            await server.Process.SaysAsync(hasUnsaved ? "1 messages unsaved" : "could not be told");
        }
        finally
        {
            await cluster.ThawAsync();
        }
    }

    [Fact]
    public async Task A_second_server_on_the_database_refuses_to_start_and_the_first_goes_on()
    {
        await using RunningServer server = await StartAsync(Immediate);
        User user = await server.RegisterAsync();
        long room = await server.CreateRoomAsync(user);
        await server.PublishAsync(user, room, "before");
        using var folder = new TempFolder();
        await using var second = ServerProcess.Start(server.Launch, folder.Path);

        Assert.Equal(1, await second.ExitAsync());
        Assert.Contains("Another server", Assert.Single(second.Errors), StringComparison.Ordinal);
        Assert.Equal(2, await server.PublishAsync(user, room, "after"));
    }

    private static async Task<PostgresCluster> StartClusterAsync()
    {
        RunningServer.SkipWhenUnavailable(ServerLaunch.Postgres);
        return await PostgresCluster.StartAsync(fsync: true);
    }
}
