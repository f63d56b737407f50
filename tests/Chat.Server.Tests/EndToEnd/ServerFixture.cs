namespace Chat.Server.Tests.EndToEnd;

/// <summary>A server that the tests of a class share. Derive one for each set of settings.</summary>
public abstract class ServerFixture(ServerLaunch launch) : IAsyncLifetime
{
    private RunningServer? _server;

    public ServerLaunch Launch { get; } = launch;

    /// <summary>The server; or skips the test that asks.</summary>
    public RunningServer Server
    {
        get
        {
            RunningServer.SkipWhenUnavailable(Launch);
            return _server!;
        }
    }

    public virtual async ValueTask InitializeAsync()
    {
        if (Launch.Store == StoreKind.Sqlite || TestKit.PostgresCluster.WhyUnavailable is null)
        {
            _server = await RunningServer.StartAsync(Launch);
        }
    }

    public virtual async ValueTask DisposeAsync()
    {
        if (_server is not null)
        {
            await _server.DisposeAsync();
        }

        GC.SuppressFinalize(this);
    }
}

public sealed class SqliteServer() : ServerFixture(ServerLaunch.Sqlite);

public sealed class PostgresServer() : ServerFixture(ServerLaunch.Postgres);
