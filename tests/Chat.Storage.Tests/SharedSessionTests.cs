using System.Text;
using Chat.Storage.Postgres;
using Chat.TestKit;

namespace Chat.Storage.Tests;

/// <summary>Several servers that have one database.</summary>
public sealed class SharedSessionTests(PostgresFixture postgres)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Servers_that_write_to_the_same_rooms_number_them_as_one()
    {
        var database = await CreateAsync();
        await using var first = await RunningLog.StartAsync(database, new MessageLogOptions { BatchRowsMax = 50 });
        await using var second = await RunningLog.StartAsync(database, new MessageLogOptions { BatchRowsMax = 70 });
        const int Each = 1000;

        await Task.WhenAll(AppendAsync(first), AppendAsync(second));

        foreach (var roomId in (long[])[1, 2, 3])
        {
            var stored = await first.Store.ReadMessagesAsync(roomId, null, 0, 10 * Each, Stop);
            Assert.Equal(Enumerable.Range(1, 2 * Each).Select(seq => (long)seq), stored.Select(message => message.Seq));
            Assert.Equal(2 * Each, await first.Store.LastSeqAsync(roomId, Stop));
            var told = first.Committed.Concat(second.Committed).Where(message => message.RoomId == roomId).OrderBy(message => message.Seq);
            Assert.Equal(stored.Select(message => (message.Seq, message.Id)), told.Select(message => (message.Seq, message.Id)));
            // Each server's in the order in which it accepted them.
            Assert.Equal(first.Committed.Where(message => message.RoomId == roomId).Select(message => message.Id).Order(), first.Committed.Where(message => message.RoomId == roomId).Select(message => message.Id));
        }

        static Task AppendAsync(RunningLog running)
        {
            RoomLog[] rooms = [.. new long[] { 1, 2, 3 }.Select(roomId => running.Log.OpenRoom(roomId, 0))];
            var outcomes = new List<Task<AppendFailure?>>();
            for (var seq = 1; seq <= Each; seq++)
            {
                foreach (var room in rooms)
                    outcomes.Add(running.Append(room, running.Message(room.RoomId, seq, Encoding.UTF8.GetBytes("hello"), nonce: $"{running.Session.MaxMessageId} {seq}")));
            }
            return Task.WhenAll(outcomes).WaitAsync(Patience, Stop);
        }
    }

    [Fact]
    public async Task A_message_that_another_server_has_stored_is_found_by_its_nonce()
    {
        var database = await CreateAsync();
        await using var first = await RunningLog.StartAsync(database);
        await using var second = await RunningLog.StartAsync(database);
        var room = first.Log.OpenRoom(1, 0);
        var original = first.Message(1, 1, "once"u8.ToArray(), nonce: "a");
        await CommitAsync(first, room, original);
        await CommitAsync(first, room, first.Message(1, 2, "another"u8.ToArray(), nonce: "b"));

        var other = second.Log.OpenRoom(1, 0);
        var again = second.Message(1, 1, "again"u8.ToArray(), nonce: "a");
        await CommitAsync(second, other, again, original.Id);
        var ofSomebodyElse = (await second.Store.CreateUserAsync("else@example.org", "Else", "hash", Stop))!;
        await CommitAsync(second, other, second.Message(1, 2, "mine"u8.ToArray(), senderId: ofSomebodyElse.Id, nonce: "b"));

        MessageRecord[] told = [.. second.Committed];
        Assert.Equal((1, original.Id, "once", true), (told[0].Seq, told[0].Id, Encoding.UTF8.GetString(told[0].Content.Span), told[0].IsDuplicate));
        Assert.Equal((3, false), (told[1].Seq, told[1].IsDuplicate));
        Assert.Equal(3, await first.Store.LastSeqAsync(1, Stop));
    }

    [Fact]
    public async Task A_row_that_the_database_refuses_takes_no_seq()
    {
        await using var running = await RunningLog.StartAsync(await CreateAsync());
        var room = running.Log.OpenRoom(1, 0);
        var nowhere = running.Log.OpenRoom(404, 0);
        Task<AppendFailure?>[] outcomes =
        [
            running.Append(nowhere, running.Message(404, 1)),
            // Appended in this order, they are ready together.
            running.Append(room, running.Message(1, 4)),
            running.Append(room, running.Message(1, 3, [0xFF])),
            running.Append(room, running.Message(1, 2, senderId: 404)),
            running.Append(room, running.Message(1, 1)),
        ];

        Assert.Equal(
            [AppendFailure.UnknownRoom, null, AppendFailure.InvalidRow, AppendFailure.UnknownSender, null], await Task.WhenAll(outcomes).WaitAsync(Patience, Stop));

        Assert.Equal([1, 2], running.Committed.Select(message => message.Seq));
        Assert.Equal([1, 2], (await running.Store.ReadMessagesAsync(1, null, 0, 10, Stop)).Select(message => message.Seq));
        Assert.Equal(2, await running.Store.LastSeqAsync(1, Stop));
    }

    [Fact]
    public async Task A_server_that_hangs_within_a_transaction_holds_up_the_others_for_seconds()
    {
        var cluster = await postgres.ClusterAsync();
        await using var proxy = new TcpProxy(cluster.Port);
        var url = await cluster.CreateDatabaseAsync();
        var through = new UriBuilder(url) { Port = proxy.Port }.Uri.AbsoluteUri;
        await using var hanging = await RunningLog.StartAsync(new PostgresTestDatabase(through) { IsShared = true });
        await using var other = await RunningLog.StartAsync(new PostgresTestDatabase(url) { IsShared = true });
        var room = hanging.Log.OpenRoom(1, 0);
        await CommitAsync(hanging, room, hanging.Message(1, 1));
        proxy.Record();
        await CommitAsync(hanging, room, hanging.Message(1, 2));
        var (toServer, _) = proxy.Recorded();
        var copy = toServer.AsSpan().IndexOf("COPY messages"u8) - 5;

        var isolated = proxy.Plan(ProxyFault.Isolate, ProxyDirection.ToServer, copy);
        var lost = hanging.Append(room, hanging.Message(1, 3));
        await isolated.WaitAsync(Patience, Stop);

        await CommitAsync(other, other.Log.OpenRoom(1, 2), other.Message(1, 3));
        Assert.False(lost.IsCompleted);
        Assert.Equal(3, other.Committed.Single().Seq);
    }

    [Fact]
    public async Task Who_shares_the_database_joins_and_who_wants_it_alone_is_refused()
    {
        var database = await CreateAsync();
        await using var first = database.NewStore();
        var session = await first.BeginSessionAsync(Stop);
        await using var second = database.NewStore();
        var joined = await second.BeginSessionAsync(Stop);
        await using var alone = new PostgresTestDatabase(database.Url).NewStore();

        await Assert.ThrowsAsync<StoreInUseException>(() => alone.BeginSessionAsync(Stop));

        Assert.Equal(session.Epoch, joined.Epoch);
        Assert.True(session.IsShared && joined.IsShared);
        Assert.True(Math.Abs(session.MaxMessageId - joined.MaxMessageId) >= MessageIds.BlockSize);
        Assert.True(await first.HoldsSessionAsync(Stop));
        await first.EndSessionAsync(Stop);
        Assert.True(await second.HoldsSessionAsync(Stop));
        await second.EndSessionAsync(Stop);
        await second.DisposeAsync();
        var taken = await alone.BeginSessionAsync(Stop);
        Assert.False(taken.IsShared);
        Assert.Equal(session.Epoch, taken.Epoch); // What several servers show is durable: there is no unclean stop.
        await using var late = database.NewStore();
        await Assert.ThrowsAsync<StoreInUseException>(() => late.BeginSessionAsync(Stop));
    }

    [Fact]
    public async Task A_server_that_has_the_database_alone_fences_off_those_that_shared_it()
    {
        var database = await CreateAsync();
        await using var shared = await RunningLog.StartAsync(database);
        var room = shared.Log.OpenRoom(1, 0);
        await CommitAsync(shared, room, shared.Message(1, 1));
        await LoseLocksAsync(database);
        await using var alone = new PostgresTestDatabase(database.Url).NewStore();
        await alone.BeginSessionAsync(Stop);

        Assert.False(await shared.Store.HoldsSessionAsync(Stop));
        _ = shared.Append(room, shared.Message(1, 2));

        await Assert.ThrowsAsync<AppendException>(() => shared.Log.Completion.WaitAsync(Patience, Stop));
        Assert.Equal(1, await alone.LastSeqAsync(1, Stop));
    }

    [Fact]
    public async Task A_server_that_begins_when_the_database_has_restarted_joins_those_that_were_there()
    {
        var database = await CreateAsync();
        await using var first = await RunningLog.StartAsync(database);
        var room = first.Log.OpenRoom(1, 0);
        await CommitAsync(first, room, first.Message(1, 1));
        await LoseLocksAsync(database);

        await using var second = await RunningLog.StartAsync(database);

        await CommitAsync(second, second.Log.OpenRoom(1, 1), second.Message(1, 2, Encoding.UTF8.GetBytes("hello"), nonce: "other"));
        await CommitAsync(first, room, first.Message(1, 2));
        Assert.Equal(3, first.Committed.Last().Seq);
        Assert.True(await first.Store.HoldsSessionAsync(Stop));
    }

    [Fact]
    public async Task Ids_of_a_shared_session_begin_above_those_there_are()
    {
        var database = await CreateAsync();
        await using (var alone = await RunningLog.StartAsync(new PostgresTestDatabase(database.Url)))
        {
            await CommitAsync(alone, alone.Log.OpenRoom(1, 0), alone.Message(1, 1));
            await alone.StopCleanlyAsync();
        }
        await database.ExecuteAsync($"UPDATE messages SET id = {(5L * MessageIds.BlockSize) + 3}");
        await using var store = (PostgresStore)database.NewStore();

        var session = await store.BeginSessionAsync(Stop);

        Assert.Equal(6L * MessageIds.BlockSize, session.MaxMessageId);
        Assert.Equal(7L * MessageIds.BlockSize, await store.NextMessageIdsAsync(Stop));
    }

    [Fact]
    public async Task A_build_of_another_schema_does_not_join()
    {
        var database = await CreateAsync();
        await using var first = database.NewStore();
        await first.BeginSessionAsync(Stop);
        await database.ExecuteAsync("DELETE FROM schema_version WHERE version = (SELECT max(version) FROM schema_version)");
        await using var newer = database.NewStore();

        var refusal = await Assert.ThrowsAsync<StoreSchemaException>(() => newer.BeginSessionAsync(Stop));

        Assert.Contains("this build needs", refusal.Message);
    }

    private async Task<PostgresTestDatabase> CreateAsync() => new(await (await postgres.ClusterAsync()).CreateDatabaseAsync()) { IsShared = true };

    /// <summary>Ends the connections that hold them, as a restart of the database does.</summary>
    private static Task LoseLocksAsync(TestDatabase database) => database.ExecuteAsync(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())");

    private static async Task CommitAsync(RunningLog running, RoomLog room, MessageRecord record, long? toldAs = null)
    {
        if (toldAs is { } id)
            running.Expect(id, record.Id);
        Assert.Null(await running.Append(room, record).WaitAsync(Patience, Stop));
    }
}
