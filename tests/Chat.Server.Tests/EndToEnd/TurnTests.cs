namespace Chat.Server.Tests.EndToEnd;

/// <summary>A shard's thread serves every room it has: in a turn it waits for nothing and nobody.</summary>
public sealed class TurnTests
{
    /// <summary>One message a turn: the sender waits for each before the next.</summary>
    private const int Messages = 3000;

    private const int Members = 10;

    /// <summary>
    /// A collection stops every thread that runs managed code, and growing memory can make one wait for another: a few times for each
    /// collection, and not once a message.
    /// </summary>
    private const int SwitchesPerCollection = 4;

    private const int SwitchesOtherwise = Messages / 20;

    private static readonly ServerLaunch OneShard = ServerLaunch.Sqlite.With("TRANSPORT", "shards").With("SHARDS", "1");

    [Fact]
    public async Task A_shards_thread_waits_for_nothing_but_work()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "the shards' threads are Linux's");
        await using RunningServer server = await RunningServer.StartAsync(OneShard);
        User user = await server.RegisterAsync();
        long room = await server.CreateRoomAsync(user);
        ChatSocket[] members = await Task.WhenAll(Enumerable.Range(0, Members).Select(_ => server.EnterAsync(user, room)));
        await ChatAsync(members[0], Messages / 3); // What the runtime does the first times, locks of the loader included, is behind it then.
        Task[] others = [.. members[1..].Select(member => member.NextMessagesAsync(1, Messages))];

        (long switches, long waits, long collections) before = await CountsAsync(server);
        await ChatAsync(members[0], Messages - (Messages / 3));
        (long switches, long waits, long collections) after = await CountsAsync(server);

        await Task.WhenAll(others);
        long allowed = after.waits - before.waits + ((after.collections - before.collections) * SwitchesPerCollection) + SwitchesOtherwise;
        TestContext.Current.TestOutputHelper?.WriteLine($"{after.switches - before.switches} switches, {after.waits - before.waits} waits, {after.collections - before.collections} collections");
        Assert.InRange(after.switches - before.switches, 1, allowed);
        Array.ForEach(members, member => member.Dispose());
    }

    /// <summary>Members on two shards, a small ring, and senders that do not wait: most messages find it full. No thread waits for that, and nothing is lost.</summary>
    [Theory]
    [InlineData("shards")]
    [InlineData("sockets")]
    public async Task A_message_that_finds_the_ring_full_has_its_sender_wait_and_no_thread(string transport)
    {
        bool isShards = transport == "shards";
        Assert.SkipUnless(!isShards || OperatingSystem.IsLinux(), "the shards' threads are Linux's");
        const int Senders = 4;
        const int Each = Messages / Senders;
        const int Posts = 50;
        await using RunningServer server = await RunningServer.StartAsync(
            ServerLaunch.Sqlite.With("TRANSPORT", transport).With("SHARDS", "2").With("RING_BYTES_MAX", "8192").With("CONTENT_CHARS_MAX", "500"));
        User user = await server.RegisterAsync();
        long room = await server.CreateRoomAsync(user);
        ChatSocket[] members = await Task.WhenAll(Enumerable.Range(0, Members).Select(_ => server.EnterAsync(user, room)));
        await ChatAsync(members[0], Messages / 3);
        Task<(int Messages, int Refused)>[] seen = [.. members.Select(CountAsync)];

        (long switches, long waits, long collections) before = await CountsAsync(server);
        Task<int> refusedPosts = PostAsync();
        await Task.WhenAll(members[..Senders].Select(async member =>
        {
            for (int i = 0; i < Each; i++)
            {
                await member.SayAsync(new string('x', 400));
            }
        }));
        int posted = Posts - await refusedPosts;
        await Task.WhenAll(members[..Senders].Select(static member => member.SayAsync("the end")));
        (int Messages, int Refused)[] counts = await Task.WhenAll(seen);
        (long switches, long waits, long collections) after = await CountsAsync(server);

        long allowed = after.waits - before.waits + ((after.collections - before.collections) * SwitchesPerCollection * 2) + SwitchesOtherwise;
        TestContext.Current.TestOutputHelper?.WriteLine($"{counts[^1].Messages} messages, {after.switches - before.switches} switches, {after.waits - before.waits} waits, {after.collections - before.collections} collections");
        Assert.InRange(after.switches - before.switches, isShards ? 1 : 0, allowed);
        int accepted = (Messages / 3) + Messages + posted + Senders - counts.Sum(static count => count.Refused);
        Assert.All(counts[1..], count => Assert.Equal(accepted, count.Messages));
        Array.ForEach(members, member => member.Dispose());

        async Task<int> PostAsync()
        {
            int refused = 0;
            for (int i = 0; i < Posts; i++)
            {
                Answer answer = await server.PostAsync($"/rooms/{room}/messages", """{"content":"posted"}""", user.Token);
                Assert.Contains(answer.Status, new[] { 201, 503 });
                refused += answer.Status == 503 ? 1 : 0;
            }

            return refused;
        }

        async Task<(int Messages, int Refused)> CountAsync(ChatSocket member)
        {
            int messages = 0;
            int refused = 0;
            for (int ended = 0; ended < Senders;)
            {
                System.Text.Json.JsonElement next = await member.NextAsync();
                refused += next.Text("type") == "error" ? 1 : 0;
                if (next.Text("type") == "message")
                {
                    messages++;
                    ended += next.Text("content") == "the end" ? 1 : 0;
                }
            }

            return (messages, refused);
        }
    }

    [Fact]
    public async Task Live_messages_do_not_wait_for_a_locked_database()
    {
        await using RunningServer server = await RunningServer.StartAsync(ServerLaunch.Sqlite.With("DELIVERY", "immediate"));
        User user = await server.RegisterAsync();
        long room = await server.CreateRoomAsync(user);
        using ChatSocket sender = await server.EnterAsync(user, room);
        using ChatSocket reader = await server.EnterAsync(user, room);
        await using (await server.LockDatabaseAsync())
        {
            for (int i = 0; i < 50; i++)
            {
                await sender.SayAsync($"message {i}", $"n{i}");
            }

            await reader.NextMessagesAsync(1, 50);
            Assert.Equal(0, await server.MetricAsync("chat_message_log_committed_total"));
        }

        for (int acks = 0; acks < 50;)
        {
            acks += (await sender.NextAsync()).Text("type") == "ack" ? 1 : 0;
        }
    }

    [Fact]
    public async Task What_was_said_last_of_a_room_holds_however_long_the_database_takes()
    {
        await using RunningServer server = await RunningServer.StartAsync(ServerLaunch.Sqlite);
        long room = await server.CreateRoomAsync(await server.RegisterAsync());
        User stranger = await server.RegisterAsync();
        using ChatSocket socket = await ChatSocket.ConnectAsync(server, $"/ws?token={stranger.Token}");
        await socket.NextAsync("welcome");
        await using (await server.LockDatabaseAsync())
        {
            foreach (string type in (string[])["subscribe", "unsubscribe", "subscribe", "subscribe", "unsubscribe"])
            {
                await socket.SendAsync($$"""{"type":"{{type}}","room_id":{{room}}}""");
            }

            await socket.SendAsync("""{"type":"ping"}""");
            await socket.NextAsync("pong"); // All have been read.
        }

        foreach (string answer in (string[])["welcome", "unsubscribed", "welcome", "welcome", "unsubscribed"])
        {
            Assert.Equal(room, (await socket.NextAsync(answer)).Number("room_id"));
        }

        await socket.SendAsync("""{"type":"ping"}""");
        await socket.NextAsync("pong");
        await socket.NothingElseAsync();
    }

    /// <summary>Speaks, and waits each time for its own message.</summary>
    private static async Task ChatAsync(ChatSocket member, int count)
    {
        for (int i = 0; i < count; i++)
        {
            await member.SayAsync("x");
            while ((await member.NextAsync()).Text("type") != "message")
            {
                // The acknowledgement of an earlier one.
            }
        }
    }

    /// <summary>Of the shards' threads: how often they gave their core away to wait, and how often the shards say that they did; and collections.</summary>
    private static async Task<(long Switches, long Waits, long Collections)> CountsAsync(RunningServer server)
    {
        long waits = await server.MetricAsync("chat_shard_waits_total");
        long collections = await server.MetricAsync("chat_gc_collections_total");
        long switches = Directory.GetDirectories($"/proc/{server.Process.Id}/task")
            .Where(task => File.ReadAllText(Path.Combine(task, "comm")).StartsWith("shard ", StringComparison.Ordinal))
            .SelectMany(task => File.ReadAllLines(Path.Combine(task, "status")))
            .Where(line => line.StartsWith("voluntary_ctxt_switches:", StringComparison.Ordinal))
            .Sum(line => long.Parse(line.Split('\t')[1], System.Globalization.CultureInfo.InvariantCulture));
        return (switches, waits, collections);
    }
}
