using System.Text.Json;
using Chat.TestKit;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>What one server promises holds whichever of two a client talks to.</summary>
public sealed class NodesOnPostgres(NodePairFixture fixture) : IClassFixture<NodePairFixture>
{
    [Fact]
    public async Task A_room_has_one_order_on_all_nodes()
    {
        NodePair nodes = fixture.Nodes;
        (User ann, User bob) = (await nodes.First.RegisterAsync("Ann"), await nodes.Second.RegisterAsync("Bob"));
        long room = await nodes.First.CreateRoomAsync(ann);
        using ChatSocket first = await nodes.First.EnterAsync(ann, room);
        using ChatSocket second = await nodes.Second.EnterAsync(bob, room);
        const int Each = 300;

        await Task.WhenAll(NodePair.SayAsync(first, Each, "a"), NodePair.SayAsync(second, Each, "b"));
        List<(long, long, string)>[] seen = await Task.WhenAll(NodePair.SeenAsync(first, 2 * Each), NodePair.SeenAsync(second, 2 * Each));

        Assert.Equal(Enumerable.Range(1, 2 * Each).Select(seq => (long)seq), seen[0].Select(message => message.Item1));
        Assert.Equal(seen[0], seen[1]);
        Assert.Equal(seen[0], (await nodes.Second.HistoryAsync(ann, room)).Select(NodePair.Parts));
        Assert.Equal(2 * Each, seen[0].Select(message => message.Item2).Distinct().Count());
    }

    [Fact]
    public async Task A_message_sent_again_to_another_node_is_the_same_message()
    {
        NodePair nodes = fixture.Nodes;
        using NodeRoom entered = await nodes.EnterAsync();
        (_, _, ChatSocket first, ChatSocket second) = entered;

        await first.SayAsync("once", "n1");
        JsonElement message = await first.NextAsync("message");
        JsonElement ack = await first.NextAsync("ack");
        Assert.Equal(message.Number("id"), (await second.NextAsync("message")).Number("id"));
        await second.SayAsync("once", "n1");
        JsonElement again = await second.NextAsync("ack");

        Assert.True(again.Flag("duplicate"));
        Assert.Equal((ack.Number("seq"), ack.Number("id")), (again.Number("seq"), again.Number("id")));
        await first.NothingElseAsync();
        await second.NothingElseAsync();
    }

    [Fact]
    public async Task A_message_sent_to_both_nodes_at_once_is_one_message()
    {
        NodePair nodes = fixture.Nodes;
        using NodeRoom entered = await nodes.EnterAsync();
        (User ann, long room, ChatSocket first, ChatSocket second) = entered;
        const int Count = 100;

        for (int i = 0; i < Count; i++)
        {
            await Task.WhenAll(first.SayAsync($"{i}", $"n{i}"), second.SayAsync($"{i}", $"n{i}"));
        }

        Dictionary<string, long>[] acks = await Task.WhenAll(NodePair.AcksAsync(first, Count), NodePair.AcksAsync(second, Count));
        IReadOnlyList<JsonElement> history = await nodes.First.HistoryAsync(ann, room);
        Assert.Equal(Count, history.Count);
        Assert.All(history, message => Assert.All(acks, ack => Assert.Equal(message.Number("seq"), ack[message.Text("nonce")])));
    }

    [Fact]
    public async Task Nonsense_on_Redis_is_ignored()
    {
        NodePair nodes = fixture.Nodes;
        using NodeRoom entered = await nodes.EnterAsync();
        (_, long room, ChatSocket first, ChatSocket second) = entered;
        string cluster = (string)(await nodes.First.ScalarSqlAsync("SELECT cluster FROM server_state"))!;

        await nodes.Redis.SendAsync($"PUBLISH chat:{cluster}:room:{room} nonsense");
        await nodes.Redis.SendAsync($"PUBLISH chat:{cluster}:room:{room} \u0001");
        await nodes.Redis.SendAsync($"PUBLISH chat:{cluster}:presence nonsense");
        await first.SayAsync("sense");

        Assert.Equal("sense", (await second.NextAsync("message")).Text("content"));
        await second.NothingElseAsync();
    }

    [Fact]
    public async Task Who_leaves_by_one_node_and_comes_back_by_the_other_is_a_member_again()
    {
        NodePair nodes = fixture.Nodes;
        User ann = await nodes.First.RegisterAsync();
        long room = await nodes.First.CreateRoomAsync(ann);
        (await nodes.Second.EnterAsync(ann, room)).Dispose();

        Assert.Equal(204, (await nodes.First.CallAsync(HttpMethod.Delete, $"/rooms/{room}/members", token: ann.Token)).Status);
        Assert.Equal(0, (await nodes.Second.GetAsync($"/rooms/{room}/members", ann.Token)).Json.GetArrayLength());
        (await nodes.Second.EnterAsync(ann, room)).Dispose();

        Assert.Equal(1, (await nodes.First.GetAsync($"/rooms/{room}/members", ann.Token)).Json.GetArrayLength());
    }
}

