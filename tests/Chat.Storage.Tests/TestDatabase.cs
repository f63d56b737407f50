using Chat.Storage.Postgres;
using Chat.Storage.Sqlite;
using Chat.TestKit;
using Microsoft.Data.Sqlite;
using Npgsql;

[assembly: AssemblyFixture(typeof(Chat.Storage.Tests.PostgresFixture))]

namespace Chat.Storage.Tests;

/// <summary>A new empty database, which several servers may open.</summary>
public abstract class TestDatabase : IAsyncDisposable
{
    public abstract IChatStore NewStore();

    /// <summary>Behind the store's back.</summary>
    public abstract Task ExecuteAsync(string sql);

    public abstract ValueTask DisposeAsync();
}

public sealed class SqliteTestDatabase : TestDatabase
{
    private readonly TempFolder _folder = new();

    public string Path => _folder.File("chat.db");

    public override IChatStore NewStore() => new SqliteStore(Path);

    public override async Task ExecuteAsync(string sql)
    {
        await using var connection = new SqliteConnection($"Data Source={Path};Pooling=False");
        await connection.OpenAsync();
        await using var command = new SqliteCommand(sql, connection);
        await command.ExecuteNonQueryAsync();
    }

    public override ValueTask DisposeAsync()
    {
        _folder.Dispose();
        return ValueTask.CompletedTask;
    }
}

public sealed class PostgresTestDatabase(string url) : TestDatabase
{
    public string Url => url;

    public string ConnectionString { get; } = DatabaseUrl.ToConnectionString(url);

    public int CommandTimeoutSeconds { get; init; } = 30;

    /// <summary>Several servers may have it at once.</summary>
    public bool IsShared { get; init; }

    public override IChatStore NewStore() => new PostgresStore($"{ConnectionString};Command Timeout={CommandTimeoutSeconds}", isShared: IsShared);

    public override async Task ExecuteAsync(string sql)
    {
        await using var connection = new NpgsqlConnection(ConnectionString + ";Pooling=false");
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync();
    }

    // The cluster goes as a whole.
    public override ValueTask DisposeAsync() => ValueTask.CompletedTask;
}

/// <summary>One cluster for all tests, started by the first that needs it; a database for each.</summary>
public sealed class PostgresFixture : IAsyncDisposable
{
    private readonly Lazy<Task<PostgresCluster>> _cluster = new(() => PostgresCluster.StartAsync());

    public async Task<PostgresCluster> ClusterAsync()
    {
        if (PostgresCluster.WhyUnavailable is { } reason)
            Assert.Skip(reason);
        return await _cluster.Value;
    }

    public async Task<TestDatabase> CreateDatabaseAsync() => new PostgresTestDatabase(await (await ClusterAsync()).CreateDatabaseAsync());

    public async ValueTask DisposeAsync()
    {
        if (_cluster.IsValueCreated)
            await (await _cluster.Value).DisposeAsync();
    }
}
