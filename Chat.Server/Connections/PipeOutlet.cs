using System.Buffers;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using Chat.Server.Rooms;

namespace Chat.Server.Connections;

/// <summary>
/// The way out through the pipe of any connection: TLS, other operating systems, connections in memory. Frames are copied
/// into the pipe; while a flush waits for the peer, what comes is kept in a pooled buffer and follows when the flush is done.
/// </summary>
internal sealed class PipeOutlet : Outlet
{
    private const int BacklogBufferBytesMin = 4096;

    private readonly Shard _shard;
    private readonly PipeWriter _writer;
    private readonly Action _abort;
    private readonly Action _onFlushed;
    private readonly TaskCompletionSource _drained = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private ConfiguredValueTaskAwaitable<FlushResult>.ConfiguredValueTaskAwaiter _flush;
    private bool _isFlushing;
    private bool _isComplete;
    private bool _isBroken;
    private int _unflushedBytes;
    private int _flushingBytes;
    private byte[]? _backlog;
    private int _backlogLength;
    private long _backlogSinceMs;

    /// <param name="shard">The shard that owns the session.</param>
    /// <param name="writer">The connection's output; nobody else writes to it any more. What it holds unflushed leaves with the first flush.</param>
    /// <param name="abort">Ends the connection at once. Must be callable from any thread, more than once.</param>
    public PipeOutlet(Shard shard, PipeWriter writer, Action abort)
    {
        _shard = shard;
        _writer = writer;
        _unflushedBytes = (int)writer.UnflushedBytes;
        _abort = abort;
        _onFlushed = () => _shard.Post(static (outlet, _) => ((PipeOutlet)outlet).EndFlush(), this);
    }

    /// <summary>Completes when everything written has been flushed after <see cref="Complete"/>, or the connection broke.</summary>
    public Task Drained => _drained.Task;

    public override int BacklogBytes => _backlogLength;

    public override int HeldBytes => _backlogLength + _unflushedBytes + _flushingBytes;

    public override long BacklogSinceMs => _backlogSinceMs;

    public override void Write(ReadOnlySpan<byte> frames)
    {
        if (_isComplete || _isBroken || frames.IsEmpty)
        {
            return;
        }

        if (_isFlushing)
        {
            Keep(frames);
            return;
        }

        try
        {
            _writer.Write(frames);
            _unflushedBytes += frames.Length;
        }
        catch (Exception exception) when (IsConnectionEnd(exception))
        {
            Break(); // The connection ended under us; its input side hears of it too.
        }
    }

    public override void Flush()
    {
        if (_isFlushing || _isBroken || _unflushedBytes == 0)
        {
            return;
        }

        _flushingBytes = _unflushedBytes;
        _unflushedBytes = 0;
        _isFlushing = true;
        try
        {
#pragma warning disable CA2012 // The awaiter is kept in a field so that a flush allocates nothing; it is asked for its result once, in EndFlush.
            _flush = _writer.FlushAsync().ConfigureAwait(false).GetAwaiter();
#pragma warning restore CA2012
        }
        catch (Exception exception) when (IsConnectionEnd(exception))
        {
            _isFlushing = false;
            Break();
            return;
        }

        if (_flush.IsCompleted)
        {
            EndFlush();
        }
        else
        {
            if (_backlogSinceMs == 0)
            {
                _backlogSinceMs = _shard.NowMs;
            }

            _flush.UnsafeOnCompleted(_onFlushed);
        }
    }

    /// <summary>What is written behind a flush is a backlog.</summary>
    public override void SendDown(int heldBytesMax)
    {
        if (HeldBytes > heldBytesMax)
        {
            Flush();
        }
    }

    public override void DropBacklog() => ReleaseBacklog();

    public override void Complete()
    {
        _isComplete = true;
        Flush();
        SignalIfDrained();
    }

    public override void Abort()
    {
        _abort();
        _shard.Post(static (outlet, _) => ((PipeOutlet)outlet).Break(), this);
    }

    private void EndFlush()
    {
        _isFlushing = false;
        _flushingBytes = 0;
        try
        {
            FlushResult result = _flush.GetResult();
            if (result.IsCompleted || result.IsCanceled)
            {
                Break();
                return;
            }
        }
        catch (Exception exception) when (IsConnectionEnd(exception))
        {
            Break();
            return;
        }

        if (_backlogLength == 0)
        {
            _backlogSinceMs = 0;
        }
        else
        {
            byte[] backlog = _backlog!;
            int length = _backlogLength;
            _backlog = null;
            _backlogLength = 0;
            bool wasComplete = _isComplete;
            _isComplete = false;
            Write(backlog.AsSpan(0, length));
            _isComplete = wasComplete;
            ArrayPool<byte>.Shared.Return(backlog);
            Flush();
        }

        SignalIfDrained();
    }

    private void Keep(ReadOnlySpan<byte> frames)
    {
        int needed = _backlogLength + frames.Length;
        if (_backlog is null || _backlog.Length < needed)
        {
            byte[] larger = ArrayPool<byte>.Shared.Rent(Math.Max(BacklogBufferBytesMin, needed));
            _backlog.AsSpan(0, _backlogLength).CopyTo(larger);
            if (_backlog is not null)
            {
                ArrayPool<byte>.Shared.Return(_backlog);
            }

            _backlog = larger;
        }

        frames.CopyTo(_backlog.AsSpan(_backlogLength));
        _backlogLength = needed;
    }

    private void Break()
    {
        _isBroken = true;
        ReleaseBacklog();
        SignalIfDrained();
    }

    private void ReleaseBacklog()
    {
        if (_backlog is not null)
        {
            ArrayPool<byte>.Shared.Return(_backlog);
        }

        _backlog = null;
        _backlogLength = 0;
    }

    /// <summary>What a writer throws when the connection ended under it, at once or from its task.</summary>
    private static bool IsConnectionEnd(Exception exception) =>
        exception is InvalidOperationException or IOException or OperationCanceledException;

    private void SignalIfDrained()
    {
        if (_isBroken || (_isComplete && !_isFlushing && _unflushedBytes == 0 && _backlogLength == 0))
        {
            _drained.TrySetResult();
        }
    }
}
