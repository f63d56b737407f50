using System.Text.Json;
using System.Text.RegularExpressions;

namespace Chat.Server.Tests.EndToEnd;

public abstract class RoomTests(ServerFixture fixture)
{
    private readonly RunningServer _server = fixture.Server;

    [Theory]
    [InlineData("99999")]
    [InlineData("0")]
    [InlineData("-1")]
    [InlineData("01")]
    [InlineData("+1")]
    [InlineData("1.0")]
    [InlineData("0x1")]
    [InlineData("general")]
    [InlineData("9223372036854775807")]
    [InlineData("9223372036854775808")]
    [InlineData("99999999999999999999999999")]
    public async Task A_room_that_does_not_exist_is_404_everywhere(string id)
    {
        User user = await _server.RegisterAsync();

        (await _server.GetAsync($"/rooms/{id}", user.Token)).IsProblem(404, "no_such_room");
        (await _server.GetAsync($"/rooms/{id}/messages", user.Token)).IsProblem(404, "no_such_room");
        (await _server.PostAsync($"/rooms/{id}/messages", """{"content":"x"}""", user.Token)).IsProblem(404, "no_such_room");
        (await _server.GetAsync($"/rooms/{id}/members", user.Token)).IsProblem(404, "no_such_room");
        (await _server.PostAsync($"/rooms/{id}/members", "", user.Token)).IsProblem(404, "no_such_room");
        (await _server.CallAsync(HttpMethod.Delete, $"/rooms/{id}/members", null, user.Token)).IsProblem(404, "no_such_room");
        Assert.Equal(404, await ChatSocket.RefusedAsync(_server, $"/ws/{id}?token={user.Token}"));
    }

    [Fact]
    public async Task A_new_room_is_listed_and_can_be_entered()
    {
        User user = await _server.RegisterAsync();
        string name = string.Concat(Enumerable.Repeat("é👋", 50)); // 100 characters.

        Answer created = await _server.PostAsync("/rooms", $$"""{"name":"  {{name}} "}""", user.Token);

        Assert.Equal((201, name), (created.Status, created.Json.Text("name")));
        long id = created.Json.Number("id");
        Assert.Equal($"/rooms/{id}", created.Fields["Location"]);
        await _server.PublishAsync(user, id, "x");
        JsonElement listed = (await _server.GetAsync("/rooms", user.Token)).Json.EnumerateArray().Single(room => room.Number("id") == id);
        Assert.Equal((name, 1), (listed.Text("name"), listed.Number("last_seq")));
        using ChatSocket socket = await _server.EnterAsync(user, id);
        Assert.Equal(1, (await _server.GetAsync($"/rooms/{id}", user.Token)).Json.Number("online"));
    }

    [Fact]
    public async Task Lists_of_rooms_and_members_come_by_pages_that_name_the_next()
    {
        User[] users = [await _server.RegisterAsync(), await _server.RegisterAsync(), await _server.RegisterAsync()];
        long[] made = [await _server.CreateRoomAsync(users[0]), await _server.CreateRoomAsync(users[1]), await _server.CreateRoomAsync(users[2])];
        foreach (User user in users)
        {
            Assert.Equal(204, (await _server.PostAsync($"/rooms/{made[0]}/members", "", user.Token)).Status);
        }

        IReadOnlyList<long> rooms = await IdsByPagesAsync($"/rooms?limit=2&after={made[0] - 1}", "id", 2);
        Assert.Equal(made, rooms.Where(made.Contains));
        Assert.Equal(rooms.Order(), rooms);
        Assert.Equal(users.Select(static user => user.Id), await IdsByPagesAsync($"/rooms/{made[0]}/members?limit=1", "user_id", 1));

        async Task<IReadOnlyList<long>> IdsByPagesAsync(string path, string id, int limit)
        {
            List<long> ids = [];
            for (string? next = path; next is not null;)
            {
                Answer page = await _server.GetAsync(next, users[0].Token);
                Assert.Equal(200, page.Status);
                ids.AddRange(page.Json.EnumerateArray().Select(element => element.Number(id)));
                string? link = page.Fields.GetValueOrDefault("Link");
                Assert.InRange(page.Json.GetArrayLength(), link is null ? 0 : limit, limit);
                next = link is null ? null : Regex.Match(link, "^<(/[^>]*)>; rel=\"next\"$").Groups[1].Value;
            }

            return ids;
        }
    }

