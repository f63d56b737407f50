using Microsoft.Data.Sqlite;

namespace Chat.Storage.Tests;

public sealed class SqliteMessageLogTests : MessageLogContract
{
    protected override Task<TestDatabase> CreateDatabaseAsync() => Task.FromResult<TestDatabase>(new SqliteTestDatabase());

    protected override Task AcceptOnlyAsync(string accepted) => Database.ExecuteAsync($"""
        CREATE TRIGGER accepted AFTER INSERT ON messages WHEN (SELECT NOT ({accepted}) FROM messages WHERE id = NEW.id)
        BEGIN SELECT RAISE(ABORT, 'Not accepted.'); END
        """);

    protected override Task AcceptAllAsync() => Database.ExecuteAsync("DROP TRIGGER accepted");

    [Fact]
    public async Task A_file_locked_by_another_program_delays_and_loses_nothing()
    {
        await using var running = await RunningLog.StartAsync(Database);
        var room = running.Log.OpenRoom(1, 0);
        await using var other = new SqliteConnection($"Data Source={((SqliteTestDatabase)Database).Path};Pooling=False");
        await other.OpenAsync(Stop);
        Task<AppendFailure?> outcome;
        await using (var transaction = other.BeginTransaction(deferred: false))
        {
            outcome = running.Append(room, running.Message(1, 1));
            // Readers are not disturbed, and see what waits.
            Assert.Single((await running.Log.ReadHistoryAsync(room, null, null, 10, seenSeq: 1, Stop)).Messages);
            Assert.False(outcome.IsCompleted);
        }
        Assert.Null(await outcome);
    }
}
