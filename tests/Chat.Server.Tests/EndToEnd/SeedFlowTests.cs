using System.Text.Json;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>The first chat, as the README tells it.</summary>
public abstract class SeedFlowTests(ServerFixture fixture)
{
    private readonly RunningServer _server = fixture.Server;

    [Fact]
    public async Task The_commands_of_the_quick_start_work_to_the_letter()
    {
        // curl -X POST http://localhost:3000/auth/register -H "Content-Type: application/json" -d '...'
        Answer registered = await _server.PostAsync(
            "/auth/register", """{"email":"test@example.com","password":"pass123","username":"Test"}""");
        Assert.Equal(201, registered.Status);
        Assert.Equal("no-store", registered.Fields["Cache-Control"]);
        JsonElement user = registered.Json.GetProperty("user");
        Assert.Equal(("test@example.com", "Test"), (user.Text("email"), user.Text("username")));

        Answer loggedIn = await _server.PostAsync("/auth/login", """{"email":"test@example.com","password":"pass123"}""");
        Assert.Equal(200, loggedIn.Status);
        Assert.Equal(user.Number("id"), loggedIn.Json.GetProperty("user").Number("id"));
        TimeSpan lifetime = loggedIn.Json.GetProperty("expires_at").GetDateTimeOffset() - DateTimeOffset.UtcNow;
        Assert.InRange(lifetime, TimeSpan.FromHours(23.9), TimeSpan.FromHours(24));
        string token = loggedIn.Json.Text("token");

        Answer rooms = await _server.GetAsync("/rooms", token);
        Assert.Equal(200, rooms.Status);
        Assert.Equal([1, 2, 3], rooms.Json.EnumerateArray().Select(room => room.Number("id")).Take(3));
        Assert.Equal(["General", "Random", "Help"], rooms.Json.EnumerateArray().Select(room => room.Text("name")).Take(3));

        Answer sent = await _server.PostAsync("/rooms/1/messages", """{"content":"Hello"}""", token);
        Assert.Equal(201, sent.Status);
        Assert.Equal((1, "Hello"), (sent.Json.Number("seq"), sent.Json.Text("content")));

        using ChatSocket socket = await ChatSocket.ConnectAsync(_server, $"/ws/1?token={token}");
        JsonElement welcome = await socket.NextAsync("welcome");
        Assert.Equal((1, 1), (welcome.Number("room_id"), welcome.Number("seq")));
        Assert.Equal(user.Number("id"), welcome.GetProperty("user").Number("id"));
        Assert.Equal(25000, welcome.Number("ping_ms"));
        await socket.SendAsync("""{"content":"hi"}""");
        JsonElement message = await socket.NextAsync("message");
        Assert.Equal((2, "hi", "Test"), (message.Number("seq"), message.Text("content"), message.Text("username")));
        JsonElement ack = await socket.NextAsync("ack");
        Assert.Equal((2, message.Number("id")), (ack.Number("seq"), ack.Number("id")));

        Answer me = await _server.GetAsync("/auth/me", token);
        Assert.Equal(user.GetRawText(), me.Json.GetRawText());
    }

    [Fact]
    public async Task Two_clients_see_each_others_messages_in_one_order_without_holes()
    {
        User ann = await _server.RegisterAsync("Ann");
        User bob = await _server.RegisterAsync("Bob");
        long room = await _server.CreateRoomAsync(ann);
        using ChatSocket first = await _server.EnterAsync(ann, room);
        using ChatSocket second = await _server.EnterAsync(bob, room);

        await first.SayAsync("one", "n1");
        Assert.Equal("one", (await second.NextAsync("message")).Text("content"));
        await second.SayAsync("two");
        Assert.Equal(1, (await first.NextAsync("message")).Number("seq"));
        await first.SkipToAsync("message");
        await first.SayAsync("three");

        JsonElement two = await second.NextAsync("message");
        Assert.Equal((2, "two", bob.Id), (two.Number("seq"), two.Text("content"), two.Number("sender_id")));
        Assert.Equal(3, (await second.SkipToAsync("message")).Number("seq"));
        Assert.Equal(["one", "two", "three"], (await _server.HistoryAsync(ann, room)).Select(message => message.Text("content")));
    }

    [Fact]
    public async Task Everybody_sees_one_order_when_many_speak_at_once()
    {
        const int Clients = 5;
        const int MessagesEach = 100;
        User user = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);
        ChatSocket[] sockets = await Task.WhenAll(Enumerable.Range(0, Clients).Select(_ => _server.EnterAsync(user, room)));

        static async Task SendAsync(ChatSocket socket, int number)
        {
            for (int i = 0; i < MessagesEach; i++)
            {
                await socket.SayAsync($"{number}/{i}", $"{number}/{i}");
            }
        }

