using Chat.TestKit;
using Npgsql;

namespace Chat.Storage.Tests;

public sealed class PostgresMessageLogTests(PostgresFixture postgres) : MessageLogContract
{
    protected override Task<TestDatabase> CreateDatabaseAsync() => postgres.CreateDatabaseAsync();

    protected override Task AcceptOnlyAsync(string accepted) =>
        Database.ExecuteAsync($"ALTER TABLE messages ADD CONSTRAINT accepted CHECK ({accepted})");

    protected override Task AcceptAllAsync() => Database.ExecuteAsync("ALTER TABLE messages DROP CONSTRAINT accepted");

    [Fact]
    public async Task Connections_cut_under_load_lose_and_double_nothing()
    {
        await using var running = await RunningLog.StartAsync(Database, new MessageLogOptions { BatchRowsMax = 50 });
        var room = running.Log.OpenRoom(1, 0);
        var outcomes = Enumerable.Range(1, 20_000).Select(seq => running.Append(room, running.Message(1, seq))).ToArray();
        // Each cut waits for progress since the last: cut without pause, no batch would ever get through.
        for (var i = 0; i < outcomes.Length; i += 400)
        {
            await outcomes[i];
            await Database.ExecuteAsync(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()");
        }

        Assert.All(await Task.WhenAll(outcomes), Assert.Null);
        Assert.True(running.Log.Statistics.Retries > 0);
        Assert.Equal(Enumerable.Range(1, 20_000).Select(i => (long)i), running.Committed.Select(message => message.Seq));
        var stored = await running.Store.ReadMessagesAsync(1, null, 0, 20_001, Stop);
        Assert.Equal(running.Committed.Select(message => message.Id), stored.Select(message => message.Id));
    }

    [Fact]
    public async Task After_a_cut_the_next_commit_keeps_a_second_server_out_again()
    {
        await using var running = await RunningLog.StartAsync(Database);
        var room = running.Log.OpenRoom(1, 0);
        await running.Append(room, running.Message(1, 1));
        await Database.ExecuteAsync(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()");
        Assert.Null(await running.Append(room, running.Message(1, 2)));
        await using var second = Database.NewStore();
        await Assert.ThrowsAsync<StoreInUseException>(() => second.BeginSessionAsync(Stop));
    }

    [Fact]
    public async Task A_database_that_crashes_and_returns_under_load_loses_and_doubles_nothing()
    {
        await postgres.ClusterAsync();
        // Its own cluster, with fsync: the other tests share one.
        await using var cluster = await PostgresCluster.StartAsync(fsync: true);
        var database = new PostgresTestDatabase(await cluster.CreateDatabaseAsync());
        await using var running = await RunningLog.StartAsync(database, new MessageLogOptions { BatchRowsMax = 50 });
        var room = running.Log.OpenRoom(1, 0);
        var outcomes = Enumerable.Range(1, 5_000).Select(seq => running.Append(room, running.Message(1, seq))).ToArray();
        await outcomes[1_000];
        await cluster.StopAsync("immediate");
        await Assert.ThrowsAsync<StoreUnavailableException>(() => running.Store.PingAsync(Stop));
        await cluster.StartAgainAsync();

        Assert.All(await Task.WhenAll(outcomes), Assert.Null);
        var stored = await running.Store.ReadMessagesAsync(1, null, 0, 5_001, Stop);
        Assert.Equal(running.Committed.Select(message => message.Id), stored.Select(message => message.Id));
        Assert.True(running.Log.IsHealthy);

        // And once more, for good: the drain ends at its deadline and says what is not saved.
        await cluster.StopAsync("immediate");
        var cannotCommit = running.NextCannotCommit();
        var unsaved = Enumerable.Range(5_001, 10).Select(seq => running.Append(room, running.Message(1, seq))).ToArray();
        await cannotCommit;
        Assert.False(running.Log.IsHealthy);
        Assert.Equal(10, await running.Log.DrainAsync(TimeSpan.FromMilliseconds(100)));
        Assert.All(await Task.WhenAll(unsaved), outcome => Assert.Equal(AppendFailure.ShutDown, outcome));
    }

    /// <summary>A step that takes longer hangs, also on a machine that is busy with much else: the test says which.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);

    [Fact]
    public async Task A_commit_without_an_outcome_is_told_of()
    {
        var database = (PostgresTestDatabase)await CreateDatabaseAsync();
        await using var running = await RunningLog.StartAsync(new PostgresTestDatabase(database.Url) { CommandTimeoutSeconds = 0 }); // None.
        var room = running.Log.OpenRoom(1, 0);
        await using var holder = new NpgsqlConnection(database.ConnectionString + ";Pooling=false");
        await holder.OpenAsync(Stop);
        await using var transaction = await holder.BeginTransactionAsync(Stop);
        await using (var hold = new NpgsqlCommand("SELECT 1 FROM server_state FOR UPDATE", holder)) // What each batch begins with waits for it.
            await hold.ExecuteNonQueryAsync(Stop);

        var cannotCommit = running.NextCannotCommit();
        var outcome = running.Append(room, running.Message(1, 1));
        await cannotCommit.WaitAsync(Patience, Stop);
        Assert.False(running.Log.IsHealthy);

        await transaction.RollbackAsync(Stop);
        Assert.Null(await outcome.WaitAsync(Patience, Stop));
        Assert.True(running.Log.IsHealthy);
    }

    [Fact]
    public async Task A_frozen_database_costs_time_and_no_message()
    {
        await postgres.ClusterAsync();
        await using var cluster = await PostgresCluster.StartAsync();
        var database = new PostgresTestDatabase(await cluster.CreateDatabaseAsync() + "?connect_timeout=1") { CommandTimeoutSeconds = 1 };
        await using var running = await RunningLog.StartAsync(database, new MessageLogOptions { BatchRowsMax = 50 });
        var room = running.Log.OpenRoom(1, 0);
        // Asked before the first message: a slow disk can make commits fail before the freeze, and it is said once for all that fail in a row.
        var cannotCommit = running.NextCannotCommit();
        var outcomes = Enumerable.Range(1, 9_000).Select(seq => running.Append(room, running.Message(1, seq))).ToList();
        await outcomes[1_000].WaitAsync(Patience, Stop);
        await cluster.FreezeAsync().WaitAsync(Patience, Stop);
        try
        {
            // A fast machine may have committed all the others before the freeze.
            outcomes.AddRange(Enumerable.Range(9_001, 1_000).Select(seq => running.Append(room, running.Message(1, seq))));
            await cannotCommit.WaitAsync(Patience, Stop);
        }
        finally
        {
            await cluster.ThawAsync().WaitAsync(Patience, Stop);
        }

        Assert.All(await Task.WhenAll(outcomes).WaitAsync(Patience, Stop), Assert.Null);
        var stored = await running.Store.ReadMessagesAsync(1, null, 0, 10_001, Stop);
        Assert.Equal(running.Committed.Select(message => message.Id), stored.Select(message => message.Id));
    }
}
