using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Chat.Protocol;

namespace Chat.Server.Transport;

/// <summary>
/// How a shard's bytes reach the kernel: each send at once, or, with an io_uring, queued and carried out together by <see cref="Submit"/>. A
/// socket has one queued send at most. Only the shard's thread.
/// </summary>
internal sealed unsafe class SendQueue : IDisposable
{
    private const int EntriesMax = 1024;

    private readonly QueuedSend[] _queued = new QueuedSend[EntriesMax];
    private int _count;
    private byte[] _joined = [];
    private bool _isJoinedQueued;
    private IoUring? _uring;

    /// <summary>Every send is over when its call returns.</summary>
    public bool IsImmediate => _uring is null;

    /// <summary>Makes the io_uring, which belongs to the calling thread. Empty, or why there is none.</summary>
    public string UseUring()
    {
        _uring = IoUring.TryCreate(EntriesMax, out string problem);
        return problem;
    }

    /// <summary>Sends what a socket has in its own buffer.</summary>
    /// <param name="socket">Has no queued send.</param>
    /// <param name="output">Pinned; stays in place until <see cref="ShardSocket.OnOutputSent"/>.</param>
    public void SendOutput(ShardSocket socket, ReadOnlySpan<byte> output)
    {
        if (_uring is null)
        {
            socket.OnOutputSent(socket.Send(output));
        }
        else
        {
            Queue(socket, output, isRange: false);
        }
    }

    /// <summary>Sends a range that many sockets get.</summary>
    /// <param name="socket">Has nothing else to send.</param>
    /// <param name="range">Pinned, whole frames; stays in place until <see cref="Submit"/>.</param>
    public void SendRange(ShardSocket socket, ReadOnlySpan<byte> range)
    {
        if (_uring is not null)
        {
            Queue(socket, range, isRange: true);
            return;
        }

        int sent = socket.Send(range);
        if (sent != range.Length)
        {
            socket.OnRangeSent(range, sent);
        }
    }

    /// <summary>
    /// A range that wraps, in one piece: each socket may have one queued send only, and one is cheaper than two. <see cref="EndJoined"/> follows
    /// when it has been given to all.
    /// </summary>
    public ReadOnlySpan<byte> Join(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second)
    {
        if (_isJoinedQueued)
        {
            Submit(); // Another room's joined range is still queued.
        }

        int length = first.Length + second.Length;
        if (_joined.Length < length)
        {
            _joined = GC.AllocateUninitializedArray<byte>(length, pinned: true);
        }

        first.CopyTo(_joined);
        second.CopyTo(_joined.AsSpan(first.Length));
        return _joined.AsSpan(0, length);
    }

    /// <summary>Not earlier: a full queue submits in the middle of the members, and the rest came after it.</summary>
    public void EndJoined() => _isJoinedQueued = _uring is not null;

    /// <summary>Carries out the queued sends and tells the sockets of those that were short or failed.</summary>
    public void Submit()
    {
        if (_count == 0)
        {
            return;
        }

        _uring!.Submit();
        int count = _count;
        _count = 0;
        for (int i = 0; i < count; i++)
        {
            _queued[i].Socket.HasQueuedSend = false;
            _queued[i].Result = _queued[i].Length;
        }

        while (_uring.TryTakeCompletion(out int token, out int result))
        {
            _queued[token].Result = result;
        }

        for (int i = 0; i < count; i++)
        {
            ref QueuedSend queued = ref _queued[i];
            ShardSocket socket = queued.Socket;
            if (!queued.IsRange)
            {
                socket.OnOutputSent(queued.Result);
            }
            else if (queued.Result != queued.Length)
            {
                socket.OnRangeSent(new ReadOnlySpan<byte>(queued.Bytes, queued.Length), queued.Result);
            }

            queued.Socket = null!;
        }

        _isJoinedQueued = false;
    }

    public void Dispose() => _uring?.Dispose();

    private void Queue(ShardSocket socket, ReadOnlySpan<byte> bytes, bool isRange)
    {
        Invariant.Require(!socket.HasQueuedSend);
        if (_count == Math.Min(_queued.Length, _uring!.Capacity))
        {
            Submit();
        }

        byte* start = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(bytes)); // Pinned arrays only.
        socket.HasQueuedSend = true;
        _queued[_count] = new QueuedSend { Socket = socket, Bytes = start, Length = bytes.Length, IsRange = isRange };
        _uring.QueueSend(socket.Fd, start, bytes.Length, _count);
        _count++;
    }

    private struct QueuedSend
    {
        public ShardSocket Socket;
        public byte* Bytes;
        public int Length;
        public int Result;
        public bool IsRange;
    }
}