    [Theory]
    [InlineData("limit=0")]
    [InlineData("limit=10001")]
    [InlineData("limit=99999999999999999999")]
    [InlineData("limit=ten")]
    [InlineData("after=-1")]
    [InlineData("after=")]
    public async Task A_page_that_no_list_has_is_refused(string query)
    {
        User user = await _server.RegisterAsync();
        (await _server.GetAsync($"/rooms?{query}", user.Token)).IsProblem(400, "bad_parameter");
        (await _server.GetAsync($"/rooms/1/members?{query}", user.Token)).IsProblem(400, "bad_parameter");
        Assert.Equal("[]", (await _server.GetAsync("/rooms?after=9223372036854775807", user.Token)).Text);
        Assert.Equal("[]", (await _server.GetAsync("/rooms/1/members?after=9223372036854775807&limit=10000", user.Token)).Text);
    }

    [Fact]
    public async Task Whoever_asks_for_the_rooms_gets_all_of_them_while_others_ask_and_rooms_are_made()
    {
        const int RequestsEach = 100;
        User user = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);
        string requests = string.Concat(
            Enumerable.Repeat($"GET /rooms HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {user.Token}\r\n\r\n", RequestsEach));

        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => AskAsync()).Append(MakeRoomsAsync()));

        async Task AskAsync()
        {
            using RawClient client = await _server.ConnectRawAsync();
            await client.SendAsync(requests);
            for (int i = 0; i < RequestsEach; i++)
            {
                using JsonDocument rooms = JsonDocument.Parse((await client.ReadResponseAsync()).Content);
                long[] ids = [.. rooms.RootElement.EnumerateArray().Select(static listed => listed.Number("id"))];
                Assert.Contains(room, ids);
                Assert.Equal(ids.Distinct().Order(), ids);
            }
        }

        async Task MakeRoomsAsync()
        {
            for (int i = 0; i < 20; i++)
            {
                await _server.CreateRoomAsync(user); // The list is read again: an answer that waits meanwhile.
            }
        }
    }

    [Theory]
    [InlineData("required", "{}")]
    [InlineData("required", """{"name":""}""")]
    [InlineData("required", """{"name":" \t "}""")]
    [InlineData("invalid", """{"name":"a\u0000b"}""")]
    [InlineData("invalid", """{"name":"a\nb"}""")]
    [InlineData("too_long", """{"name":"12345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901"}""")]
    public async Task A_bad_room_name_is_refused(string reason, string body)
    {
        User user = await _server.RegisterAsync();

        (await _server.PostAsync("/rooms", body, user.Token)).IsBadField("name", reason);
    }

    [Theory]
    [InlineData("content", "required", "{}")]
    [InlineData("content", "required", """{"content":null}""")]
    [InlineData("content", "required", """{"content":""}""")]
    [InlineData("content", "invalid", """{"content":"a\u0000b"}""")]
    [InlineData("nonce", "invalid", """{"content":"x","nonce":""}""")]
    [InlineData("nonce", "invalid", """{"content":"x","nonce":"a\nb"}""")]
    [InlineData("nonce", "invalid", """{"content":"x","nonce":"12345678901234567890123456789012345678901234567890123456789012345"}""")]
    public async Task A_bad_message_is_refused_and_takes_no_place(string field, string reason, string body)
    {
        User user = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);

        (await _server.PostAsync($"/rooms/{room}/messages", body, user.Token)).IsBadField(field, reason);
        Assert.Equal(1, await _server.PublishAsync(user, room, "x"));
    }

    [Theory]
    [InlineData("")]
    [InlineData("x")]
    [InlineData("""["x"]""")]
    [InlineData("""{"content":7}""")]
    [InlineData("""{"content":"\uD800"}""")]
    [InlineData("""{"content":"a","content":"b"}""")]
    public async Task A_message_of_another_shape_is_bad_json(string body)
    {
        User user = await _server.RegisterAsync();

        (await _server.PostAsync("/rooms/1/messages", body, user.Token)).IsProblem(400, "bad_json");
    }

    [Theory]
    [InlineData("x")]
    [InlineData("👋")]
    public async Task Content_of_4000_characters_is_stored_and_of_4001_is_refused(string character)
    {
        User user = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);
        string longest = string.Concat(Enumerable.Repeat(character, 4000));

        (await _server.PostAsync($"/rooms/{room}/messages", $$"""{"content":"{{longest + character}}"}""", user.Token)).IsBadField("content", "too_long");
        await _server.PublishAsync(user, room, longest); // With escapes, for what is not ASCII.

        Assert.Equal(longest, Assert.Single(await _server.HistoryAsync(user, room)).Text("content"));
    }

    [Fact]
    public async Task History_is_paged_in_both_directions()
    {
        User user = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);
        await _server.FillAsync(user, room, 205, "x");

        await PageAsync("", 156, 205, hasMore: true); // The newest 50.
        await PageAsync("?limit=200", 6, 205, hasMore: true);
        await PageAsync("?before=206&limit=2", 204, 205, hasMore: true);
        await PageAsync("?before=6&limit=5", 1, 5, hasMore: false);
        await PageAsync("?before=6&limit=4", 2, 5, hasMore: true);
        await PageAsync("?before=1", 1, 0, hasMore: false);
        await PageAsync("?before=0", 1, 0, hasMore: false);
        await PageAsync("?before=9223372036854775807&limit=1", 205, 205, hasMore: true);
        await PageAsync("?after=0&limit=200", 1, 200, hasMore: true);
        await PageAsync("?after=200", 201, 205, hasMore: false);
        await PageAsync("?after=204&limit=1", 205, 205, hasMore: false);
        await PageAsync("?after=205", 1, 0, hasMore: false);
        await PageAsync("?after=9223372036854775807", 1, 0, hasMore: false);

        async Task PageAsync(string query, int first, int last, bool hasMore)
        {
            Answer answer = await _server.GetAsync($"/rooms/{room}/messages{query}", user.Token);
            Assert.Equal(200, answer.Status);
            IEnumerable<long> seqs = answer.Json.GetProperty("messages").EnumerateArray().Select(message => message.Number("seq"));
            Assert.Equal(Enumerable.Range(first, last - first + 1).Select(seq => (long)seq), seqs);
            Assert.True(hasMore == answer.Json.Flag("has_more"), query);
        }
    }

    [Theory]
    [InlineData("limit=0")]
    [InlineData("limit=201")]
    [InlineData("limit=-1")]
    [InlineData("limit=x")]
    [InlineData("limit=")]
    [InlineData("limit=99999999999999999999")]
    [InlineData("before=-1")]
    [InlineData("after=-1")]
    [InlineData("after=1.5")]
    [InlineData("before=9223372036854775808")]
    [InlineData("before=5&after=1")]
    [InlineData("limit=%zz")]
    public async Task A_bad_page_is_refused(string query)
    {
        User user = await _server.RegisterAsync();

        (await _server.GetAsync($"/rooms/1/messages?{query}", user.Token)).IsProblem(400, "bad_parameter");
    }

    [Fact]
    public async Task Members_join_and_leave_and_join_by_coming_in()
    {
        User ann = await _server.RegisterAsync("Ann");
        User bob = await _server.RegisterAsync("Bob");
        long room = await _server.CreateRoomAsync(ann);

        Assert.Equal([], await MembersAsync());
        Assert.Equal(204, (await _server.PostAsync($"/rooms/{room}/members", "", ann.Token)).Status);
        Assert.Equal(204, (await _server.PostAsync($"/rooms/{room}/members", "", ann.Token)).Status);
        Assert.Equal(["Ann"], await MembersAsync());
        using (ChatSocket socket = await _server.EnterAsync(bob, room))
        {
            Assert.Equal(["Ann", "Bob"], await MembersAsync());
        }

        Assert.Equal(204, (await _server.CallAsync(HttpMethod.Delete, $"/rooms/{room}/members", null, bob.Token)).Status);
        Assert.Equal(204, (await _server.CallAsync(HttpMethod.Delete, $"/rooms/{room}/members", null, bob.Token)).Status);
        Assert.Equal(["Ann"], await MembersAsync());
        await _server.PublishAsync(bob, room, "back again");
        Assert.Equal(["Ann", "Bob"], await MembersAsync());

        async Task<IEnumerable<string>> MembersAsync() =>
            (await _server.GetAsync($"/rooms/{room}/members", ann.Token)).Json.EnumerateArray().Select(member => member.Text("username")).Order();
    }
}

public sealed class RoomsOnSqlite(SqliteServer fixture) : RoomTests(fixture), IClassFixture<SqliteServer>;

public sealed class RoomsOnPostgres(PostgresServer fixture) : RoomTests(fixture), IClassFixture<PostgresServer>;
