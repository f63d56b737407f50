using System.Buffers;
using Chat.Protocol;

namespace Chat.Server.Transport;

/// <summary>
/// What a session's socket has received and the session has not used, in a rented buffer, or none. A field of its socket, so that an idle one has no
/// object for it. Only the shard's thread.
/// </summary>
/// <param name="buffer">Rented; given back by whoever takes the bytes.</param>
/// <param name="length">Bytes in it, from its start.</param>
internal struct SocketInput(byte[]? buffer, int length)
{
    private byte[]? _buffer = buffer;
    private int _length = length;

    public readonly bool IsEmpty => _length == 0;

    /// <summary>Good until <see cref="Release"/>.</summary>
    public readonly ReadOnlySequence<byte> Bytes => new(_buffer!, 0, _length);

    /// <summary>Copies what the session left over. Nothing is here.</summary>
    public void Keep(ReadOnlySpan<byte> rest)
    {
        Invariant.Require(_buffer is null);
        if (!rest.IsEmpty)
        {
            _buffer = ArrayPool<byte>.Shared.Rent(rest.Length);
            rest.CopyTo(_buffer);
            _length = rest.Length;
        }
    }

    /// <summary>Moves all of it to the front of a span, before what comes next. How many bytes it was.</summary>
    public int MoveTo(Span<byte> destination)
    {
        int length = _length;
        _buffer.AsSpan(0, length).CopyTo(destination);
        Release();
        return length;
    }

    /// <summary>Gives the buffer back, with whatever is in it.</summary>
    public void Release()
    {
        if (_buffer is not null)
        {
            ArrayPool<byte>.Shared.Return(_buffer);
        }

        this = default;
    }
}
