using System.Buffers;
using System.Collections.Concurrent;
using System.IO.Pipelines;
using System.Net;
using Chat.Protocol;
using Chat.Server.Rooms;
using Chat.Server.Transport;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;

namespace Chat.Server.Connections;

/// <summary>
/// The terminal connection middleware: everything a connection does, from its first byte to its last. HTTP first; a
/// WebSocket session when a handshake was accepted. One call per connection, on thread-pool threads.
/// </summary>
internal sealed partial class ChatConnectionHandler(
    HttpServices http, IReadOnlyList<Shard> shards, int connectionsMax, ILogger<ChatConnectionHandler> logger)
    : ConnectionHandler
{
    private readonly ConcurrentDictionary<HttpConnection, bool> _requests = new();
    private uint _nextShard;

    public override Task OnConnectedAsync(ConnectionContext connection)
    {
        if (connection is not ShardConnection shardConnection)
        {
            return ServeAsync(connection);
        }

        // Its session is driven by the shard. What Kestrel awaits is one task: no state machine of ours is left while it idles.
        _ = ServeAsync(shardConnection);
        return shardConnection.Closed;
    }

    private async Task ServeAsync(ConnectionContext connection)
    {
        http.Metrics.ConnectionsAccepted.Add();
        long open = http.Metrics.HttpConnections.Increment() + http.Metrics.WebSockets.Value;
        bool speaksHttp = true;
        bool isAttached = false;
        IDisposable? place = null;
        try
        {
            if (open > connectionsMax)
            {
                await Refusal.SendAsync(connection, http, 503);
                return;
            }

            (AcceptedHandshake? handshake, place) = await RunHttpAsync(connection);
            if (handshake is null)
            {
                return;
            }

            speaksHttp = false;
            http.Metrics.HttpConnections.Decrement();
            if (connection is ShardConnection shardConnection)
            {
                Attach(shardConnection, handshake, place);
                place = null;
                isAttached = true;
            }
            else
            {
                await RunWebSocketAsync(connection, handshake);
            }
        }
        catch (Exception exception) when (exception is ConnectionResetException or ConnectionAbortedException or IOException or OperationCanceledException)
        {
            ConnectionLost(logger, connection.RemoteEndPoint, exception.Message); // The peer went away; nothing is owed to anybody.
        }
        catch (Exception exception) // The edge of a connection: it ends, the others go on.
        {
            ConnectionFailed(logger, connection.RemoteEndPoint, exception);
        }
        finally
        {
            if (speaksHttp)
            {
                http.Metrics.HttpConnections.Decrement();
            }

            place?.Dispose();

            if (!isAttached)
            {
                (connection as ShardConnection)?.Finish();
            }
        }
    }

    private void Attach(ShardConnection connection, AcceptedHandshake handshake, IDisposable? place)
    {
        connection.Place = place;
        WebSocketSession session = NewSession(connection.Socket.Shard, connection.Socket, handshake);
        connection.Attach(session, handshake.Resume);
    }

    private WebSocketSession NewSession(Shard shard, Outlet outlet, AcceptedHandshake handshake) => handshake.Identity is { } identity
        ? new ChatSession(shard, outlet, identity.Sender, identity.ExpiresAt, handshake.Room, http.Application.Sessions!, handshake.Deflate)
        : new EchoSession(shard, outlet, http.Application.Sessions!, handshake.Deflate);

    /// <summary>Ends requests whose time is up. Called by a timer, some times a second.</summary>
    public void Sweep()
    {
        long nowMs = http.NowMs;
        foreach (KeyValuePair<HttpConnection, bool> entry in _requests)
        {
            entry.Key.ExpireIfDue(nowMs);
        }
    }

    /// <summary>Ends the connections that wait for a request; those that are being answered end after their answer.</summary>
    public void StopWaiting()
    {
        http.IsStopping = true;
        foreach (KeyValuePair<HttpConnection, bool> entry in _requests)
        {
            entry.Key.ExpireNow();
        }
    }

    private async Task<(AcceptedHandshake? Handshake, IDisposable? Place)> RunHttpAsync(ConnectionContext connection)
    {
        using var requests = new HttpConnection(connection, http);
        _requests[requests] = true;
        if (http.IsStopping)
        {
            requests.ExpireNow(); // It may have come too late for StopWaiting to see it.
        }

        try
        {
            AcceptedHandshake? handshake = await requests.RunAsync();
            return (handshake, handshake is null ? null : requests.TakePlace());
        }
        finally
        {
            _requests.TryRemove(requests, out _);
        }
    }

    private async Task RunWebSocketAsync(ConnectionContext connection, AcceptedHandshake handshake)
    {
        Shard shard = shards[(int)(Interlocked.Increment(ref _nextShard) % (uint)shards.Count)];
        PipeReader input = connection.Transport.Input;
        var outlet = new PipeOutlet(shard, connection.Transport.Output, connection.Abort);
        WebSocketSession session = NewSession(shard, outlet, handshake);
        session.Start(handshake.Resume);
        try
        {
            await ReadAsync(session, outlet, input, shard);
        }
        finally
        {
            session.Stop();
            // However the input ended: until then the pipe is the shard's. Kestrel completes it when this method returns, and
            // gives its blocks back to a pool while the shard could still be copying into them.
            await EndAsync(outlet, shard);
        }
    }

    /// <summary>Waits until the outlet lets go of the pipe; a peer that takes nothing any more is not waited for longer than for its close.</summary>
    private static async Task EndAsync(PipeOutlet outlet, Shard shard)
    {
        await outlet.Drained
            .WaitAsync(TimeSpan.FromMilliseconds(shard.Limits.CloseTimeoutMs), shard.Time)
            .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (!outlet.Drained.IsCompleted)
        {
            outlet.Abort();
            await outlet.Drained;
        }
    }

    /// <summary>Feeds the session until its input is over, then discards until the peer closes or everything has been sent.</summary>
    private static async Task ReadAsync(WebSocketSession session, PipeOutlet outlet, PipeReader input, Shard shard)
    {
        bool isOpen = true;
        var pace = new LingerPace(session.MessageBytesMax);
        _ = outlet.Drained.ContinueWith(
            static (_, reader) => ((PipeReader)reader!).CancelPendingRead(),
            input,
            CancellationToken.None,
            TaskContinuationOptions.None,
            TaskScheduler.Default);
        while (true)
        {
            ReadResult read = await input.ReadAsync();
            ReadOnlySequence<byte> buffer = read.Buffer;
            SequencePosition consumed = buffer.End;
            bool wasOpen = isOpen;
            if (isOpen && !buffer.IsEmpty)
            {
                isOpen = session.Receive(buffer, out consumed);
                while (isOpen && session.IsParked)
                {
                    await Task.Delay(TimeSpan.FromMilliseconds(Room.FullRingRetryMs), shard.Time);
                    isOpen = session.Receive(buffer.Slice(consumed), out consumed);
                }
            }

            Invariant.Require(isOpen || buffer.IsEmpty || consumed.Equals(buffer.End));
            bool hasUnread = isOpen && session.HasUnread;
            long bytes = buffer.Length;
            input.AdvanceTo(consumed, hasUnread ? consumed : buffer.End);
            if ((read.IsCompleted && !hasUnread) || (!wasOpen && !await pace.RestAsync(bytes, shard.Time)))
            {
                return;
            }

            if (read.IsCanceled && outlet.Drained.IsCompleted)
            {
                // RFC 6455 section 7.1.1.
                await Linger.DiscardAsync(input, session.HasPeerClosed ? Linger.TrailMs : shard.Limits.CloseTimeoutMs, shard.Time, pace);
                return;
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "Connection of {Peer} lost: {Reason}")]
    private static partial void ConnectionLost(ILogger logger, EndPoint? peer, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "Connection of {Peer} failed")]
    private static partial void ConnectionFailed(ILogger logger, EndPoint? peer, Exception exception);
}
