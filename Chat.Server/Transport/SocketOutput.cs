using System.Buffers.Binary;
using Chat.Protocol;

namespace Chat.Server.Transport;

/// <summary>
/// What a session's socket has still to send: whole frames, the first of which may have begun to leave, in one pinned buffer of the shard's,
/// or none. A field of its socket, so that an idle one has no object for it. Only the shard's thread.
/// </summary>
internal struct SocketOutput
{
    private byte[]? _buffer;
    private int _start;
    private int _end;
    private int _begunFrameBytes;

    /// <summary>The kernel has not taken all of it: no use to send before there is an event.</summary>
    public bool IsBlocked { get; private set; }

    /// <summary>Since when something has waited here for the kernel, or for the flush after its event; 0 when nothing does.</summary>
    public long BlockedSinceMs { get; private set; }

    public readonly int Length => _end - _start;

    public readonly bool IsEmpty => _start == _end;

    /// <summary>Pinned; in place until the next call that changes anything.</summary>
    public readonly ReadOnlySpan<byte> Bytes => _buffer.AsSpan(_start, Length);

    /// <summary>Copies what was written before the first frame and has to leave before it, as if it were a frame. Nothing is here yet.</summary>
    public void Begin(PinnedBuffers buffers, ReadOnlySpan<byte> bytes)
    {
        Invariant.Require(_buffer is null);
        if (!bytes.IsEmpty)
        {
            Append(buffers, bytes);
            _begunFrameBytes = bytes.Length; // It has no boundaries that could be found in it, and is not dropped.
        }
    }

    /// <summary>Copies whole frames behind what is there.</summary>
    public void Append(PinnedBuffers buffers, ReadOnlySpan<byte> frames)
    {
        Ensure(buffers, frames.Length);
        frames.CopyTo(_buffer.AsSpan(_end));
        _end += frames.Length;
    }

    /// <summary>
    /// Copies what is left of whole frames, of which so many bytes were sent, before what was written since. Nothing here has begun to be sent.
    /// </summary>
    public void Prepend(PinnedBuffers buffers, ReadOnlySpan<byte> frames, int sent)
    {
        Invariant.Require(_start == 0 && _begunFrameBytes == 0);
        ReadOnlySpan<byte> rest = frames[sent..];
        int later = _end;
        Ensure(buffers, rest.Length);
        _buffer.AsSpan(0, later).CopyTo(_buffer.AsSpan(rest.Length));
        rest.CopyTo(_buffer);
        _end = later + rest.Length;
        _begunFrameBytes = BytesToBoundary(frames, sent);
    }

    /// <summary>So many bytes have left, fewer than there are.</summary>
    public void Advance(int sent)
    {
        _begunFrameBytes = sent <= _begunFrameBytes
            ? _begunFrameBytes - sent
            : BytesToBoundary(Bytes[_begunFrameBytes..], sent - _begunFrameBytes);
        _start += sent;
    }

    /// <summary>The kernel did not take all of it.</summary>
    public void Block(long nowMs)
    {
        IsBlocked = true;
        if (BlockedSinceMs == 0)
        {
            BlockedSinceMs = nowMs;
        }
    }

    /// <summary>There is room again; its age goes on counting until all of it is gone. False when it was not blocked.</summary>
    public bool TryUnblock()
    {
        bool wasBlocked = IsBlocked;
        IsBlocked = false;
        return wasBlocked;
    }

    /// <summary>Drops whole frames; the rest of one that has begun to be sent stays, or the peer would read garbage.</summary>
    public void DropWholeFrames() => _end = _start + _begunFrameBytes;

    /// <summary>Gives the buffer back, with whatever is in it.</summary>
    public void Release(PinnedBuffers buffers)
    {
        if (_buffer is not null)
        {
            buffers.Return(_buffer);
        }

        this = default;
    }

    private void Ensure(PinnedBuffers buffers, int bytes)
    {
        int length = Length;
        if (_buffer is not null && _buffer.Length - _end >= bytes)
        {
            return;
        }

        if (_buffer is not null && _buffer.Length - length >= bytes && _start >= length)
        {
            Bytes.CopyTo(_buffer);
        }
        else
        {
            byte[] larger = buffers.Rent(length + bytes);
            Bytes.CopyTo(larger);
            if (_buffer is not null)
            {
                buffers.Return(_buffer);
            }

            _buffer = larger;
        }

        _start = 0;
        _end = length;
    }

    /// <summary>How far the first frame boundary at or behind <paramref name="offset"/> is from there, walking whole frames.</summary>
    private static int BytesToBoundary(ReadOnlySpan<byte> frames, int offset)
    {
        int boundary = 0;
        while (boundary < offset)
        {
            int length = frames[boundary + 1]; // Ours are never masked.
            boundary += length switch
            {
                126 => 4 + BinaryPrimitives.ReadUInt16BigEndian(frames[(boundary + 2)..]),
                127 => 10 + (int)BinaryPrimitives.ReadInt64BigEndian(frames[(boundary + 2)..]),
                _ => 2 + length,
            };
        }

        return boundary - offset;
    }
}
