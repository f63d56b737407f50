using System.Text.Json;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>
/// Faults under load, in both orders of delivery, seen by clients that keep to the protocol: afterwards every message that they sent is stored once, in
/// order, and where they were told; and what they saw is what the history holds.
/// </summary>
public abstract class FaultTests(ServerLaunch launch) : FaultSetup(launch)
{
    [Theory]
    [InlineData(Immediate)]
    [InlineData(Committed)]
    public async Task Killed_under_load_twice(string delivery)
    {
        await using RunningServer server = await StartAsync(delivery);
        await using Load load = await Load.StartAsync(server);
        for (int i = 0; i < 2; i++)
        {
            await load.ProgressAsync();
            await server.KillAndStartAgainAsync();
        }

        await load.ProgressAsync();
        await load.CheckAsync();
        if (delivery == Committed)
        {
            Assert.Equal(0, load.Rollbacks); // Nobody saw what was not durable.
        }
    }

    [Theory]
    [InlineData(Immediate)]
    [InlineData(Committed)]
    public async Task Stopped_by_sigterm_under_load(string delivery)
    {
        await using RunningServer server = await StartAsync(delivery);
        await using Load load = await Load.StartAsync(server);
        await load.ProgressAsync();
        server.Process.Terminate();
        Assert.Equal(0, await server.Process.ExitAsync());
        await server.StartAgainAsync();

        await load.ProgressAsync();
        await load.CheckAsync();
        Assert.Equal(0, load.Rollbacks);
    }

    [Fact]
    public async Task Hundreds_of_clients_that_come_back_at_once_after_a_crash_all_get_what_they_missed()
    {
        const int Seen = 50;
        const int Messages = 200;
        await using RunningServer server = await StartAsync(Immediate);
        User user = await server.RegisterAsync();
        long room = await server.CreateRoomAsync(user);
        await server.FillAsync(user, room, Messages, "x");
        long epoch;
        using (ChatSocket before = await server.EnterAsync(user, room))
        {
            epoch = before.Welcome.Number("epoch");
        }

        await server.KillAndStartAgainAsync();
        ChatSocket[] sockets = await Task.WhenAll(Enumerable.Range(0, Resumers).Select(_ => server.EnterAsync(user, room, $"&since={Seen}&epoch={epoch}")));
        await Task.WhenAll(sockets.Select(async socket =>
        {
            Assert.Equal((Messages, true), (socket.Welcome.Number("seq"), socket.Welcome.Flag("recovered")));
            await socket.NextMessagesAsync(Seen + 1, Messages - Seen);
        }));
        await server.PublishAsync(user, room, "live");
        await Task.WhenAll(sockets.Select(socket => socket.NextMessagesAsync(Messages + 1, 1)));
        Array.ForEach(sockets, socket => socket.Dispose());
    }

    [Theory]
    [InlineData(Immediate)]
    [InlineData(Committed)]
    public async Task A_message_that_the_database_refuses_leaves_a_tombstone_in_its_place(string delivery)
    {
        await using RunningServer server = await StartAsync(delivery);
        User ann = await server.RegisterAsync();
        User bob = await server.RegisterAsync();
        long room = await server.CreateRoomAsync(ann);
        using ChatSocket reader = await server.EnterAsync(ann, room);
        using ChatSocket gone = await server.EnterAsync(bob, room);
        await server.PublishAsync(ann, room, "before");
        await server.ExecuteSqlAsync($"DELETE FROM users WHERE id = {bob.Id}");

        server.ErrorsAreExpected = true; // The log names the row.
        await gone.SayAsync("from nobody", "n");
        JsonElement error = await gone.SkipToAsync("error");
        Assert.Equal(("unknown_user", "n"), (error.Text("code"), error.Text("nonce")));
        await server.PublishAsync(ann, room, "after");
        Assert.Equal(1, await server.MetricAsync("chat_message_log_failed_total"));

        IReadOnlyList<JsonElement> live = await reader.NextMessagesAsync(1, 3);
        Assert.Equal(delivery == Committed ? "" : "from nobody", live[1].Text("content"));
        IReadOnlyList<JsonElement> history = await server.HistoryAsync(ann, room);
        Assert.Equal([false, true, false], history.Select(message => message.Flag("deleted")));
        Assert.Equal(history.Select(message => message.Number("id")), live.Select(message => message.Number("id")));
        Assert.Equal(delivery == Committed, live[1].Flag("deleted"));
        using (ChatSocket late = await server.EnterAsync(ann, room, $"&since=1&epoch={reader.Welcome.Number("epoch")}")) // The ring has it still.
        {
            AssertTombstone(await late.NextMessagesAsync(2, 2));
        }

        await server.KillAndStartAgainAsync();
        using ChatSocket resumed = await server.EnterAsync(ann, room, $"&since=1&epoch={reader.Welcome.Number("epoch")}");
        Assert.Equal(JsonValueKind.Null, resumed.Welcome.GetProperty("rolled_back_to").ValueKind);
        AssertTombstone(await resumed.NextMessagesAsync(2, 2));

        void AssertTombstone(IReadOnlyList<JsonElement> messages)
        {
            Assert.Equal(["", "after"], messages.Select(message => message.Text("content")));
            Assert.Equal([true, false], messages.Select(message => message.Flag("deleted")));
            Assert.Equal(history.Skip(1).Select(message => message.Number("id")), messages.Select(message => message.Number("id")));
        }
    }

