using System.Collections.Concurrent;
using System.Diagnostics;
using Chat.Storage.Postgres;
using Npgsql;

namespace Chat.Storage.Tests;

public sealed class PostgresStoreTests(PostgresFixture postgres) : StoreContract
{
    protected override Task<TestDatabase> CreateDatabaseAsync() => postgres.CreateDatabaseAsync();

    [Fact]
    public async Task A_database_made_by_init_sql_is_taken_as_it_is()
    {
        var cluster = await postgres.ClusterAsync();
        var url = await cluster.CreateDatabaseAsync();
        var sql = SchemaText.Read("init.sql");
        var name = url[(url.LastIndexOf('/') + 1)..];
        await cluster.RunScriptAsync(name, sql);
        // Twice: a container whose first start was cut off runs the script again.
        await cluster.RunScriptAsync(name, sql);
        var database = new PostgresTestDatabase(url);
        await database.ExecuteAsync("UPDATE rooms SET name = 'Lobby' WHERE id = 1");

        await using var store = database.NewStore();
        await store.InitializeAsync(Stop);
        Assert.Equal(["Lobby", "Random", "Help"], (await store.ListRoomsAsync(0, 1000, Stop)).Select(room => room.Name));
        Assert.Equal(4, (await store.CreateRoomAsync("Fourth", Stop)).Id);
    }

