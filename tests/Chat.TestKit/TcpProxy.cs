using System.Net;
using System.Net.Sockets;

namespace Chat.TestKit;

public enum ProxyDirection
{
    ToServer,
    ToClient,
}

public enum ProxyFault
{
    /// <summary>The receiver gets what was sent before and then the end of the stream, the sender a reset.</summary>
    Cut,

    /// <summary>Nothing more passes this way until <see cref="TcpProxy.Release"/>; then everything does.</summary>
    Hold,

    /// <summary>Nothing more passes this way, ever; both ends believe that they are connected.</summary>
    Swallow,

    /// <summary>The same, both ways: a network that lost its route.</summary>
    Isolate,
}

/// <summary>
/// Stands between a client and a server of 127.0.0.1, and does one planned fault at an exact byte. Any number of connections;
/// the bytes of all are counted together, from <see cref="Plan"/> on, and the fault meets the connection that sends the byte after the planned count.
/// Thread-safe.
/// </summary>
public sealed class TcpProxy : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly int _serverPort;
    private readonly Lock _lock = new();
    private readonly List<Connection> _connections = [];
    private readonly List<Task> _pumps = [];
    private readonly Task _accepting;
    private FaultPlan? _plan;

    public TcpProxy(int serverPort)
    {
        _serverPort = serverPort;
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    /// <summary>
    /// The next fault. <paramref name="afterBytes"/> more bytes pass in its direction, on whatever connection; the rest meets it.
    /// The task completes when it has happened. An earlier plan that did not happen is dropped.
    /// </summary>
    public Task Plan(ProxyFault fault, ProxyDirection direction, long afterBytes)
    {
        var plan = new FaultPlan(fault, direction, afterBytes);
        lock (_lock)
            _plan = plan;
        return plan.Happened.Task;
    }

    /// <summary>Ends every <see cref="ProxyFault.Hold"/>.</summary>
    public void Release()
    {
        lock (_lock)
            _connections.ForEach(connection => connection.Released.TrySetResult());
    }

    /// <summary>Keeps what passes from now on, until <see cref="Recorded"/> takes it.</summary>
    public void Record()
    {
        lock (_lock)
            Recording = (new MemoryStream(), new MemoryStream());
    }

    /// <summary>What has passed in each direction since <see cref="Record"/>.</summary>
    public (byte[] ToServer, byte[] ToClient) Recorded()
    {
        lock (_lock)
        {
            var (toServer, toClient) = Recording!.Value;
            Recording = null;
            return (toServer.ToArray(), toClient.ToArray());
        }
    }

    private (MemoryStream ToServer, MemoryStream ToClient)? Recording { get; set; }

    public async ValueTask DisposeAsync()
    {
        _listener.Stop();
        await _accepting;
        lock (_lock)
            _connections.ForEach(connection => connection.Break());
        await Task.WhenAll(_pumps);
        _listener.Dispose();
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                var client = await _listener.AcceptSocketAsync();
                _ = ConnectAsync(client);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Stopped.
        }
    }

    private async Task ConnectAsync(Socket client)
    {
        var server = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        var connection = new Connection(client, server);
        client.NoDelay = server.NoDelay = true;
        try
        {
            await server.ConnectAsync(IPAddress.Loopback, _serverPort);
        }
        catch (SocketException)
        {
            connection.Break(); // The server is down, and the client sees what it would see without us.
            return;
        }
        lock (_lock)
        {
            _connections.Add(connection);
            _pumps.Add(PumpAsync(connection, ProxyDirection.ToServer));
            _pumps.Add(PumpAsync(connection, ProxyDirection.ToClient));
        }
    }

    private async Task PumpAsync(Connection connection, ProxyDirection direction)
    {
        await Task.Yield();
        var (from, to) = direction == ProxyDirection.ToServer ? (connection.Client, connection.Server) : (connection.Server, connection.Client);
        var buffer = new byte[16 * 1024];
        try
        {
            while (await from.ReceiveAsync(buffer) is var received and > 0)
            {
                var passes = Decide(direction, received, buffer, out var plan);
                if (!connection.Swallows(direction))
                    await to.SendAsync(buffer.AsMemory(0, passes));
                if (plan is null)
                    continue;
                plan.Happened.TrySetResult();
                switch (plan.Fault)
                {
                    case ProxyFault.Cut:
                        // No reset for the receiver: it would overtake the bytes that were to arrive. The other pump reads on until it closes.
                        connection.Swallow(ProxyDirection.ToServer);
                        connection.Swallow(ProxyDirection.ToClient);
                        to.Shutdown(SocketShutdown.Send);
                        from.Close(0);
                        return;
                    case ProxyFault.Hold:
                        await connection.Released.Task;
                        await to.SendAsync(buffer.AsMemory(passes, received - passes));
                        break;
                    case ProxyFault.Swallow:
                        connection.Swallow(direction);
                        break;
                    case ProxyFault.Isolate:
                        connection.Swallow(ProxyDirection.ToServer);
                        connection.Swallow(ProxyDirection.ToClient);
                        break;
                }
            }
            // The end of a stream is a message as well: who swallows bytes does not let it pass.
            if (!connection.Swallows(direction))
                to.Shutdown(SocketShutdown.Send);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            if (!connection.Swallows(ProxyDirection.ToServer) && !connection.Swallows(ProxyDirection.ToClient))
                connection.Break();
        }
    }

    /// <returns>How many of the received bytes pass; fewer than all with the plan whose fault comes after them.</returns>
    private int Decide(ProxyDirection direction, int received, byte[] buffer, out FaultPlan? due)
    {
        lock (_lock)
        {
            if (Recording is { } recording)
                (direction == ProxyDirection.ToServer ? recording.ToServer : recording.ToClient).Write(buffer, 0, received);
            due = null;
            if (_plan is not { } plan || plan.Direction != direction)
                return received;
            if (plan.BytesLeft >= received)
            {
                plan.BytesLeft -= received;
                return received;
            }
            due = plan;
            _plan = null;
            return (int)plan.BytesLeft;
        }
    }

    private sealed class FaultPlan(ProxyFault fault, ProxyDirection direction, long afterBytes)
    {
        internal ProxyFault Fault { get; } = fault;
        internal ProxyDirection Direction { get; } = direction;
        internal long BytesLeft { get; set; } = afterBytes;
        internal TaskCompletionSource Happened { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    private sealed class Connection(Socket client, Socket server)
    {
        private volatile bool _swallowsToServer;
        private volatile bool _swallowsToClient;

        internal Socket Client { get; } = client;
        internal Socket Server { get; } = server;
        internal TaskCompletionSource Released { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        internal bool Swallows(ProxyDirection direction) => direction == ProxyDirection.ToServer ? _swallowsToServer : _swallowsToClient;

        internal void Swallow(ProxyDirection direction)
        {
            if (direction == ProxyDirection.ToServer)
                _swallowsToServer = true;
            else
                _swallowsToClient = true;
        }

        /// <summary>By a reset, which overtakes what is on its way.</summary>
        internal void Break()
        {
            Released.TrySetResult();
            Client.Close(0);
            Server.Close(0);
        }
    }
}
