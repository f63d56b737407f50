using System.Net;
using Chat.Server.Connections;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;

namespace Chat.Server.Transport;

/// <summary>
/// The Linux transport, in the place of Kestrel's own: sockets that belong to shard threads. Kestrel binds through it and
/// runs the connection middleware over it.
/// </summary>
internal sealed class ShardTransport(SocketShard[] shards, ILogger<ShardTransport> logger) : IConnectionListenerFactory
{
    /// <summary>Connections the kernel completes before we accept them; it caps the number at net.core.somaxconn.</summary>
    private const int Backlog = 4096;

    public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default)
    {
        if (endpoint is not IPEndPoint address)
        {
            throw new NotSupportedException($"{endpoint} is no IP endpoint.");
        }

        var acceptor = new Acceptor(address, shards, Backlog, logger);
        acceptor.Start();
        return new(acceptor);
    }

    /// <summary>Starts the shards. With <paramref name="engine"/> null: io_uring where the kernel allows it.</summary>
    /// <param name="count">One a core is best.</param>
    /// <param name="limits">What the shards hold their sessions to.</param>
    /// <param name="time">Clock for deadlines.</param>
    /// <param name="engine">What the settings ask for.</param>
    /// <param name="turnIntervalUs">Of <see cref="WakeModeration"/>.</param>
    /// <exception cref="IOException">io_uring was asked for by name, and there is none.</exception>
    public static async Task<(SocketShard[] Shards, string Engine)> StartAsync(
        int count, SessionLimits limits, TimeProvider time, SendEngine? engine, int turnIntervalUs)
    {
        SocketShard[] shards =
            [.. Enumerable.Range(0, count).Select(index => new SocketShard(index, limits, time, engine ?? SendEngine.Uring, turnIntervalUs))];
        string[] problems = await Task.WhenAll(shards.Select(static shard => shard.Started));
        string problem = problems.FirstOrDefault(static problem => problem.Length > 0, "");
        if (problem.Length > 0 && engine == SendEngine.Uring)
        {
            throw new IOException($"ENGINE=uring: {problem}");
        }

        int without = problems.Count(static problem => problem.Length > 0);
        string used = engine == SendEngine.Send ? "send"
            : without == 0 ? "io_uring"
            : without == count ? $"send ({problem})"
            : $"io_uring, and send on {without} of {count} shards ({problem})";
        return (shards, used);
    }
}
