using System.Text.Json;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>Coming back with the last seq that was seen.</summary>
public abstract class ResumeTests(ServerFixture fixture)
{
    private readonly RunningServer _server = fixture.Server;

    [Fact]
    public async Task What_was_missed_comes_after_the_welcome_and_before_live_events()
    {
        (User user, long room, long epoch) = await RoomWithMessagesAsync(10);

        using ChatSocket socket = await _server.EnterAsync(user, room, $"&since=4&epoch={epoch}");

        IsRecovered(socket.Welcome, seq: 10);
        await socket.NextMessagesAsync(5, 6);
        await _server.PublishAsync(user, room, "live");
        await socket.NextMessagesAsync(11, 1);
    }

    [Fact]
    public async Task A_client_that_missed_nothing_gets_nothing()
    {
        (User user, long room, long epoch) = await RoomWithMessagesAsync(3);

        using ChatSocket socket = await _server.EnterAsync(user, room, $"&since=3&epoch={epoch}");

        IsRecovered(socket.Welcome, seq: 3);
        await socket.NothingElseAsync();
    }

    [Fact]
    public async Task A_client_without_since_gets_only_what_comes()
    {
        (User user, long room, _) = await RoomWithMessagesAsync(3);

        using ChatSocket socket = await _server.EnterAsync(user, room);

        Assert.Equal((3, false), (socket.Welcome.Number("seq"), socket.Welcome.Flag("recovered")));
        await socket.NothingElseAsync();
    }

    [Fact]
    public async Task A_gap_that_has_left_the_ring_comes_from_history()
    {
        // 100 KiB of events in rings of 64 KiB (the fixture's setting).
        (User user, long room, long epoch) = await RoomWithMessagesAsync(100, contentChars: 1000);

        using ChatSocket socket = await _server.EnterAsync(user, room, $"&since=0&epoch={epoch}");

        IsRecovered(socket.Welcome, seq: 100);
        IReadOnlyList<JsonElement> messages = await socket.NextMessagesAsync(1, 100);
        Assert.Equal(
            (await _server.HistoryAsync(user, room)).Select(message => (message.Number("id"), message.Text("content"), message.Text("created_at"))),
            messages.Select(message => (message.Number("id"), message.Text("content"), message.Text("created_at"))));
    }

    [Theory]
    [InlineData(500, true)]
    [InlineData(501, false)]
    public async Task A_gap_over_500_is_not_replayed_but_for_its_newest_50(int gap, bool recovered)
    {
        (User user, long room, long epoch) = await RoomWithMessagesAsync(gap);

        using ChatSocket socket = await _server.EnterAsync(user, room, $"&since=0&epoch={epoch}");

        Assert.Equal((gap, recovered), (socket.Welcome.Number("seq"), socket.Welcome.Flag("recovered")));
        await socket.NextMessagesAsync(recovered ? 1 : gap - 49, recovered ? gap : 50);
        await socket.NothingElseAsync();
    }

    [Fact]
    public async Task A_client_that_claims_to_have_seen_the_future_is_rolled_back_to_the_head()
    {
        (User user, long room, long epoch) = await RoomWithMessagesAsync(3);

        using ChatSocket socket = await _server.EnterAsync(user, room, $"&since=7&epoch={epoch}");

        Assert.Equal((3, true), (socket.Welcome.Number("seq"), socket.Welcome.Flag("recovered")));
        Assert.Equal(3, socket.Welcome.Number("rolled_back_to"));
        await _server.PublishAsync(user, room, "live");
        await socket.NextMessagesAsync(4, 1);
    }

    [Fact]
    public async Task An_epoch_that_never_was_makes_the_client_start_over()
    {
        (User user, long room, long epoch) = await RoomWithMessagesAsync(3);

        using ChatSocket socket = await _server.EnterAsync(user, room, $"&since=3&epoch={epoch + 1}");

        Assert.Equal((0, false), (socket.Welcome.Number("rolled_back_to"), socket.Welcome.Flag("recovered")));
        await socket.NextMessagesAsync(1, 3);
    }

    [Fact]
    public async Task A_client_that_joins_a_room_in_full_flow_misses_nothing_and_sees_nothing_twice()
    {
        const int Messages = 300;
        (User user, long room, long epoch) = await RoomWithMessagesAsync(1);
        using ChatSocket sender = await _server.EnterAsync(user, room);
        async Task SendAsync()
        {
            for (int i = 0; i < Messages; i++)
            {
                await sender.SayAsync(new string('x', 400)); // The ring of 64 KiB passes the joining clients by.
                await sender.SkipToAsync("ack");
            }
        }

        Task sending = SendAsync();

        for (int i = 0; i < 10; i++)
        {
            using ChatSocket socket = await _server.EnterAsync(user, room, $"&since=0&epoch={epoch}");
            IsRecovered(socket.Welcome, socket.Welcome.Number("seq"));
            await socket.NextMessagesAsync(1, (int)socket.Welcome.Number("seq"));
        }

        await sending;
    }

    [Theory]
    [InlineData("since=-1")]
    [InlineData("since=1&epoch=-1")]
    [InlineData("since=x")]
    [InlineData("since=")]
    [InlineData("since=1.5")]
    [InlineData("since=99999999999999999999")]
    public async Task A_malformed_resume_point_is_refused_before_the_upgrade(string query)
    {
        User user = await _server.RegisterAsync();

        Assert.Equal(400, await ChatSocket.RefusedAsync(_server, $"/ws/1?token={user.Token}&{query}"));
    }

    private static void IsRecovered(JsonElement welcome, long seq)
    {
        Assert.Equal((seq, true), (welcome.Number("seq"), welcome.Flag("recovered")));
        Assert.Equal(JsonValueKind.Null, welcome.GetProperty("rolled_back_to").ValueKind);
    }

    private async Task<(User User, long Room, long Epoch)> RoomWithMessagesAsync(int count, int contentChars = 1)
    {
        User user = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);
        using ChatSocket socket = await _server.EnterAsync(user, room);
        await _server.FillAsync(user, room, count, new string('x', contentChars));
        return (user, room, socket.Welcome.Number("epoch"));
    }
}

/// <summary>Rings too small for the gaps of the tests.</summary>
public sealed class SmallRingsOnSqlite() : ServerFixture(ServerLaunch.Sqlite.With("RING_BYTES_MAX", "65536"));

/// <inheritdoc cref="SmallRingsOnSqlite"/>
public sealed class SmallRingsOnPostgres() : ServerFixture(ServerLaunch.Postgres.With("RING_BYTES_MAX", "65536"));

public sealed class ResumeOnSqlite(SmallRingsOnSqlite fixture) : ResumeTests(fixture), IClassFixture<SmallRingsOnSqlite>;

public sealed class ResumeOnPostgres(SmallRingsOnPostgres fixture) : ResumeTests(fixture), IClassFixture<SmallRingsOnPostgres>;
