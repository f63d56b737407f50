using System.Buffers;
using System.IO.Pipelines;
using System.Threading.Tasks.Sources;
using Chat.Protocol;
using Microsoft.AspNetCore.Connections;

namespace Chat.Server.Transport;

/// <summary>
/// The input of a <see cref="ShardSocket"/> in its HTTP phase: one contiguous pooled buffer, rented when bytes come and
/// returned when all of them are consumed. A wait is completed inline on the shard's thread.
/// <para>One reader at a time, on any thread; the socket is read on the shard's thread alone.</para>
/// </summary>
internal sealed class SocketReader(ShardSocket socket) : PipeReader, IValueTaskSource<ReadResult>
{
    private const int BufferBytesMin = 4096;

    private ManualResetValueTaskSourceCore<ReadResult> _wait;
    private byte[]? _buffer;
    private int _start;
    private int _end;
    private int _examined;
    private ReadOnlySequence<byte> _handedOut;
    private volatile bool _isWaiting;
    private volatile bool _isCanceled;
    private bool _isEnded;
    private bool _isReset;

    /// <summary>Somebody awaits <see cref="ReadAsync"/>.</summary>
    public bool IsWaiting => _isWaiting;

    public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
    {
        if (TryRead(out ReadResult result))
        {
            return new(result);
        }

        _wait.Reset();
        _isWaiting = true;
        if (socket.Shard.IsCurrent)
        {
            // Not at once: a peer that sends requests as fast as they are answered would keep the shard in its reader's loop.
            socket.ReadSoon();
        }
        else
        {
            socket.Shard.Post(static (target, _) => ((SocketReader)target).BeginWait(), this);
        }

        return new(this, _wait.Version);
    }

    public override bool TryRead(out ReadResult result)
    {
        Invariant.Require(!_isWaiting);
        bool isNew = _end > _start && _examined < _end;
        if (!isNew && !_isCanceled && !_isEnded)
        {
            result = default;
            return false;
        }

        if (_isReset && !isNew)
        {
            throw new ConnectionResetException("The peer reset the connection.");
        }

        result = HandOut();
        return true;
    }

    public override void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
    {
        int length = _end - _start;
        int consumedBytes = length == 0 ? 0 : (int)_handedOut.Slice(0, consumed).Length;
        _examined = length == 0 ? _end : _start + (int)_handedOut.Slice(0, examined).Length;
        _handedOut = default;
        _start += consumedBytes;
        if (_start == _end)
        {
            Release();
        }
    }

    /// <summary>Ends a wait, now or the next one, without data. Any thread.</summary>
    public override void CancelPendingRead()
    {
        _isCanceled = true;
        socket.Shard.Post(
            static (target, _) =>
            {
                var reader = (SocketReader)target;
                if (reader._isWaiting && reader._isCanceled)
                {
                    reader.CompleteWait();
                }
            },
            this);
    }

    public override void Complete(Exception? exception = null) => Release();

    /// <summary>Takes what was received and not consumed, for the session that goes on with it; null when there is nothing.</summary>
    public byte[]? Detach(out int length)
    {
        length = _end - _start;
        if (length == 0)
        {
            Release();
            return null;
        }

        _buffer.AsSpan(_start, length).CopyTo(_buffer);
        byte[] buffer = _buffer!;
        _buffer = null;
        return buffer;
    }

    /// <summary>Receives once from the socket: bytes, 0 at its end, or a negative errno. Shard thread.</summary>
    public int Receive(int fd, ref InputReadiness readiness)
    {
        Span<byte> free = GetFreeSpan();
        int count = Libc.Receive(fd, free);
        readiness.OnReceived(count, free.Length);
        if (count > 0)
        {
            _end += count;
        }
        else if (count != -Libc.EAGAIN)
        {
            OnEndOfInput(isReset: count < 0);
        }

        return count;
    }

    /// <summary>No bytes will come any more. Shard thread.</summary>
    public void OnEndOfInput(bool isReset)
    {
        _isEnded = true;
        _isReset |= isReset;
    }

    /// <summary>Lets the reader that waits go on, inline. Shard thread.</summary>
    public void CompleteWait()
    {
        _isWaiting = false;
        if (_isReset && _end == _start)
        {
            _wait.SetException(new ConnectionResetException("The peer reset the connection."));
        }
        else
        {
            _wait.SetResult(HandOut());
        }
    }

    ReadResult IValueTaskSource<ReadResult>.GetResult(short token) => _wait.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<ReadResult>.GetStatus(short token) => _wait.GetStatus(token);

    void IValueTaskSource<ReadResult>.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _wait.OnCompleted(continuation, state, token, flags & ~ValueTaskSourceOnCompletedFlags.UseSchedulingContext);

    private void BeginWait()
    {
        if (_isWaiting && (_isCanceled || _isEnded || socket.Fill(this)))
        {
            CompleteWait();
        }
    }

    /// <summary>Where the next bytes go: never empty.</summary>
    private Span<byte> GetFreeSpan()
    {
        if (_buffer is null)
        {
            _buffer = ArrayPool<byte>.Shared.Rent(BufferBytesMin);
        }
        else if (_end == _buffer.Length)
        {
            int length = _end - _start;
            byte[] target = _start >= length ? _buffer : ArrayPool<byte>.Shared.Rent(_buffer.Length * 2);
            _buffer.AsSpan(_start, length).CopyTo(target);
            if (target != _buffer)
            {
                ArrayPool<byte>.Shared.Return(_buffer);
                _buffer = target;
            }

            _examined -= _start;
            _start = 0;
            _end = length;
        }

        return _buffer.AsSpan(_end);
    }

    private ReadResult HandOut()
    {
        bool isCanceled = _isCanceled;
        _isCanceled = false;
        _handedOut = _end == _start ? default : new ReadOnlySequence<byte>(_buffer!, _start, _end - _start);
        return new ReadResult(_handedOut, isCanceled, _isEnded);
    }

    private void Release()
    {
        if (_buffer is not null)
        {
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = null;
        }

        _start = _end = _examined = 0;
    }
}
