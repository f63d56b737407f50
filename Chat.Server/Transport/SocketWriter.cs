using System.Buffers;
using System.IO.Pipelines;
using System.Threading.Tasks.Sources;
using Chat.Protocol;

namespace Chat.Server.Transport;

/// <summary>
/// The output of a <see cref="ShardSocket"/> in its HTTP phase: a pooled buffer that a flush sends at once, on the calling
/// thread. Only when the peer does not take it does the flush wait, for the shard to see the socket writable.
/// <para>One writer at a time, on any thread.</para>
/// </summary>
internal sealed class SocketWriter(ShardSocket socket) : PipeWriter, IValueTaskSource<FlushResult>
{
    private const int BufferBytesMin = 1024;

    private readonly ShardSocket _socket = socket;
    private ManualResetValueTaskSourceCore<FlushResult> _wait;
    private byte[]? _buffer;
    private int _start;
    private int _end;
    private bool _isWaiting;
    private volatile bool _isBroken;

    public override bool CanGetUnflushedBytes => true;

    public override long UnflushedBytes => _end - _start;

    public override Memory<byte> GetMemory(int sizeHint = 0)
    {
        EnsureFree(Math.Max(sizeHint, 1));
        return _buffer.AsMemory(_end);
    }

    public override Span<byte> GetSpan(int sizeHint = 0)
    {
        EnsureFree(Math.Max(sizeHint, 1));
        return _buffer.AsSpan(_end);
    }

    public override void Advance(int bytes)
    {
        Invariant.Require(bytes >= 0 && (bytes == 0 || bytes <= _buffer!.Length - _end));
        _end += bytes;
    }

    public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
    {
        if (TrySend())
        {
            return new(new FlushResult(isCanceled: false, isCompleted: _isBroken));
        }

        _wait.Reset();
        // From here the shard goes on with the buffer; the post orders what we wrote before what it reads.
        _socket.Shard.Post(
            static (target, _) =>
            {
                var writer = (SocketWriter)target;
                writer._isWaiting = true;
                writer._socket.Arm(); // A connection that was refused has never been read.
                writer.Continue();
            },
            this);
        return new(this, _wait.Version);
    }

    /// <summary>
    /// Tells the peer, after a flush, that nothing more comes. It can still be read (RFC 9112 section 9.6), so this is not <see cref="Complete"/>.
    /// </summary>
    public void EndSending() => _ = Libc.shutdown(_socket.Fd, Libc.SHUT_WR); // Fails when the peer is gone, which the next read says, too.

    /// <summary>The socket may be writable again. Shard thread.</summary>
    public void Continue()
    {
        if (_isWaiting && TrySend())
        {
            _isWaiting = false;
            _wait.SetResult(new FlushResult(isCanceled: false, isCompleted: _isBroken));
        }
    }

    /// <summary>Nothing can be sent any more: ends a wait. Shard thread.</summary>
    public void Break()
    {
        _isBroken = true;
        Continue();
    }

    /// <summary>What was written and not flushed, for the session that goes on with the socket. Until <see cref="Complete"/>.</summary>
    public ReadOnlySpan<byte> Unflushed => _buffer.AsSpan(_start, _end - _start);

    public override void CancelPendingFlush() => throw new NotSupportedException();

    public override void Complete(Exception? exception = null) => Release();

    FlushResult IValueTaskSource<FlushResult>.GetResult(short token) => _wait.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<FlushResult>.GetStatus(short token) => _wait.GetStatus(token);

    void IValueTaskSource<FlushResult>.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _wait.OnCompleted(continuation, state, token, flags & ~ValueTaskSourceOnCompletedFlags.UseSchedulingContext);

    /// <summary>True when nothing is left: sent, or thrown away because the connection broke.</summary>
    private bool TrySend()
    {
        while (_start < _end && !_isBroken)
        {
            int sent = _socket.Send(_buffer.AsSpan(_start, _end - _start));
            if (sent == -Libc.EAGAIN)
            {
                return false;
            }

            if (sent < 0)
            {
                _isBroken = true;
                break;
            }

            _start += sent;
        }

        Release();
        return true;
    }

    private void EnsureFree(int bytes)
    {
        if (_buffer is not null && _buffer.Length - _end >= bytes)
        {
            return;
        }

        int length = _end - _start;
        byte[] larger = ArrayPool<byte>.Shared.Rent(Math.Max(BufferBytesMin, length + bytes));
        if (_buffer is not null)
        {
            _buffer.AsSpan(_start, length).CopyTo(larger);
            ArrayPool<byte>.Shared.Return(_buffer);
        }

        _buffer = larger;
        _start = 0;
        _end = length;
    }

    private void Release()
    {
        if (_buffer is not null)
        {
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = null;
        }

        _start = _end = 0;
    }
}
