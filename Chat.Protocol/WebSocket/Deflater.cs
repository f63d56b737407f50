using System.Runtime.InteropServices;

namespace Chat.Protocol.WebSocket;

/// <summary>
/// Compresses messages for permessage-deflate (RFC 7692 section 7.2.1). One thread at a time. Holds 32 to 270 KiB of native
/// memory until <see cref="Dispose"/> (or the collector): one for each thread that compresses without context takeover, one
/// for each connection that was promised context takeover.
/// </summary>
public sealed unsafe class Deflater : IDisposable
{
    /// <summary>zlib makes no window of 256 bytes for raw deflate: whom we owe one (8 bits), we send uncompressed.</summary>
    public const int WindowBitsMin = 9;

    public const int WindowBitsMax = 15;

    private const int RawDeflate = -1;
    private const int MethodDeflate = 8;
    private const int StrategyDefault = 0;

    // Between fast and small. Not 1: zlib-ng's own strategy for that level takes a window of 13 bits whatever it is asked for.
    private const int Level = 4;

    // What SyncFlush and FullFlush leave at the end, and section 7.2.1 takes off.
    private const int TailBytes = 4;

    [ThreadStatic]
    private static Deflater?[]? _ofThread;

    private NativeDeflate.ZStream* _stream;

    /// <param name="windowBits">
    /// How far back a reference goes, as a power of two: <see cref="WindowBitsMin"/> to <see cref="WindowBitsMax"/>. The output
    /// suits every peer that agreed to that many bits or more.
    /// </param>
    /// <exception cref="OutOfMemoryException">zlib gets none.</exception>
    public Deflater(int windowBits)
    {
        Invariant.Require(windowBits is >= WindowBitsMin and <= WindowBitsMax);
        _stream = (NativeDeflate.ZStream*)NativeMemory.AllocZeroed((nuint)sizeof(NativeDeflate.ZStream));
        int memoryLevel = Math.Min(8, windowBits - 7); // The hash need not be larger than what it points into.
        int status = NativeDeflate.DeflateInit(_stream, Level, MethodDeflate, RawDeflate * windowBits, memoryLevel, StrategyDefault);
        if (status != NativeDeflate.Ok)
        {
            Free();
            throw status == NativeDeflate.MemoryError
                ? new InsufficientMemoryException("deflateInit2 has no memory.")
                : new InvalidOperationException($"deflateInit2 answered {status}.");
        }
    }

    ~Deflater() => Release();

    /// <summary>
    /// The one of the calling thread for such a window, made when it is first asked for: for messages without context takeover only.
    /// </summary>
    public static Deflater OfThread(int windowBits) =>
        (_ofThread ??= new Deflater?[WindowBitsMax + 1])[windowBits] ??= new Deflater(windowBits);

    /// <summary>Room that <see cref="Compress"/> needs for a payload: zlib's bound for any setting, and a flush.</summary>
    public static int BytesMax(int payloadBytes) => payloadBytes + (payloadBytes >> 3) + (payloadBytes >> 8) + (payloadBytes >> 9) + 32;

    /// <summary>
    /// Compresses one message into what follows the header of its frame (with RSV1), and returns the length in bytes, at
    /// least 1. It can be longer than the payload.
    /// </summary>
    /// <param name="payload">All of the message.</param>
    /// <param name="destination">At least <see cref="BytesMax"/> of the payload's length.</param>
    /// <param name="keepContext">
    /// The next message may refer to this one, so this one must be sent compressed. False: every message stands for itself.
    /// </param>
    public int Compress(ReadOnlySpan<byte> payload, Span<byte> destination, bool keepContext)
    {
        ObjectDisposedException.ThrowIf(_stream == null, this);
        Invariant.Require(destination.Length >= BytesMax(payload.Length));
        if (payload.IsEmpty)
        {
            destination[0] = 0; // Section 7.2.3.6. Asked for a second flush with nothing between, zlib writes nothing.
            return 1;
        }

        fixed (byte* start = payload, end = destination)
        {
            _stream->NextIn = start;
            _stream->AvailableIn = (uint)payload.Length;
            _stream->NextOut = end;
            _stream->AvailableOut = (uint)destination.Length;
            int status = NativeDeflate.Deflate(_stream, keepContext ? NativeDeflate.SyncFlush : NativeDeflate.FullFlush);
            int length = destination.Length - (int)_stream->AvailableOut;

            // With room to spare the flush is complete; without, bytes of it would come out in front of the next message.
            Invariant.Require(status == NativeDeflate.Ok && _stream->AvailableIn == 0 && _stream->AvailableOut > 0);
            Invariant.Require(destination[..length].EndsWith((ReadOnlySpan<byte>)[0, 0, 0xFF, 0xFF]));
            return length - TailBytes;
        }
    }

    public void Dispose()
    {
        Release();
        GC.SuppressFinalize(this);
    }

    private void Release()
    {
        if (_stream != null)
        {
            _ = NativeDeflate.DeflateEnd(_stream);
            Free();
        }
    }

    private void Free()
    {
        NativeMemory.Free(_stream);
        _stream = null;
    }
}