/// <summary>And when one of them fails, or what they share.</summary>
public sealed class NodeFaultsOnPostgres
{
    [Fact]
    public async Task What_a_client_has_seen_of_one_node_the_other_has_when_it_comes_there()
    {
        await using NodePair nodes = await NodePair.StartAsync();
        User ann = await nodes.First.RegisterAsync();
        long room = await nodes.First.CreateRoomAsync(ann);
        (await nodes.Second.EnterAsync(ann, room)).Dispose(); // It has loaded the room, and hears of it.
        await nodes.Redis.StopAsync(); // But not any more.

        for (int i = 1; i <= 20; i++)
        {
            long seq = await nodes.First.PublishAsync(ann, room, $"{i}");
            Assert.Equal(seq, (await nodes.Second.GetAsync($"/rooms/{room}/messages?limit=1", ann.Token)).Json.GetProperty("messages")[0].Number("seq"));
            using ChatSocket socket = await nodes.Second.EnterAsync(ann, room, $"&since={seq}&epoch=1");
            Assert.True(socket.Welcome.Flag("recovered"));
            Assert.Equal(JsonValueKind.Null, socket.Welcome.GetProperty("rolled_back_to").ValueKind);
            Assert.Equal(seq, socket.Welcome.Number("seq"));
        }

        using ChatSocket late = await nodes.Second.EnterAsync(ann, room, "&since=5&epoch=1");
        await late.NextMessagesAsync(6, 15);
    }

    [Fact]
    public async Task Without_Redis_messages_are_late_and_not_lost()
    {
        await using NodePair nodes = await NodePair.StartAsync();
        using NodeRoom entered = await nodes.EnterAsync();
        (User ann, long room, ChatSocket first, ChatSocket second) = entered;

        await nodes.Redis.StopAsync();
        await nodes.Second.MetricBecomesAsync("chat_broker_connected", value => value == 0);
        for (int i = 1; i <= 50; i++)
        {
            await first.SayAsync($"{i}");
        }

        await second.NextMessagesAsync(1, 50);
        Answer ready = await nodes.Second.GetAsync("/readyz");
        Assert.Equal((200, false), (ready.Status, ready.Json.GetProperty("broker").GetBoolean()));
        Assert.True(await nodes.Second.MetricAsync("chat_node_events_read_total") >= 50);

        await nodes.Redis.StartAgainAsync();
        await nodes.Second.MetricBecomesAsync("chat_broker_connected", value => value == 1);
        long received = await nodes.Second.MetricAsync("chat_node_events_received_total");
        await nodes.Second.AskUntilAsync(
            async () =>
            {
                await nodes.First.PublishAsync(ann, room, "back");
                return await nodes.Second.MetricAsync("chat_node_events_received_total") > received;
            },
            Deadline.ForAnswer,
            () => "Nothing comes through Redis.");
    }

    [Fact]
    public async Task A_Redis_that_does_not_answer_delays_nobody_s_acknowledgement()
    {
        await using NodePair nodes = await NodePair.StartAsync();
        using NodeRoom entered = await nodes.EnterAsync();
        (User ann, long room, ChatSocket first, ChatSocket second) = entered;
        const int Messages = 1000;
        string content = new('x', 4000);

        await nodes.Redis.PauseAsync(TimeSpan.FromMinutes(10));
        Task acknowledged = AcknowledgedAsync();
        Task<IReadOnlyList<JsonElement>> seen = second.NextMessagesAsync(1, Messages);
        for (int i = 1; i <= Messages; i++) // Megabytes: more than sockets take.
        {
            await first.SayAsync(content);
        }

        await acknowledged;
        await seen;
        (await nodes.Second.EnterAsync(ann, await nodes.First.CreateRoomAsync(ann))).Dispose(); // Nor is a room kept waiting that is loaded now.

        async Task AcknowledgedAsync()
        {
            for (int i = 1; i <= Messages; i++)
            {
                await first.SkipToAsync("ack");
            }
        }
    }

    [Fact]
    public async Task Who_is_online_on_any_node_counts()
    {
        await using NodePair nodes = await NodePair.StartAsync();
        using NodeRoom entered = await nodes.EnterAsync();
        (User ann, long room, _, _) = entered;
        using ChatSocket third = await nodes.Second.EnterAsync(ann, room);

        await OnlineBecomesAsync(nodes.First, 3);
        await OnlineBecomesAsync(nodes.Second, 3);
        await third.CloseAsync();
        await OnlineBecomesAsync(nodes.First, 2);
        await nodes.Second.Process.KillAsync();
        await OnlineBecomesAsync(nodes.First, 1);

        Task OnlineBecomesAsync(RunningServer node, long count) => node.AskUntilAsync(
            async () => (await node.GetAsync($"/rooms/{room}", ann.Token)).Json.Number("online") == count,
            Deadline.ForAnswer,
            () => $"There are not {count} online.");
    }

