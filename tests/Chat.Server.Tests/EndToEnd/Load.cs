using System.Text.Json;
using Xunit.Sdk;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>Some clients that talk in one room until they are checked, whatever happens to their server.</summary>
internal sealed class Load : IAsyncDisposable
{
    private const int Clients = 4;

    /// <summary>Acknowledgements that count as progress: several batches, so that some are on their way at any moment.</summary>
    private const int Progress = 400;

    /// <summary>A client that reconnects again and again on a busy machine; a passing test needs a second.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly RunningServer _server;
    private readonly User _user;
    private readonly long _room;
    private readonly LoyalClient[] _clients;
    private readonly Task[] _running;
    private readonly SemaphoreSlim _acknowledgements = new(0);

    private Load(RunningServer server, User user, long room)
    {
        _server = server;
        _user = user;
        _room = room;
        _clients = [.. Enumerable.Range(0, Clients).Select(number => new LoyalClient(server, user, room, $"c{number}", () => _acknowledgements.Release()))];
        _running = [.. _clients.Select(client => Task.Run(client.RunAsync))];
    }

    public int Rollbacks => _clients.Sum(client => client.Rollbacks);

    public static async Task<Load> StartAsync(RunningServer server)
    {
        User user = await server.RegisterAsync();
        return new Load(server, user, await server.CreateRoomAsync(user));
    }

    /// <summary>Waits until more messages have been acknowledged.</summary>
    public async Task ProgressAsync()
    {
        while (_acknowledgements.Wait(0, CancellationToken.None))
        {
            // It came before.
        }

        using var patience = new CancellationTokenSource(Patience);
        Task<Task> ended = Task.WhenAny(_running);
        for (int acknowledged = 0; acknowledged < Progress; acknowledged++)
        {
            Task next = _acknowledgements.WaitAsync(patience.Token);
            await Task.WhenAny(next, ended);
            Assert.False(ended.IsCompleted, $"A client ended: {(ended.IsCompleted ? ended.Result.Exception?.GetBaseException() : null)}");
            if (next.IsCanceled)
            {
                throw new XunitException($"Only {acknowledged} acknowledgements in {Patience.TotalSeconds} s.\n{_server.Process.Output}");
            }
        }
    }

    /// <summary>Lets the clients finish, and compares what they noted with the history.</summary>
    public async Task CheckAsync()
    {
        Stop();
        await Task.WhenAll(_running).WaitAsync(Patience);
        IReadOnlyList<JsonElement> history = await _server.HistoryAsync(_user, _room);
        Assert.Equal(Enumerable.Range(1, history.Count).Select(seq => (long)seq), history.Select(message => message.Number("seq")));
        Assert.All(_clients, client => client.Check(history));
        Assert.Equal(_clients.Sum(client => client.AcknowledgedCount), history.Count); // Nothing but what was sent.
    }

    public async ValueTask DisposeAsync()
    {
        Stop();
        await Task.WhenAll(_running).WaitAsync(Patience).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing); // A failed test says why itself.
    }

    private void Stop() => Array.ForEach(_clients, client => client.Stop());
}
