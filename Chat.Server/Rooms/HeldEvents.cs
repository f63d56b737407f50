using System.Buffers;

namespace Chat.Server.Rooms;

/// <summary>
/// What has become live in a room since the first of those asked to join whose replay is still being read: one copy for all of them, of which each
/// has its own place on. A list of buffers that are linked forward only, so that nobody has to say which of them are not needed
/// any more. Only the shard's thread.
/// </summary>
internal sealed class HeldEvents
{
    private const int PieceBytesMin = 4 * 1024; // Mostly a replay is there before the next event.
    private const int PieceBytesMax = 64 * 1024; // Below the size from which an array is a large object.

    private Piece _last = new([], 0);

    /// <summary>The place of somebody who has all that has been held by now.</summary>
    public Place End => new(_last, _last.Memory.Length);

    /// <summary>Copies a range of whole frames, which may be in two pieces (at the wrap of the ring).</summary>
    public void Append(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second)
    {
        int length = first.Length + second.Length;
        if (_last.FreeBytes < length)
        {
            int bytes = Math.Clamp(_last.Capacity * 2, PieceBytesMin, PieceBytesMax);
            _last = _last.Follow(new byte[Math.Max(bytes, length)]);
        }

        _last.Append(first);
        _last.Append(second);
    }

    /// <summary>What has been held since. Each piece has whole frames; valid for good, and without what is appended later.</summary>
    public ReadOnlySequence<byte> Since(Place place) =>
        place.Piece is null ? ReadOnlySequence<byte>.Empty : new(place.Piece, place.Offset, _last, _last.Memory.Length);

    /// <summary>Where somebody began. It keeps all that comes after it; the default is nowhere, and keeps nothing.</summary>
    internal readonly record struct Place(Piece? Piece, int Offset)
    {
        /// <summary>In bytes, of all that has been held.</summary>
        public long Position => Piece is null ? long.MaxValue : Piece.RunningIndex + Offset;
    }

    /// <summary>A buffer of the list, filled from its start on.</summary>
    internal sealed class Piece : ReadOnlySequenceSegment<byte>
    {
        private readonly byte[] _bytes;

        public Piece(byte[] bytes, long position)
        {
            _bytes = bytes;
            RunningIndex = position;
        }

        public int Capacity => _bytes.Length;

        public int FreeBytes => _bytes.Length - Memory.Length;

        public void Append(ReadOnlySpan<byte> bytes)
        {
            bytes.CopyTo(_bytes.AsSpan(Memory.Length));
            Memory = _bytes.AsMemory(0, Memory.Length + bytes.Length);
        }

        /// <summary>Links a buffer behind this one, to which nothing is appended any more.</summary>
        public Piece Follow(byte[] bytes)
        {
            var next = new Piece(bytes, RunningIndex + Memory.Length);
            Next = next;
            return next;
        }
    }
}
