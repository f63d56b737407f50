using System.Buffers.Binary;
using Chat.Protocol;

namespace Chat.Server.Transport;

/// <summary>
/// What a session's socket has still to send: whole frames, the first of which may have begun to leave. One pinned buffer of the shard's, or none,
/// and for what does not fit into the longest of them, more behind it: a long backlog is never copied to grow. A field of its socket, so that
/// an idle one has no object for it. Only the shard's thread.
/// </summary>
internal struct SocketOutput
{
    private byte[]? _buffer;
    private int _start;
    private int _end;
    private int _begunFrameBytes;
    private SocketBacklog? _behind; // Null when nothing is there.

    /// <summary>The kernel has not taken all of it: no use to send before there is an event.</summary>
    public bool IsBlocked { get; private set; }

    /// <summary>Since when something has waited here for the kernel, or for the flush after its event; 0 when nothing does.</summary>
    public long BlockedSinceMs { get; private set; }

    public readonly int Length => _end - _start + (_behind?.Length ?? 0);

    public readonly bool IsEmpty => _start == _end;

    /// <summary>What goes next: all of it, or its first buffer. Pinned; in place until the next call that changes anything.</summary>
    public readonly ReadOnlySpan<byte> Next => _buffer.AsSpan(_start, _end - _start);

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
        if (_behind is null && TryEnsure(buffers, frames.Length))
        {
            frames.CopyTo(_buffer.AsSpan(_end));
            _end += frames.Length;
        }
        else
        {
            (_behind ??= new SocketBacklog()).Append(buffers, frames);
        }
    }

    /// <summary>
    /// Copies what is left of whole frames, of which so many bytes were sent, before what was written since. Nothing here has begun to be sent.
    /// </summary>
    public void Prepend(PinnedBuffers buffers, ReadOnlySpan<byte> frames, int sent)
    {
        Invariant.Require(_start == 0 && _begunFrameBytes == 0);
        ReadOnlySpan<byte> rest = frames[sent..];
        int later = _end;
        if (!TryEnsure(buffers, rest.Length))
        {
            (_behind ??= new SocketBacklog()).Prepend(_buffer!, later);
            _buffer = buffers.Rent(rest.Length);
            later = 0;
        }

        _buffer.AsSpan(0, later).CopyTo(_buffer.AsSpan(rest.Length));
        rest.CopyTo(_buffer);
        _end = later + rest.Length;
        _begunFrameBytes = BytesToBoundary(frames, sent);
    }

    /// <summary>So many bytes of <see cref="Next"/> have left. False when nothing is left.</summary>
    public bool Advance(PinnedBuffers buffers, int sent)
    {
        if (sent < _end - _start)
        {
            _begunFrameBytes = sent <= _begunFrameBytes
                ? _begunFrameBytes - sent
                : BytesToBoundary(Next[_begunFrameBytes..], sent - _begunFrameBytes);
            _start += sent;
            return true;
        }

        if (_behind is null)
        {
            Release(buffers);
            return false;
        }

        buffers.Return(_buffer!);
        (_buffer, _end) = _behind.Take();
        _start = _begunFrameBytes = 0;
        if (_behind.Length == 0)
        {
            _behind = null;
        }

        return true;
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
    public void DropWholeFrames(PinnedBuffers buffers)
    {
        if (_begunFrameBytes == 0)
        {
            _start = 0;
        }

        _end = _start + _begunFrameBytes;
        _behind?.Release(buffers);
        _behind = null;
    }

    /// <summary>Gives the buffers back, with whatever is in them.</summary>
    public void Release(PinnedBuffers buffers)
    {
        if (_buffer is not null)
        {
            buffers.Return(_buffer);
        }

        _behind?.Release(buffers);
        this = default;
    }

    /// <summary>Makes room in the first buffer. False when it would become longer than the longest of the shard's that are used again.</summary>
    private bool TryEnsure(PinnedBuffers buffers, int bytes)
    {
        int length = _end - _start;
        if (_buffer is not null && _buffer.Length - _end >= bytes)
        {
            return true;
        }

        if (length > 0 && length + bytes > PinnedBuffers.KeptBytesMax)
        {
            return false;
        }

        if (_buffer is not null && _buffer.Length - length >= bytes && _start >= length)
        {
            Next.CopyTo(_buffer);
        }
        else
        {
            byte[] larger = buffers.Rent(length + bytes);
            Next.CopyTo(larger);
            if (_buffer is not null)
            {
                buffers.Return(_buffer);
            }

            _buffer = larger;
        }

        _start = 0;
        _end = length;
        return true;
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
