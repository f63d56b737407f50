using System.Text;
using System.Text.Json;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>Clients that send faster than they may.</summary>
public sealed class RateLimitTests(RateLimitTests.Fixture fixture) : IClassFixture<RateLimitTests.Fixture>
{
    private const int RoomsPerUser = 3;

    private readonly RunningServer _server = fixture.Server;

    [Fact]
    public async Task What_is_too_fast_is_refused_with_its_nonce_and_the_time_to_wait()
    {
        User user = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);
        using ChatSocket socket = await _server.EnterAsync(user, room);
        for (int i = 0; i < 7; i++) // 5 at once, then 1 a second.
        {
            await socket.SayAsync("x", $"n{i}");
        }

        JsonElement refused = await socket.SkipToAsync("error");
        Assert.Equal(("rate_limited", room), (refused.Text("code"), refused.Number("room_id")));
        Assert.InRange(refused.Number("retry_after_ms"), 1, 3000);
        Assert.Matches("^n[56]$", refused.Text("nonce"));
    }

    [Fact]
    public async Task A_client_that_goes_on_is_closed_with_4101_and_harms_nobody_else()
    {
        User flooder = await _server.RegisterAsync();
        User other = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(other);
        using ChatSocket reader = await _server.EnterAsync(other, room);
        using ChatSocket socket = await _server.EnterAsync(flooder, room);
        Task<int> closed = socket.ClosedAsync();
        for (int i = 0; i < 200 && !closed.IsCompleted && await socket.TrySayAsync("x", $"n{i}"); i++)
        {
        }

        Assert.Equal(4101, await closed);
        await reader.SayAsync("still here", "mine");
        JsonElement ack = await reader.SkipToAsync("ack");
        Assert.InRange(ack.Number("seq"), 6, 50); // The flooder's burst got through, the flood did not.
        Assert.True(await _server.MetricAsync("chat_rate_limited_total") > 0);
    }

    [Fact]
    public async Task A_users_sockets_and_calls_share_a_limit()
    {
        User user = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);
        Answer answer = await SayAsync(user, room);
        for (int i = 0; i < 50 && answer.Status == 201; i++) // 10 at once over all, then 2 a second.
        {
            answer = await SayAsync(user, room);
        }

        answer.IsProblem(429, "rate_limited");
        Assert.InRange(int.Parse(answer.Fields["Retry-After"], System.Globalization.CultureInfo.InvariantCulture), 1, 5);

        User other = await _server.RegisterAsync();
        Assert.Equal(201, (await SayAsync(other, room)).Status);
    }

    [Fact]
    public async Task A_user_can_make_so_many_rooms()
    {
        User user = await _server.RegisterAsync();
        (await _server.PostAsync("/rooms", """{"name":""}""", user.Token)).IsBadField("name", "required"); // Not counted.
        for (int i = 0; i < RoomsPerUser; i++)
        {
            await _server.CreateRoomAsync(user);
        }

        Answer answer = await _server.PostAsync("/rooms", """{"name":"one more"}""", user.Token);
        answer.IsProblem(429, "too_many_rooms");
        Assert.InRange(int.Parse(answer.Fields["Retry-After"], System.Globalization.CultureInfo.InvariantCulture), 1, 3600 / RoomsPerUser);
        await _server.CreateRoomAsync(await _server.RegisterAsync());
    }

    [Fact]
    public async Task Pings_and_commands_that_make_no_sense_are_counted_as_well()
    {
        User user = await _server.RegisterAsync();
        using ChatSocket socket = await _server.EnterAsync(user, 1);
        Task<int> closed = socket.ClosedAsync();
        try
        {
            for (int i = 0; i < 2000 && !closed.IsCompleted; i++)
            {
                await socket.SendAsync(i % 2 == 0 ? """{"type":"ping"}""" : "?");
            }
        }
        catch (System.Net.WebSockets.WebSocketException)
        {
            // Closed meanwhile.
        }

        Assert.Equal(4101, await closed);
    }

    [Theory]
    [InlineData(0x80 | RawClient.Pong, 2_000)]
    [InlineData(RawClient.Continuation, 200_000)] // Of a message that never ends: 1.2 MB, but more work than bytes.
    public async Task Frames_that_ask_for_nothing_are_counted_as_well(int first, int count)
    {
        User user = await _server.RegisterAsync();
        using RawClient client = await _server.UpgradeRawAsync($"/ws/1?token={user.Token}");
        byte[] frame = RawClient.Frame(first, []);
        byte[] frames = [.. Enumerable.Repeat(frame, 1000).SelectMany(static bytes => bytes)];
        await client.SendAsync(RawClient.Frame(RawClient.Text, "{"u8));

        Assert.Equal(4101, await FloodAsync(client, frames, count / 1000));
    }

    [Theory]
    [InlineData(0x80 | RawClient.Continuation)] // Their message ends with them.
    [InlineData(0x80 | RawClient.Ping)] // It does not, and a control frame is what the read ends with.
    public async Task Fragments_count_whatever_follows_them(int last)
    {
        await using RunningServer server = await RunningServer.StartAsync(ServerLaunch.Sqlite
            .With("RATE_LIMITS", "on")
            .With("CONNECTION_COMMANDS_PER_S", "0")
            .With("USER_COMMANDS_PER_S", "0"));
        User user = await server.RegisterAsync();
        using RawClient client = await server.UpgradeRawAsync($"/ws/1?token={user.Token}");
        byte[] start = RawClient.Frame(RawClient.Text, "{"u8);
        byte[] rest = [.. Enumerable.Repeat(RawClient.Frame(RawClient.Continuation, []), 2000).SelectMany(static bytes => bytes), .. RawClient.Frame(last, [])];
        bool isWhole = last == (0x80 | RawClient.Continuation);
        if (!isWhole)
        {
            await client.SendAsync(start);
        }

        Assert.Equal(4101, await FloodAsync(client, isWhole ? [.. start, .. rest] : rest, count: 120)); // 1.4 MB.
    }

    [Fact]
    public async Task A_long_message_in_fragments_of_a_byte_is_within_the_rate()
    {
        User user = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);
        using RawClient client = await _server.UpgradeRawAsync($"/ws/{room}?token={user.Token}");
        await client.ReadEventAsync();
        string text = new('x', 4000);
        byte[] message = Encoding.UTF8.GetBytes($$"""{"type":"message","content":"{{text}}"}""");
        await client.SendAsync([
            .. RawClient.Frame(RawClient.Text, message.AsSpan(0, 1)),
            .. message.Skip(1).SelectMany(static octet => RawClient.Frame(RawClient.Continuation, [octet])),
            .. RawClient.Frame(0x80 | RawClient.Continuation, []),
        ]);

        Assert.Equal(text, JsonElement.Parse(await client.ReadEventAsync()).Text("content"));
    }

    [Fact]
    public async Task A_message_in_fragments_of_a_byte_that_is_too_long_is_told_so_to_who_owes_nothing()
    {
        User user = await _server.RegisterAsync();
        using RawClient client = await _server.UpgradeRawAsync($"/ws/1?token={user.Token}");
        byte[] frames = [.. Enumerable.Repeat(RawClient.Frame(RawClient.Continuation, " "u8), 1000).SelectMany(static bytes => bytes)];
        await client.SendAsync(RawClient.Frame(RawClient.Text, "{"u8));

        Assert.Equal(1009, await FloodAsync(client, frames, count: 66)); // Over 64 KiB, and as the rates count it less than the burst of 5 MB.
    }

    /// <summary>Sends them so many times, or until it is closed. Returns the close code.</summary>
    private static async Task<int> FloodAsync(RawClient client, byte[] frames, int count)
    {
        Task<(int Code, string Reason)> close = client.ReadCloseAsync();
        await client.FloodAsync(frames, count, until: close);
        return (await close).Code;
    }

    private Task<Answer> SayAsync(User user, long room) => _server.PostAsync($"/rooms/{room}/messages", """{"content":"x"}""", user.Token);

    public sealed class Fixture() : ServerFixture(ServerLaunch.Sqlite
        .With("RATE_LIMITS", "on")
        .With("CONNECTION_MESSAGES_PER_S", "1")
        .With("CONNECTION_COMMANDS_PER_S", "20")
        .With("USER_MESSAGES_PER_S", "2")
        .With("ROOMS_PER_USER_MAX", $"{RoomsPerUser}"));
}