    [Fact]
    public async Task A_fault_during_a_handshake_is_answered_and_logged_like_one_during_a_request()
    {
        await using RunningServer server = await StartAsync(Immediate);
        User user = await server.RegisterAsync();
        await server.ExecuteSqlAsync("ALTER TABLE room_members RENAME TO members_of_rooms");

        server.ErrorsAreExpected = true;
        (await server.PostAsync("/rooms/1/members", "", user.Token)).IsProblem(500, "internal_error");
        Assert.Equal(500, await ChatSocket.RefusedAsync(server, $"/ws/1?token={user.Token}"));
        await server.Process.SaysAsync("A handshake for room 1 failed");
    }

    [Fact]
    public async Task A_server_that_was_replaced_ends_although_it_has_nothing_to_write()
    {
        await using RunningServer server = await StartAsync(Immediate);
        User user = await server.RegisterAsync();
        using ChatSocket socket = await server.EnterAsync(user, 1);
        server.ErrorsAreExpected = true;

        await server.ExecuteSqlAsync("UPDATE server_state SET session = session + 1"); // As a server does that takes the database over.

        Assert.Equal(1001, await socket.ClosedAsync());
        Assert.Equal(1, await server.Process.ExitAsync());
        Assert.Contains(server.Process.Errors, error => error.Contains("took the database over", StringComparison.Ordinal));
    }

    /// <summary>More by hand: the server's and the tests' descriptors must suffice.</summary>
    private static int Resumers { get; } =
        int.TryParse(Environment.GetEnvironmentVariable("CHAT_TEST_RESUMERS"), out int resumers) ? resumers : 300;
}

public sealed class FaultsOnSqlite() : FaultTests(ServerLaunch.Sqlite)
{
    [Theory]
    [InlineData(Immediate)]
    [InlineData(Committed)]
    public async Task A_full_disk_delays_and_loses_nothing_and_needs_no_restart(string delivery)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "The quota is Linux's.");
        await using RunningServer server = await StartAsync(delivery);
        await using Load load = await Load.StartAsync(server);
        await load.ProgressAsync();
        ProcessLimits.SetFileBytes(server.Process.Id, 0);
        await server.ReadyBecomesAsync(false);
        await server.Process.SaysAsync("cannot commit and keeps trying");
        ProcessLimits.LiftFileBytes(server.Process.Id);
        await server.ReadyBecomesAsync(true);
        await load.ProgressAsync();
        Assert.Equal(0, load.Rollbacks);

        // And once more, for good: what was acknowledged is there although the last that the server saw was a full disk.
        ProcessLimits.SetFileBytes(server.Process.Id, 0);
        await server.ReadyBecomesAsync(false);
        await server.KillAndStartAgainAsync();
        await load.ProgressAsync();
        await load.CheckAsync();
    }

    [Theory]
    [InlineData(Immediate)]
    [InlineData(Committed)]
    public async Task Failing_fsyncs_delay_and_lose_nothing_and_need_no_restart(string delivery)
    {
        using FailingSync sync = await FailingSync.CreateAsync();
        await using RunningServer server = await StartAsync(delivery, sync: sync);
        await using Load load = await Load.StartAsync(server);
        await load.ProgressAsync();
        sync.Begin();
        await server.ReadyBecomesAsync(false);
        sync.End();
        await server.ReadyBecomesAsync(true);
        await load.ProgressAsync();
        Assert.Equal(0, load.Rollbacks);

        sync.Begin();
        await server.ReadyBecomesAsync(false);
        await server.Process.KillAsync();
        sync.End(); // Not before: nothing of what waits may be saved first.
        await server.StartAgainAsync();
        await load.ProgressAsync();
        await load.CheckAsync();
    }

    /// <summary>
    /// What was written and not synced is in the kernel's cache, so that no kill shows a false acknowledgement. This test watches for one.
    /// </summary>
    [Fact]
    public async Task While_fsyncs_fail_nothing_is_acknowledged_and_the_log_says_why()
    {
        using FailingSync sync = await FailingSync.CreateAsync();
        await using RunningServer server = await StartAsync(Immediate, sync: sync);
        User user = await server.RegisterAsync();
        long room = await server.CreateRoomAsync(user);
        using ChatSocket socket = await server.EnterAsync(user, room);
        sync.Begin();
        await socket.SayAsync("not durable", "n");
        await socket.NextMessagesAsync(1, 1);
        await server.ReadyBecomesAsync(false); // The second attempt has failed as well.
        await socket.NothingElseAsync();
        await server.Process.SaysAsync("cannot commit and keeps trying");
        await server.Process.SaysAsync("disk I/O error");
        sync.End();

        JsonElement ack = await socket.NextAsync("ack");
        Assert.Equal(("n", 1), (ack.Text("nonce"), ack.Number("seq")));
        await server.ReadyBecomesAsync(true);
        Assert.Equal(2, await server.PublishAsync(user, room, "and on"));
        Assert.Equal(["not durable", "and on"], (await server.HistoryAsync(user, room)).Select(message => message.Text("content")));
    }
}

public sealed class FaultsOnPostgres() : FaultTests(ServerLaunch.Postgres);
