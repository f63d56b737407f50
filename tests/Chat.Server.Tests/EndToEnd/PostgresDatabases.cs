using Chat.Server.Tests.EndToEnd;
using Chat.TestKit;

[assembly: AssemblyFixture(typeof(PostgresDatabases))]

namespace Chat.Server.Tests.EndToEnd;

/// <summary>One PostgreSQL for all tests of this project, started when the first asks for a database.</summary>
public sealed class PostgresDatabases : IAsyncDisposable
{
    private static readonly SemaphoreSlim Gate = new(1);
    private static PostgresCluster? _cluster;

    public static async Task<string> CreateAsync()
    {
        await Gate.WaitAsync();
        try
        {
            _cluster ??= await PostgresCluster.StartAsync();
            return await _cluster.CreateDatabaseAsync();
        }
        finally
        {
            Gate.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_cluster is not null)
        {
            await _cluster.DisposeAsync();
            _cluster = null;
        }
    }
}
