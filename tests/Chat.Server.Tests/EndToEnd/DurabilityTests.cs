using System.Collections.Concurrent;
using System.Net.WebSockets;
using System.Text.Json;
using Xunit.Sdk;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>What is left after the server stopped, one way or the other. Each test has a server of its own.</summary>
public abstract class DurabilityTests(ServerLaunch launch)
{
    private const int EnoughAcknowledged = 1000;

    [Fact]
    public async Task After_kill_9_under_load_every_acknowledged_message_is_in_the_history_without_holes()
    {
        const int Senders = 4;
        await using RunningServer server = await RunningServer.StartAsync(launch);
        User user = await server.RegisterAsync();
        long room = await server.CreateRoomAsync(user);
        long firstEpoch = 0;

        for (int crash = 1; crash <= 2; crash++)
        {
            var acknowledged = new ConcurrentDictionary<string, long>();
            var enough = new TaskCompletionSource();
            ChatSocket[] sockets = await Task.WhenAll(Enumerable.Range(0, Senders).Select(_ => server.EnterAsync(user, room)));
            long epoch = sockets[0].Welcome.Number("epoch");
            firstEpoch = crash == 1 ? epoch : firstEpoch;
            Assert.Equal(firstEpoch + crash - 1, epoch); // Raised by each unclean stop.
            Task[] load = [.. sockets.Select((socket, number) => ChatUntilItEndsAsync(socket, $"{crash}/{number}", acknowledged, enough))];

            await server.Within(enough.Task.ContinueWith(_ => true), "acknowledgements");
            await server.Process.KillAsync();
            await Task.WhenAll(load);
            await server.StartAgainAsync();

            IReadOnlyList<JsonElement> history = await server.HistoryAsync(user, room);
            Assert.Equal(0, await server.MetricAsync("chat_rooms_loaded")); // Who only reads loads none.
            Assert.Equal(Enumerable.Range(1, history.Count).Select(seq => (long)seq), history.Select(message => message.Number("seq")));
            var stored = history.ToDictionary(message => message.Text("nonce"), message => message.Number("seq"));
            Assert.All(acknowledged, ack => Assert.Equal(ack.Value, stored[ack.Key]));
            Assert.Equal(history.Count, history.Select(message => message.Number("id")).Distinct().Count());
            Array.ForEach(sockets, socket => socket.Dispose());
        }
    }

    [Fact]
    public async Task A_client_that_saw_what_a_crash_took_is_rolled_back_to_what_is_durable()
    {
        await using RunningServer server = await RunningServer.StartAsync(launch);
        User user = await server.RegisterAsync();
        long room = await server.CreateRoomAsync(user);
        long epoch;
        using (ChatSocket before = await server.EnterAsync(user, room))
        {
            epoch = before.Welcome.Number("epoch");
        }

        for (int i = 1; i <= 3; i++)
        {
            await server.PublishAsync(user, room, $"{i}");
        }

        await server.KillAndStartAgainAsync();
        using ChatSocket other = await server.EnterAsync(user, room);
        Assert.Equal((epoch + 1, 3), (other.Welcome.Number("epoch"), other.Welcome.Number("seq")));
        await server.PublishAsync(user, room, "another 4");
        await server.PublishAsync(user, room, "another 5");

        // This one saw a 4 and a 5 that nobody was told of the commit of.
        using ChatSocket socket = await server.EnterAsync(user, room, $"&since=5&epoch={epoch}");

        Assert.Equal((5, true), (socket.Welcome.Number("seq"), socket.Welcome.Flag("recovered")));
        Assert.Equal(3, socket.Welcome.Number("rolled_back_to"));
        Assert.Equal(["another 4", "another 5"], (await socket.NextMessagesAsync(4, 2)).Select(message => message.Text("content")));

        // And this one saw nothing that was lost.
        using ChatSocket lucky = await server.EnterAsync(user, room, $"&since=2&epoch={epoch}");
        Assert.Equal(JsonValueKind.Null, lucky.Welcome.GetProperty("rolled_back_to").ValueKind);
        await lucky.NextMessagesAsync(3, 3);
    }

