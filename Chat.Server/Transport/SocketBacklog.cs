namespace Chat.Server.Transport;

/// <summary>
/// The part of a slow member's output that does not fit into one buffer: whole frames in their order, in pinned buffers of the shard's, the
/// longest that are used again. None of them is copied once it is here. Only the shard's thread.
/// </summary>
internal sealed class SocketBacklog
{
    private readonly LinkedList<(byte[] Buffer, int Length)> _buffers = new();

    /// <summary>Bytes in all buffers.</summary>
    public int Length { get; private set; }

    /// <summary>Copies whole frames to the end. A frame is never in two buffers.</summary>
    public void Append(PinnedBuffers buffers, ReadOnlySpan<byte> frames)
    {
        LinkedListNode<(byte[] Buffer, int Length)>? last = _buffers.Last;
        if (last is null || last.ValueRef.Buffer.Length - last.ValueRef.Length < frames.Length)
        {
            last = _buffers.AddLast((buffers.Rent(Math.Max(frames.Length, PinnedBuffers.KeptBytesMax)), 0));
        }

        ref (byte[] Buffer, int Length) end = ref last.ValueRef;
        frames.CopyTo(end.Buffer.AsSpan(end.Length));
        end.Length += frames.Length;
        Length += frames.Length;
    }

    /// <summary>Puts a buffer with so many bytes of whole frames before all others. It belongs to the backlog now.</summary>
    public void Prepend(byte[] buffer, int length)
    {
        _buffers.AddFirst((buffer, length));
        Length += length;
    }

    /// <summary>Takes the first buffer out, with what is in it. It belongs to the caller now.</summary>
    /// <exception cref="InvalidOperationException">There is none.</exception>
    public (byte[] Buffer, int Length) Take()
    {
        (byte[] Buffer, int Length) first = _buffers.First?.Value ?? throw new InvalidOperationException("the backlog is empty");
        _buffers.RemoveFirst();
        Length -= first.Length;
        return first;
    }

    /// <summary>Gives all buffers back.</summary>
    public void Release(PinnedBuffers buffers)
    {
        foreach ((byte[] buffer, _) in _buffers)
        {
            buffers.Return(buffer);
        }

        _buffers.Clear();
        Length = 0;
    }
}