    [Fact]
    public async Task A_node_starts_and_serves_without_Redis()
    {
        Assert.SkipWhen(NodePair.WhyUnavailable is not null, NodePair.WhyUnavailable ?? "");
        await using RunningServer node = await RunningServer.StartAsync(ServerLaunch.Postgres.With("REDIS_URL", $"redis://127.0.0.1:{FreePort.Next()}"));
        User ann = await node.RegisterAsync();
        long room = await node.CreateRoomAsync(ann);
        using ChatSocket socket = await node.EnterAsync(ann, room);

        await socket.SayAsync("alone");

        Assert.Equal("alone", (await socket.NextAsync("message")).Text("content"));
        await socket.NextAsync("ack");
        Assert.Contains("Redis is away", node.Process.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_node_that_is_killed_takes_nothing_acknowledged_with_it()
    {
        await using NodePair nodes = await NodePair.StartAsync();
        using NodeRoom entered = await nodes.EnterAsync();
        (User ann, long room, ChatSocket first, ChatSocket second) = entered;

        await NodePair.SayAsync(first, 200, "n");
        await first.SkipToAsync("ack");
        await nodes.First.Process.KillAsync();
        await NodePair.SayAsync(second, 200, "n"); // The same again, whether the dead node stored them or not.
        Dictionary<string, long> acks = await NodePair.AcksAsync(second, 200);
        IReadOnlyList<JsonElement> history = await nodes.Second.HistoryAsync(ann, room);
        Assert.Equal(Enumerable.Range(1, 200).Select(seq => (long)seq), history.Select(message => message.Number("seq")));
        Assert.All(history, message => Assert.Equal(message.Number("seq"), acks[message.Text("nonce")]));

        await nodes.First.StartAgainAsync();
        using ChatSocket back = await nodes.First.EnterAsync(ann, room, "&since=150&epoch=1");
        await back.NextMessagesAsync(151, 50);
        await second.SayAsync("still here");
        Assert.Equal("still here", (await back.NextAsync("message")).Text("content"));
    }

    [Fact]
    public async Task A_database_that_crashes_and_returns_loses_and_doubles_nothing()
    {
        Assert.SkipWhen(NodePair.WhyUnavailable is not null, NodePair.WhyUnavailable ?? "");
        await using PostgresCluster cluster = await PostgresCluster.StartAsync(fsync: true);
        await using NodePair nodes = await NodePair.StartAsync(await cluster.CreateDatabaseAsync());
        using NodeRoom entered = await nodes.EnterAsync();
        (User ann, long room, ChatSocket first, ChatSocket second) = entered;
        const int EachMax = 1_000;
        Dictionary<string, long>[] acks = [[], []];
        int sent = 0;

        for (int i = 0; i < 3; i++)
        {
            int before = sent;
            Task stopping = cluster.StopAsync();
            for (; !stopping.IsCompleted && sent - before < EachMax; sent++)
            {
                await first.SayAsync($"{sent}", $"a{sent}");
                await second.SayAsync($"{sent}", $"b{sent}");
            }

            await stopping;
            await cluster.StartAgainAsync();
            acks[0] = acks[0].Concat(await NodePair.AcksAsync(first, sent - before)).ToDictionary();
            acks[1] = acks[1].Concat(await NodePair.AcksAsync(second, sent - before)).ToDictionary();
        }

        IReadOnlyList<JsonElement> history = await nodes.First.HistoryAsync(ann, room);
        Assert.Equal(Enumerable.Range(1, 2 * sent).Select(seq => (long)seq), history.Select(message => message.Number("seq")));
        Assert.All(history, message =>
        {
            string nonce = message.Text("nonce");
            Assert.Equal(message.Number("seq"), acks[nonce[0] == 'a' ? 0 : 1][nonce]);
        });
    }

    [Fact]
    public async Task A_server_that_wants_the_database_alone_and_nodes_refuse_each_other()
    {
        await using NodePair nodes = await NodePair.StartAsync();
        string database = nodes.First.Launch.Settings["DATABASE_URL"];

        await RefusedAsync(ServerLaunch.Postgres.With("DATABASE_URL", database));

        User ann = await nodes.First.RegisterAsync();
        long room = await nodes.First.CreateRoomAsync(ann);
        Assert.Equal(1, await nodes.Second.PublishAsync(ann, room, "the nodes go on"));
        foreach (RunningServer node in new[] { nodes.First, nodes.Second })
        {
            node.Process.Terminate();
            Assert.Equal(0, await node.Process.ExitAsync());
        }

        await using RunningServer alone = await RunningServer.StartAsync(ServerLaunch.Postgres, database);
        Assert.Equal(2, await alone.PublishAsync(ann, room, "and so does one"));
        await RefusedAsync(nodes.First.Launch);

        async Task RefusedAsync(ServerLaunch launch)
        {
            using var folder = new TempFolder();
            await using ServerProcess process = ServerProcess.Start(launch, folder.Path);
            Assert.Equal(1, await process.ExitAsync());
            Assert.Contains("Another server uses this database.", process.Output);
        }
    }
}
