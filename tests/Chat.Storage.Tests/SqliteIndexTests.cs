using System.Text;
using Chat.Storage.Sqlite;
using Chat.TestKit;
using CsCheck;
using Microsoft.Data.Sqlite;

namespace Chat.Storage.Tests;

/// <summary>Messages come into the index by room some time after they are durable. Nobody may notice.</summary>
public sealed class SqliteIndexTests : IAsyncLifetime
{
    /// <summary>Longer than a message waits for others.</summary>
    private static readonly TimeSpan Aged = TimeSpan.FromSeconds(5);

    private readonly SqliteTestDatabase _database = new();
    private readonly ManualTime _time = new(new DateTimeOffset(2026, 11, 22, 18, 0, 0, TimeSpan.Zero));
    private readonly Dictionary<long, long> _lastSeqs = [];
    private SqliteStore _store = null!;
    private IMessageWriter _writer = null!;
    private long _userId;
    private long _lastId;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        await StartAsync();
        _userId = (await _store.CreateUserAsync("ida@example.org", "Ida", "hash", Stop))!.Id;
    }

    public async ValueTask DisposeAsync()
    {
        await CrashAsync();
        await _database.DisposeAsync();
    }

    [Fact]
    public Task Every_page_is_the_same_wherever_its_messages_are()
    {
        // Messages for two rooms in one batch, and the time until the next.
        var batches = Gen.Select(Gen.Int[0, 150], Gen.Int[1, 5], Gen.Int[0, 3000]).Array[1, 15];
        var queries = Gen.Select(Gen.Int[-5, 700], Gen.Int[-5, 700], Gen.Int[1, 250]).Array[10];
        return Gen.Select(batches, queries).SampleAsync(
            async (batches, queries) =>
            {
                long[] rooms = [await NewRoomAsync(), await NewRoomAsync()];
                foreach (var (first, second, ms) in batches)
                {
                    Append((rooms[0], first), (rooms[1], second));
                    _time.Advance(TimeSpan.FromMilliseconds(ms));
                    foreach (var (before, after, limit) in queries)
                    {
                        foreach (var room in rooms)
                        {
                            await AssertPageAsync(room, null, null, limit);
                            await AssertPageAsync(room, before, null, limit);
                            await AssertPageAsync(room, null, after, limit);
                            await AssertPageAsync(room, before, after, limit);
                        }
                    }
                }
            },
            iter: 20, threads: 1);
    }

    [Fact]
    public async Task Pages_are_asked_for_by_any_number()
    {
        Append((1, 5));
        foreach (var number in new[] { long.MinValue, -1, 0, 6, long.MaxValue })
        {
            await AssertPageAsync(1, number, null, 3);
            await AssertPageAsync(1, null, number, 3);
            await AssertPageAsync(404, number, number, 3);
        }
    }

    [Fact]
    public void A_run_is_written_when_it_is_full_or_some_seconds_old()
    {
        Append((1, 99), (2, 1));
        Append((1, 51), (2, 1));
        Assert.Empty(Runs());
        Append((2, 1)); // Takes along what was full before it came.
        Assert.Equal([(1, 1, 100), (1, 101, 150)], Runs());
        _time.Advance(Aged);
        Append((3, 1));
        Assert.Equal([(1, 1, 100), (1, 101, 150), (2, 1, 3)], Runs());
    }

    [Fact]
    public async Task Rooms_that_became_due_together_leave_a_few_at_a_time()
    {
        var rooms = new long[32];
        for (var i = 0; i < rooms.Length; i++)
            rooms[i] = await NewRoomAsync();
        Append([.. rooms.Select(static room => (room, 1))]);
        _time.Advance(Aged);
        for (var batch = 1; batch <= rooms.Length; batch++)
        {
            var before = Runs().Count;
            Append((1, 1));
            Assert.InRange(Runs().Count - before, Math.Min(1, rooms.Length - before), 2);
        }
        Assert.Equal(rooms.Length, Runs().Count);
    }

    [Fact]
    public async Task A_session_begins_by_indexing_what_a_crash_has_left()
    {
        Append((1, 120), (2, 3));
        _time.Advance(Aged);
        Append((1, 1), (2, 1));
        await CrashAsync();
        await StartAsync();
        Assert.Equal([(1, 1, 100), (1, 101, 120), (1, 121, 121), (2, 1, 3), (2, 4, 4)], Runs());
        Append((1, 5), (2, 5));
        await AssertPageAsync(1, null, 99, 200);
        await AssertPageAsync(2, null, null, 200);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_message_whose_id_comes_late_is_indexed_after_a_crash(bool afterPause)
    {
        var lateId = ++_lastId;
        for (var i = 0; i < 4; i++)
        {
            _time.Advance(Aged);
            Append((1, 100));
        }
        Assert.True(UnindexedFrom() > lateId);
        if (afterPause)
            _time.Advance(Aged);
        _writer.Append([Row(lateId, 2, 1)], resend: false);
        _lastSeqs[2] = 1;
        await CrashAsync();
        await StartAsync();
        await AssertPageAsync(2, null, null, 10);
    }

    [Fact]
    public async Task The_mark_stays_before_an_id_that_came_late_until_it_is_indexed()
    {
        var lateId = ++_lastId;
        Append((1, 1));
        _time.Advance(Aged / 2);
        _writer.Append([Row(lateId, 2, 1), Row(++_lastId, 2, 2)], resend: false);
        _lastSeqs[2] = 2;
        _time.Advance(Aged / 2);
        Append((1, 1)); // The mark may move again, and room 2 is not due.
        Assert.Equal(lateId, UnindexedFrom());
        await CrashAsync();
        await StartAsync();
        await AssertPageAsync(2, null, null, 10);
    }

    [Fact]
    public void The_mark_from_which_a_session_looks_follows_the_messages()
    {
        for (var i = 0; i < 4; i++)
        {
            Append((1, 100), (2, 1));
            _time.Advance(Aged);
        }
        Assert.InRange(UnindexedFrom(), _lastId - 202, _lastId);
    }

    [Fact]
    public async Task What_an_attempt_with_an_unclear_outcome_has_stored_is_in_every_page_once()
    {
        Append((1, 3), (2, 2));
        // An attempt that has committed, of which nobody was told.
        await _database.ExecuteAsync($"""
            INSERT INTO messages (id, room_id, seq, epoch, sender_id, content, created_at) VALUES (6, 1, 4, 1, {_userId}, 'hello', 0);
            UPDATE rooms SET last_seq = 4 WHERE id = 1
            """);
        _writer.Append([Row(6, 1, 4), Row(7, 1, 5)], resend: true);
        (_lastSeqs[1], _lastId) = (5, 7);
        await AssertPageAsync(1, null, null, 10);
        Append((1, 2), (2, 1));
        await AssertPageAsync(1, null, 2, 10);
        await AssertPageAsync(2, null, null, 10);
    }

    [Fact]
    public async Task A_database_of_version_1_is_taken_over()
    {
        using var database = new TempFolder();
        await using var connection = new SqliteConnection($"Data Source={database.File("chat.db")};Pooling=False");
        await connection.OpenAsync(Stop);
        connection.Execute(SchemaText.Read("sqlite/schema.sql"));
        connection.Execute("""
            CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL DEFAULT 0) STRICT;
            INSERT INTO schema_version (version) VALUES (1);
            INSERT INTO users (id, email, username, password_hash, created_at) VALUES (1, 'ida@example.org', 'Ida', 'hash', 0);
            INSERT INTO messages (id, room_id, seq, epoch, sender_id, nonce, content, created_at)
            SELECT value, 1 + value % 2, (value + 1) / 2, 1, iif(value = 7, NULL, 1), 'n' || value, iif(value = 7, '', 'text ' || value), value
            FROM (WITH RECURSIVE series (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM series WHERE value < 500) SELECT value FROM series);
            UPDATE rooms SET last_seq = 250 WHERE id < 3;
            """);
        await using var store = new SqliteStore(database.File("chat.db"), _time);
        await store.InitializeAsync(Stop);
        await store.BeginSessionAsync(Stop);

        var page = await store.ReadMessagesAsync(2, null, 0, 500, Stop);
        Assert.Equal(Enumerable.Range(1, 250).Select(static i => (long)i), page.Select(static message => message.Seq));
        Assert.Equal([1L, 3, 5, 7], page.Take(4).Select(static message => message.Id));
        Assert.Equal(["text 1", "text 3", "text 5", ""], page.Take(4).Select(static message => Encoding.UTF8.GetString(message.Content.Span)));
        Assert.Equal(("Ida", "n499", 499), (page[^1].SenderName, page[^1].Nonce, page[^1].CreatedAtUnixMs));
        Assert.True(page[3].IsTombstone);
        using var writer = store.OpenWriter();
        writer.Append([Row(501, 1, 251)], resend: false);
        Assert.Equal([250L, 251], (await store.ReadMessagesAsync(1, null, 249, 5, Stop)).Select(static message => message.Seq));
    }

    private async Task StartAsync()
    {
        _store = new SqliteStore(_database.Path, _time);
        await _store.InitializeAsync(Stop);
        await _store.BeginSessionAsync(Stop);
        _writer = _store.OpenWriter();
    }

    /// <summary>Nothing is said to the database: what is not in it is lost.</summary>
    private async Task CrashAsync()
    {
        _writer.Dispose();
        await _store.DisposeAsync();
    }

    private async Task<long> NewRoomAsync() => (await _store.CreateRoomAsync("New", Stop)).Id;

    /// <summary>One batch, with so many messages for each room.</summary>
    private void Append(params ReadOnlySpan<(long Room, int Count)> rooms)
    {
        var batch = new List<MessageRecord>();
        foreach (var (room, count) in rooms)
        {
            for (var i = 0; i < count; i++)
                batch.Add(Row(++_lastId, room, _lastSeqs[room] = LastSeq(room) + 1));
        }
        _writer.Append(batch.ToArray(), resend: false);
    }

    private long LastSeq(long room) => _lastSeqs.GetValueOrDefault(room);

    private MessageRecord Row(long id, long roomId, long seq) => new()
    {
        Id = id,
        RoomId = roomId,
        Seq = seq,
        Epoch = 1,
        SenderId = _userId,
        SenderName = "Ida",
        Content = "hello"u8.ToArray(),
        CreatedAtUnixMs = seq,
    };

    private async Task AssertPageAsync(long room, long? before, long? after, int limit)
    {
        var all = Enumerable.Range(1, (int)LastSeq(room)).Select(static seq => (long)seq)
            .Where(seq => (before is null || seq < before) && (after is null || seq > after));
        Assert.Equal(
            after is null ? all.TakeLast(limit) : all.Take(limit),
            (await _store.ReadMessagesAsync(room, before, after, limit, Stop)).Select(static message => message.Seq));
    }

    private List<(long Room, long FirstSeq, long LastSeq)> Runs()
    {
        using var connection = Open();
        var runs = new List<(long, long, long)>();
        using var command = connection.Command("SELECT room_id, first_seq, last_seq FROM message_runs ORDER BY room_id, last_seq");
        using var reader = command.ExecuteReader();
        while (reader.Read())
            runs.Add((reader.GetInt64(0), reader.GetInt64(1), reader.GetInt64(2)));
        return runs;
    }

    private long UnindexedFrom()
    {
        using var connection = Open();
        return connection.Scalar("SELECT unindexed_from FROM server_state")!.Value;
    }

    private SqliteConnection Open()
    {
        var connection = new SqliteConnection($"Data Source={_database.Path};Pooling=False");
        connection.Open();
        return connection;
    }
}