    /// <summary>Its caller may be a thread that serves sockets. Npgsql tells of each command's start on the thread that begins it.</summary>
    [Fact]
    public async Task No_command_begins_on_the_thread_that_asks_for_it()
    {
        await using var database = await CreateDatabaseAsync();
        await using var store = database.NewStore();
        await store.InitializeAsync(Stop);
        await store.ListRoomsAsync(0, 10, Stop); // The pool has a connection, so that nothing has to be waited for.
        using var parent = new Activity("asked").Start();
        var begunOn = new ConcurrentQueue<Thread>();
        using var listener = new ActivityListener
        {
            ShouldListenTo = static source => source.Name == "Npgsql",
            Sample = static (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStarted = activity =>
            {
                if (activity.TraceId == parent.TraceId)
                    begunOn.Enqueue(Thread.CurrentThread);
            },
        };
        ActivitySource.AddActivityListener(listener);
        Task[] asked = [];
        var caller = new Thread(() => asked = [store.ListRoomsAsync(0, 10, Stop), store.FindUserByEmailAsync("a@example.com", Stop), store.RemoveMemberAsync(1, 1, Stop)]);
        caller.Start(); // Of its own, so that no continuation can come back to it.
        caller.Join();
        await Task.WhenAll(asked);

        Assert.True(begunOn.Count >= 3);
        Assert.DoesNotContain(caller, begunOn);
    }

    [Fact]
    public async Task A_start_while_init_sql_runs_is_made_again_and_finds_it_done()
    {
        var database = (PostgresTestDatabase)await CreateDatabaseAsync();
        await using var psql = new NpgsqlConnection(database.ConnectionString + ";Pooling=false");
        await psql.OpenAsync(Stop);
        await using var store = database.NewStore();
        Task<StoreSession> start;
        await using (var transaction = await psql.BeginTransactionAsync(Stop))
        {
            await using (var script = new NpgsqlCommand(SchemaText.Read("init.sql"), psql))
                await script.ExecuteNonQueryAsync(Stop);
            start = store.BeginSessionAsync(Stop);
            await using var watcher = new NpgsqlConnection(database.ConnectionString + ";Pooling=false"); // A transaction sees the others as they were.
            await watcher.OpenAsync(Stop);
            await WaitersAsync(watcher, 1);
            await transaction.CommitAsync(Stop);
        }
        await Assert.ThrowsAsync<StoreUnavailableException>(() => start);
        Assert.Equal(new StoreSession(1, 0), await store.BeginSessionAsync(Stop));
        Assert.Equal(3, (await store.ListRoomsAsync(0, 1000, Stop)).Count);
    }

    /// <summary>Until so many statements in the database of <paramref name="watcher"/> wait for a lock.</summary>
    private static async Task WaitersAsync(NpgsqlConnection watcher, int count)
    {
        for (var startedAt = Environment.TickCount64; await CountWaitersAsync(watcher) < count; await Task.Delay(10, Stop))
            Assert.InRange(Environment.TickCount64 - startedAt, 0, PatienceSeconds * 1000);
    }

    private static async Task<long> CountWaitersAsync(NpgsqlConnection watcher)
    {
        await using var command = new NpgsqlCommand(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'", watcher);
        return (long)(await command.ExecuteScalarAsync(Stop))!;
    }

    [Theory]
    [InlineData("Database=nowhere")]
    [InlineData("Username=nobody_here")]
    public async Task A_database_or_role_that_is_not_there_is_one_that_may_come(string part)
    {
        await using var store = new PostgresStore($"{((PostgresTestDatabase)Database).ConnectionString};{part}");
        await Assert.ThrowsAsync<StoreUnavailableException>(() => store.InitializeAsync(Stop));
        await Assert.ThrowsAsync<StoreUnavailableException>(() => store.PingAsync(Stop));
    }

    [Fact]
    public async Task While_a_second_server_asks_for_the_session_the_first_opens_its_writers()
    {
        await Store.BeginSessionAsync(Stop);
        await using var second = Database.NewStore();
        var refused = second.BeginSessionAsync(Stop);
        do
        {
            Store.OpenWriter().Dispose();
        }
        while (!refused.IsCompleted);
        await Assert.ThrowsAsync<StoreInUseException>(() => refused);
    }

    [Fact]
    public async Task A_read_that_gets_no_connection_of_a_busy_pool_leaves_the_pool_as_it_is()
    {
        var connectionString = ((PostgresTestDatabase)Database).ConnectionString;
        await using var store = new PostgresStore($"{connectionString};Application Name=one;Maximum Pool Size=1;Timeout=1");
        await store.PingAsync(Stop);
        await using var holder = new NpgsqlConnection(connectionString + ";Pooling=false");
        await holder.OpenAsync(Stop);
        await using var backend = new NpgsqlCommand(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'one'", holder);
        var pooled = await backend.ExecuteScalarAsync(Stop);
        Task<UserRecord?> busy;
        await using (var transaction = await holder.BeginTransactionAsync(Stop))
        {
            await using (var hold = new NpgsqlCommand("LOCK TABLE users IN ACCESS EXCLUSIVE MODE", holder))
                await hold.ExecuteNonQueryAsync(Stop);
            busy = store.FindUserByIdAsync(1, Stop);
            await using var watcher = new NpgsqlConnection(connectionString + ";Pooling=false");
            await watcher.OpenAsync(Stop);
            await WaitersAsync(watcher, 1);
            await Assert.ThrowsAsync<StoreUnavailableException>(() => store.PingAsync(Stop));
        }
        Assert.Null(await busy);
        await store.PingAsync(Stop);
        Assert.Equal(pooled, await backend.ExecuteScalarAsync(Stop));
    }

    /// <summary>A step that takes longer hangs, also on a machine that is busy with much else.</summary>
    private const int PatienceSeconds = 60;

    [Fact]
    public async Task However_many_read_at_once_the_message_log_finds_a_connection()
    {
        var connectionString = $"{((PostgresTestDatabase)Database).ConnectionString};Timeout={PatienceSeconds};Command Timeout={PatienceSeconds}";
        await using var store = new PostgresStore(connectionString);
        await store.BeginSessionAsync(Stop);
        await using var holder = new NpgsqlConnection(connectionString + ";Pooling=false");
        await holder.OpenAsync(Stop);
        await using var transaction = await holder.BeginTransactionAsync(Stop);
        await using (var hold = new NpgsqlCommand("LOCK TABLE users IN ACCESS EXCLUSIVE MODE", holder))
            await hold.ExecuteNonQueryAsync(Stop);

        var reads = Enumerable.Range(0, 200).Select(_ => store.FindUserByIdAsync(1, Stop)).ToList();
        await using var watcher = new NpgsqlConnection(connectionString + ";Pooling=false");
        await watcher.OpenAsync(Stop);
        await WaitersAsync(watcher, PostgresStore.PoolSizeMax);
        using (var writer = store.OpenWriter())
            Assert.Equal(PostgresStore.PoolSizeMax, await CountWaitersAsync(watcher));

        await transaction.RollbackAsync(Stop);
        Assert.All(await Task.WhenAll(reads), Assert.Null);
    }
}