        static async Task<List<string>> ChatAsync(ChatSocket socket, int number)
        {
            Task sending = SendAsync(socket, number);
            var seen = new List<string>();
            var own = new Dictionary<string, long>();
            for (int acks = 0; acks < MessagesEach || seen.Count < Clients * MessagesEach;)
            {
                JsonElement next = await socket.NextAsync();
                if (next.Text("type") == "ack")
                {
                    acks++; // After its event, with its seq.
                    Assert.Equal(own[next.Text("nonce")], next.Number("seq"));
                    continue;
                }

                seen.Add(next.Text("content"));
                Assert.Equal(seen.Count, next.Number("seq"));
                own[next.Text("nonce")] = next.Number("seq");
            }

            await sending;
            return seen;
        }

        List<string>[] seen = await Task.WhenAll(sockets.Select(ChatAsync));

        Assert.All(seen, order => Assert.Equal(seen[0], order));
        Assert.Equal(seen[0], (await _server.HistoryAsync(user, room)).Select(message => message.Text("content")));
        Array.ForEach(sockets, socket => socket.Dispose());
    }

    [Fact]
    public async Task A_message_published_over_rest_reaches_the_sockets()
    {
        User user = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);
        using ChatSocket socket = await _server.EnterAsync(user, room);

        Answer answer = await _server.PostAsync($"/rooms/{room}/messages", """{"content":"from REST","nonce":"r1"}""", user.Token);

        Assert.Equal(201, answer.Status);
        JsonElement message = await socket.NextAsync("message");
        Assert.Equal(("from REST", "r1"), (message.Text("content"), message.Text("nonce")));
        foreach (string field in (string[])["room_id", "seq", "id", "sender_id"])
        {
            Assert.Equal(answer.Json.Number(field), message.Number(field));
        }

        Assert.Equal(answer.Json.Text("created_at"), message.Text("created_at"));
        await socket.NothingElseAsync(); // The acknowledgement was the 201.
    }

    [Fact]
    public async Task Content_comes_back_as_it_was_sent()
    {
        const string Content = "\"quotes\" \\ / \t\r\n é ☃ 👩‍👩‍👧 \u2028 </script> \u0001";
        User user = await _server.RegisterAsync("\"Zoë\" 👋");
        long room = await _server.CreateRoomAsync(user);
        using ChatSocket socket = await _server.EnterAsync(user, room);

        await socket.SayAsync(Content);

        JsonElement live = await socket.NextAsync("message");
        JsonElement stored = Assert.Single(await _server.HistoryAsync(user, room));
        Assert.Equal((Content, user.Username), (live.Text("content"), live.Text("username")));
        Assert.Equal((Content, user.Username), (stored.Text("content"), stored.Text("username")));
    }

    [Fact]
    public async Task One_socket_moves_between_many_rooms()
    {
        const int Rooms = 20;
        User user = await _server.RegisterAsync();
        using ChatSocket socket = await ChatSocket.ConnectAsync(_server, $"/ws?token={user.Token}");
        Assert.False((await socket.NextAsync("welcome")).TryGetProperty("room_id", out _));
        var rooms = new List<long>();
        for (int i = 0; i < Rooms; i++)
        {
            long room = await _server.CreateRoomAsync(user);
            await _server.PublishAsync(user, room, "before");
            await socket.SendAsync($$"""{"type":"subscribe","room_id":{{room}},"since":0}""");
            JsonElement welcome = await socket.NextAsync("welcome");
            Assert.Equal((room, 1, true), (welcome.Number("room_id"), welcome.Number("seq"), welcome.Flag("recovered")));
            Assert.Equal("before", (await socket.NextAsync("message")).Text("content"));
            rooms.Add(room);
        }

        foreach (long room in rooms)
        {
            await socket.SendAsync($$"""{"type":"message","room_id":{{room}},"content":"here","nonce":"in {{room}}"}""");
            Assert.Equal((room, 2), await socket.NextAsync("message") is var message ? (message.Number("room_id"), message.Number("seq")) : default);
            Assert.Equal($"in {room}", (await socket.NextAsync("ack")).Text("nonce"));
        }

        await socket.SendAsync("""{"type":"ping"}""");
        Assert.False((await socket.NextAsync("pong")).TryGetProperty("room_id", out _));
        var heads = new Dictionary<long, long>();
        for (int i = 0; i < Rooms; i++)
        {
            JsonElement pong = await socket.NextAsync("pong");
            heads.Add(pong.Number("room_id"), pong.Number("seq"));
        }

        Assert.Equal(rooms.ToDictionary(room => room, _ => 2L), heads);

        await socket.SendAsync($$"""{"type":"unsubscribe","room_id":{{rooms[0]}}}""");
        Assert.Equal(rooms[0], (await socket.NextAsync("unsubscribed")).Number("room_id"));
        await _server.PublishAsync(user, rooms[0], "unheard");
        await _server.PublishAsync(user, rooms[1], "heard");
        Assert.Equal("heard", (await socket.NextAsync("message")).Text("content"));
        await socket.SendAsync($$"""{"type":"unsubscribe","room_id":{{rooms[0]}}}""");
        Assert.Equal(rooms[0], (await socket.NextErrorAsync("not_subscribed")).Number("room_id"));
    }

    [Fact]
    public async Task A_pong_tells_the_head_of_the_room()
    {
        User user = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);
        using ChatSocket socket = await _server.EnterAsync(user, room);
        await _server.PublishAsync(user, room, "a");
        await socket.NextAsync("message");

        await socket.SendAsync("""{"type":"ping"}""");

        JsonElement pong = await socket.NextAsync("pong");
        Assert.Equal((room, 1), (pong.Number("room_id"), pong.Number("seq")));
    }

    [Fact]
    public async Task A_token_comes_in_a_field_a_subprotocol_or_the_query()
    {
        User user = await _server.RegisterAsync();

        using ChatSocket field = await ChatSocket.ConnectAsync(
            _server, "/ws/1", options => options.SetRequestHeader("Authorization", $"Bearer {user.Token}"));
        Assert.Null(field.SubProtocol);
        using ChatSocket subprotocol = await ChatSocket.ConnectAsync(_server, "/ws/1", options =>
        {
            options.AddSubProtocol("chat.v1");
            options.AddSubProtocol($"bearer.{user.Token}");
        });
        Assert.Equal("chat.v1", subprotocol.SubProtocol); // And never the token.
        using ChatSocket query = await ChatSocket.ConnectAsync(_server, $"/ws/1?token={user.Token}", options => options.AddSubProtocol("chat.v1"));
        Assert.Equal("chat.v1", query.SubProtocol);

        foreach (ChatSocket socket in (ChatSocket[])[field, subprotocol, query])
        {
            Assert.Equal(user.Id, (await socket.NextAsync("welcome")).GetProperty("user").Number("id"));
        }
    }

    [Fact]
    public async Task A_nonce_sent_again_gets_the_original_acknowledgement_and_nobody_sees_it_twice()
    {
        User user = await _server.RegisterAsync();
        User other = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);
        using ChatSocket socket = await _server.EnterAsync(user, room);
        await socket.SayAsync("once", "n");
        await socket.NextAsync("message");
        JsonElement original = await socket.NextAsync("ack");
        Assert.False(original.Flag("duplicate"));

        await socket.SayAsync("once", "n");
        JsonElement again = await socket.NextAsync("ack");
        Answer overRest = await _server.PostAsync($"/rooms/{room}/messages", """{"content":"once","nonce":"n"}""", user.Token);
        Answer ofAnother = await _server.PostAsync($"/rooms/{room}/messages", """{"content":"mine","nonce":"n"}""", other.Token);

        Assert.True(again.Flag("duplicate"));
        Assert.Equal((original.Number("seq"), original.Number("id")), (again.Number("seq"), again.Number("id")));
        Assert.Equal(201, overRest.Status);
        Assert.Equal((original.Number("id"), true), (overRest.Json.Number("id"), overRest.Json.Flag("duplicate")));
        Assert.Equal((2, false), (ofAnother.Json.Number("seq"), ofAnother.Json.Flag("duplicate")));
        Assert.Equal("mine", (await socket.NextAsync("message")).Text("content"));
        await socket.NothingElseAsync();
    }

    [Fact]
    public async Task A_nonce_sent_twice_at_once_is_one_message_with_two_acknowledgements()
    {
        User user = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);
        using RawClient client = await _server.UpgradeRawAsync($"/ws/{room}?token={user.Token}");
        Assert.Contains("welcome", await client.ReadEventAsync(), StringComparison.Ordinal);
        byte[] command = RawClient.Frame(RawClient.Text, """{"content":"x","nonce":"n"}""");

        await client.SendAsync([.. command, .. command]);

        var events = new List<JsonElement>();
        for (int i = 0; i < 3; i++)
        {
            events.Add(JsonElement.Parse(await client.ReadEventAsync()));
        }

        Assert.Single(events, next => next.Text("type") == "message");
        JsonElement[] acks = [.. events.Where(next => next.Text("type") == "ack")];
        Assert.Equal(2, acks.Length);
        Assert.All(acks, ack => Assert.Equal(1, ack.Number("seq")));
        Assert.Equal(1, acks.Count(ack => ack.Flag("duplicate")));
    }
}

public sealed class SeedFlowOnSqlite(SqliteServer fixture) : SeedFlowTests(fixture), IClassFixture<SqliteServer>;

public sealed class SeedFlowOnPostgres(PostgresServer fixture) : SeedFlowTests(fixture), IClassFixture<PostgresServer>;