    [Fact]
    public async Task After_a_restart_resume_and_nonces_go_on_from_the_history()
    {
        await using RunningServer server = await RunningServer.StartAsync(launch);
        User user = await server.RegisterAsync();
        long room = await server.CreateRoomAsync(user);
        ChatSocket socket = await server.EnterAsync(user, room);
        await socket.SayAsync("once", "n");
        JsonElement ack = await socket.SkipToAsync("ack");
        socket.Dispose();

        await server.KillAndStartAgainAsync();

        using ChatSocket resumed = await server.EnterAsync(user, room, $"&since=0&epoch={socket.Welcome.Number("epoch")}");
        Assert.True(resumed.Welcome.Flag("recovered"));
        Assert.Equal("once", (await resumed.NextMessagesAsync(1, 1))[0].Text("content"));
        await resumed.SayAsync("once", "n");
        JsonElement again = await resumed.NextAsync("ack");
        Assert.True(again.Flag("duplicate"));
        Assert.Equal((ack.Number("seq"), ack.Number("id")), (again.Number("seq"), again.Number("id")));
        Assert.Equal(2, await server.PublishAsync(user, room, "next"));
    }

    [Theory]
    [InlineData(ServerProcess.SigTerm)]
    [InlineData(ServerProcess.SigHup)] // Its terminal was closed.
    public async Task A_signal_stores_what_was_accepted_closes_with_1001_and_keeps_the_epoch(int signal)
    {
        const int Messages = 200;
        await using RunningServer server = await RunningServer.StartAsync(launch);
        User user = await server.RegisterAsync();
        long room = await server.CreateRoomAsync(user);
        using ChatSocket sender = await server.EnterAsync(user, room);
        using ChatSocket reader = await server.EnterAsync(user, room);
        for (int i = 0; i < Messages; i++)
        {
            await sender.SayAsync("x");
        }

        await reader.NextMessagesAsync(1, Messages); // All accepted, not all durable.
        server.Process.Signal(signal);

        for (long seq = 0; seq < Messages;)
        {
            seq = (await sender.SkipToAsync("ack")).Number("seq"); // Acknowledged before the close.
        }

        Assert.Equal(1001, await sender.ClosedAsync());
        Assert.Equal(1001, await reader.ClosedAsync());
        Assert.Equal(0, await server.Process.ExitAsync());
        await server.StartAgainAsync();
        Assert.Equal(Messages, (await server.HistoryAsync(user, room)).Count);
        using ChatSocket again = await server.EnterAsync(user, room);
        Assert.Equal(sender.Welcome.Number("epoch"), again.Welcome.Number("epoch"));
    }

    [Fact]
    public async Task Sigterm_does_not_wait_for_idle_connections()
    {
        await using RunningServer server = await RunningServer.StartAsync(launch);
        using RawClient silent = await server.ConnectRawAsync();
        using RawClient keptAlive = await server.ConnectRawAsync();
        await keptAlive.SendAsync("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
        await keptAlive.ReadResponseAsync();

        server.Process.Terminate();

        await silent.IsClosedAsync();
        await keptAlive.IsClosedAsync();
        Assert.Equal(0, await server.Process.ExitAsync());
    }

    /// <summary>Keeps some messages on their way, always, until the server dies. It never hears of the newest.</summary>
    private static async Task ChatUntilItEndsAsync(
        ChatSocket socket, string name, ConcurrentDictionary<string, long> acknowledged, TaskCompletionSource enough)
    {
        const int UnacknowledgedMax = 50;
        int sent = 0;
        int acks = 0;
        try
        {
            while (true)
            {
                while (sent - acks < UnacknowledgedMax)
                {
                    await socket.SayAsync("load", $"{name}/{sent++}");
                }

                JsonElement ack = await socket.SkipToAsync("ack");
                acknowledged[ack.Text("nonce")] = ack.Number("seq");
                acks++;
                if (acknowledged.Count >= EnoughAcknowledged)
                {
                    enough.TrySetResult();
                }
            }
        }
        catch (Exception exception) when (exception is WebSocketException or XunitException { InnerException: WebSocketException })
        {
            // Killed, as planned.
        }
    }
}

public sealed class DurabilityOnSqlite() : DurabilityTests(ServerLaunch.Sqlite);

public sealed class DurabilityOnPostgres() : DurabilityTests(ServerLaunch.Postgres);
