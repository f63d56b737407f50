using System.Collections;
using System.IO.Pipelines;
using System.Net;
using Chat.Server.Connections;
using Chat.Server.Rooms;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;

namespace Chat.Server.Transport;

/// <summary>
/// What Kestrel sees of a <see cref="ShardSocket"/>: a connection that is its own duplex pipe and its own features, since
/// each object less is memory that a hundred thousand idle connections do not hold. The pipe's two ends exist only while
/// the connection speaks HTTP.
/// </summary>
internal sealed class ShardConnection : ConnectionContext, IDuplexPipe, IFeatureCollection
{
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private object? _feature;
    private EndPoint? _peer;
    private CancellationTokenSource? _gone;
    private volatile bool _isGone;

    public ShardConnection(SocketShard shard, int fd, EndPoint? peer)
    {
        _peer = peer;
        Socket = new ShardSocket(shard, fd, this);
        Reader = new SocketReader(Socket);
        Writer = new SocketWriter(Socket);
    }

    public ShardSocket Socket { get; }

    public SocketReader? Reader { get; private set; }

    public SocketWriter? Writer { get; private set; }

    /// <summary>Completes, on the thread pool, when the descriptor has been closed.</summary>
    public Task Closed => _closed.Task;

    /// <summary>A session's place among the connections of its address: given up when the descriptor has been closed.</summary>
    public IDisposable? Place { get; set; }

    public PipeReader Input => Reader!;

    public PipeWriter Output => Writer!;

    public override IDuplexPipe Transport
    {
        get => this;
        set => throw new NotSupportedException("A middleware that wraps the transport needs the portable one.");
    }

    public override string ConnectionId { get; set; } = "";

    public override IFeatureCollection Features => this;

    public override IDictionary<object, object?> Items { get; set; } = null!;

    /// <summary>Of a session asked of the kernel when it is wanted; null then once the connection is closed.</summary>
    public override EndPoint? RemoteEndPoint
    {
        get => _peer ?? PeerAddress.Of(Socket.Fd);
        set => throw new NotSupportedException();
    }

    /// <summary>
    /// Cancelled, on the thread pool, when the peer has reset the connection, or it was aborted, while it speaks HTTP; not when the peer only has
    /// ended what it sends and can still take an answer. Made when it is asked for, by the one who handles the connection.
    /// </summary>
    public override CancellationToken ConnectionClosed
    {
        get
        {
            CancellationTokenSource gone = Volatile.Read(ref _gone) ?? new CancellationTokenSource();
            Volatile.Write(ref _gone, gone);
            Interlocked.MemoryBarrier(); // Pairs with OnGone: we see that it is gone, or it sees what to cancel.
            return _isGone ? new CancellationToken(canceled: true) : gone.Token;
        }

        set => throw new NotSupportedException();
    }

    bool IFeatureCollection.IsReadOnly => false;

    int IFeatureCollection.Revision => 0;

    object? IFeatureCollection.this[Type key]
    {
        get => key.IsInstanceOfType(_feature) ? _feature : null;
        set => _feature = value ?? _feature;
    }

    /// <summary>
    /// The HTTP phase ended with an accepted handshake: the session starts, and goes on with the socket, on the shard's thread. The
    /// pipe may not be used after this call. Any thread.
    /// </summary>
    public void Attach(WebSocketSession session, ResumePoint resume)
    {
        session.Announce();
        Socket.Shard.Post(
            static (target, argument) =>
            {
                var (session, resume) = ((WebSocketSession, ResumePoint))argument!;
                ((ShardConnection)target).HandOver(session, resume);
            },
            this,
            (session, resume));
    }

    /// <summary>The HTTP phase ended and no session follows: the socket is closed when what was written has been sent.</summary>
    public void Finish() => Socket.Shard.Post(static (socket, _) => ((ShardSocket)socket).LetGo(), Socket);

    public override void Abort(ConnectionAbortedException abortReason) => Socket.Abort();

    public override void Abort() => Socket.Abort();

    /// <summary>Nothing is left to do: Kestrel disposes after <see cref="Closed"/>.</summary>
    public override ValueTask DisposeAsync() => base.DisposeAsync();

    /// <summary>The socket wants to close: whoever waits for it in the HTTP phase goes on and lets go of it. Shard thread.</summary>
    public void OnClosing()
    {
        OnGone();
        Writer?.Break();
        if (Reader is { } reader)
        {
            reader.OnEndOfInput(isReset: true);
            if (reader.IsWaiting)
            {
                reader.CompleteWait();
            }
        }
    }

    /// <summary>The peer has reset the connection; whoever works for it need not go on. Shard thread.</summary>
    public void OnGone()
    {
        _isGone = true;
        Interlocked.MemoryBarrier();
        _ = Volatile.Read(ref _gone)?.CancelAsync();
    }

    /// <summary>The descriptor is closed. Shard thread.</summary>
    public void OnClosed()
    {
        Reader?.Complete();
        Writer?.Complete();
        Place?.Dispose();
        Place = null;
        _closed.TrySetResult();
    }

    private void HandOver(WebSocketSession session, ResumePoint resume)
    {
        byte[]? input = Reader!.Detach(out int inputLength);
        SocketWriter writer = Writer!;
        Reader = null;
        Writer = null;
        _peer = null;
        _gone = null;
        Socket.Attach(session, resume, writer.Unflushed, input, inputLength);
        writer.Complete();
    }

    // Kestrel sets a handful of features to one and the same object, its own view of the connection: one field holds it.
    TFeature? IFeatureCollection.Get<TFeature>()
        where TFeature : default => _feature is TFeature feature ? feature : default;

    void IFeatureCollection.Set<TFeature>(TFeature? instance)
        where TFeature : default => _feature = instance ?? _feature;

    IEnumerator<KeyValuePair<Type, object>> IEnumerable<KeyValuePair<Type, object>>.GetEnumerator()
    {
        yield break;
    }

    IEnumerator IEnumerable.GetEnumerator() => Array.Empty<object>().GetEnumerator();
}
