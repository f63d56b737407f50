using System.Buffers;
using System.Runtime.InteropServices;

namespace Chat.Protocol.WebSocket;

/// <summary>What <see cref="Inflater.Inflate"/> found.</summary>
public enum InflateStatus : byte
{
    /// <summary>A whole message.</summary>
    Done,

    /// <summary>Not DEFLATE (RFC 1951), or it refers back to what was never sent, or it ends inside a block.</summary>
    Malformed,

    /// <summary>The message grows over the limit. No more of it was inflated.</summary>
    TooBig,
}

/// <summary>
/// Inflates messages of permessage-deflate (RFC 7692 section 7.2.2), whatever window their sender uses. It keeps nothing from
/// one message to the next: what a sender with context takeover may refer to is in that connection's <see cref="InflateHistory"/>.
/// So one serves all connections of a thread: <see cref="OfThread"/>. Holds 40 KiB of native memory until its thread ends.
/// </summary>
public sealed unsafe class Inflater : IDisposable
{
    private const int RawWindowBits = -15; // The largest window takes whatever was compressed with a smaller one.

    // A buffer on the stack for what priming gives back: small, since it is walked through once.
    private const int DiscardBytes = 2048;

    // A block may follow one that says it is the last (section 7.2.3.4), and refer back. Each time costs a copy of the window, which
    // two bytes of input must not buy without end; a sender that flushes that way does it once a message.
    private const int RestartsMax = 32;

    [ThreadStatic]
    private static Inflater? _ofThread;

    private NativeDeflate.ZStream* _stream;

    public Inflater()
    {
        _stream = (NativeDeflate.ZStream*)NativeMemory.AllocZeroed((nuint)sizeof(NativeDeflate.ZStream));
        int status = NativeDeflate.InflateInit(_stream, RawWindowBits);
        if (status != NativeDeflate.Ok)
        {
            Free();
            throw new InvalidOperationException($"inflateInit2 answered {status}.");
        }
    }

    ~Inflater() => Release();

    /// <summary>The one of the calling thread, made when it is first asked for.</summary>
    public static Inflater OfThread => _ofThread ??= new Inflater();

    // The tail that the sender took off (section 7.2.1). Static data: it does not move.
    private static ReadOnlySpan<byte> Tail => [0, 0, 0xFF, 0xFF];

    // A block that says it is the last and holds nothing (RFC 1951 section 3.2.6): what may follow where a block may begin.
    private static ReadOnlySpan<byte> LastBlock => [3, 0];

    /// <summary>Inflates one message.</summary>
    /// <param name="compressed">The payloads of its frames together, unmasked.</param>
    /// <param name="scratch">Where the message goes if it fits; not overlapping <paramref name="compressed"/>.</param>
    /// <param name="bytesMax">Limit of the message in bytes; never is more than one byte over it inflated, or memory taken for it.</param>
    /// <param name="history">What the sender may refer to; null without context takeover. The message is added to it.</param>
    /// <param name="rented">
    /// Null when the message is in <paramref name="scratch"/>; else an array of the shared pool, to be returned by the caller.
    /// Always null unless the answer is <see cref="InflateStatus.Done"/>.
    /// </param>
    /// <param name="length">Of the message, in bytes.</param>
    public InflateStatus Inflate(
        ReadOnlySpan<byte> compressed, Span<byte> scratch, int bytesMax, InflateHistory? history, out byte[]? rented, out int length)
    {
        ObjectDisposedException.ThrowIf(_stream == null, this);
        rented = null;
        length = 0;
        if (compressed.IsEmpty)
        {
            return InflateStatus.Done; // Section 7.2.3.6 has a byte for an empty message. Without it nothing is in doubt either.
        }

        Restart(history, default);
        InflateStatus status = Run(compressed, scratch, bytesMax, history, ref rented, ref length, out bool hasEnded);
        if (status == InflateStatus.Done && !hasEnded)
        {
            // A sender that left the tail on means what it says: nothing else ends in these bytes.
            status = compressed.EndsWith(Tail)
                ? status
                : Run(Tail, scratch, bytesMax, history, ref rented, ref length, out hasEnded);
            if (status == InflateStatus.Done && !hasEnded && !IsBetweenBlocks())
            {
                status = InflateStatus.Malformed;
            }
        }

        if (status == InflateStatus.Done)
        {
            history?.Add(rented is null ? scratch[..length] : rented.AsSpan(0, length));
            return status;
        }

        if (rented is not null)
        {
            ArrayPool<byte>.Shared.Return(rented);
            rented = null;
        }

        return status;
    }

    public void Dispose()
    {
        Release();
        GC.SuppressFinalize(this);
    }

    /// <summary>Inflates some input behind what came out so far. True in the last answer: it ended with a block that says it is the last.</summary>
    private InflateStatus Run(
        ReadOnlySpan<byte> input, Span<byte> scratch, int bytesMax, InflateHistory? history, ref byte[]? rented, ref int length, out bool hasEnded)
    {
        hasEnded = false;
        int restarts = 0;
        Span<byte> probe = stackalloc byte[1]; // At the limit: whether there is more, without a buffer for it.
        while (true)
        {
            Span<byte> output = rented is null ? scratch : rented;
            output = output[..Math.Min(output.Length, bytesMax)];
            if (length == output.Length && length < bytesMax)
            {
                Grow(ref rented, scratch, length);
                continue;
            }

            Span<byte> free = length < bytesMax ? output[length..] : probe;
            int status = Step(ref input, free, out int written);
            length += written;
            if (length > bytesMax)
            {
                return InflateStatus.TooBig;
            }

            switch (status)
            {
                case NativeDeflate.StreamEnd when input.IsEmpty:
                    hasEnded = true;
                    return InflateStatus.Done;
                case NativeDeflate.StreamEnd when restarts++ < RestartsMax:
                    Restart(history, output[..length]);
                    break;
                case NativeDeflate.Ok or NativeDeflate.BufferError when input.IsEmpty && written < free.Length:
                    return InflateStatus.Done;
                case NativeDeflate.Ok or NativeDeflate.BufferError:
                    break;
                default:
                    return InflateStatus.Malformed;
            }
        }
    }

    /// <summary>
    /// Whether the input so far ends where a block may begin. zlib asks for more in either case, so it is given a last block, and the
    /// stream is of no use afterwards. A message cut off inside a block would come out with the tail's bytes as its own.
    /// </summary>
    private bool IsBetweenBlocks()
    {
        ReadOnlySpan<byte> last = LastBlock;
        Span<byte> probe = stackalloc byte[1];
        return Step(ref last, probe, out int written) == NativeDeflate.StreamEnd && written == 0 && last.IsEmpty;
    }

    private int Step(ref ReadOnlySpan<byte> input, scoped Span<byte> output, out int written)
    {
        byte none = 0; // fixed gives null for an empty span, which zlib refuses.
        fixed (byte* start = input, end = output)
        {
            _stream->NextIn = start == null ? &none : start;
            _stream->AvailableIn = (uint)input.Length;
            _stream->NextOut = end;
            _stream->AvailableOut = (uint)output.Length;
            int status = NativeDeflate.Inflate(_stream, NativeDeflate.SyncFlush);
            input = input[^(int)_stream->AvailableIn..];
            written = output.Length - (int)_stream->AvailableOut;
            return status;
        }
    }

    /// <summary>Begins anew, with a window that ends in what came before.</summary>
    private void Restart(InflateHistory? history, ReadOnlySpan<byte> output)
    {
        Invariant.Require(NativeDeflate.InflateReset(_stream, RawWindowBits) == NativeDeflate.Ok);
        if (history is not null && output.Length < InflateHistory.BytesMax)
        {
            Prime(history.Window);
        }

        Prime(output[^Math.Min(output.Length, InflateHistory.BytesMax)..]);
    }

    /// <summary>
    /// Puts bytes into the window by inflating them as a stored block (RFC 1951 section 3.2.4): the runtime's library lets no
    /// dictionary be set.
    /// </summary>
    private void Prime(ReadOnlySpan<byte> window)
    {
        if (window.IsEmpty)
        {
            return;
        }

        Span<byte> discarded = stackalloc byte[DiscardBytes];
        ReadOnlySpan<byte> header = [0, (byte)window.Length, (byte)(window.Length >> 8), (byte)~window.Length, (byte)(~window.Length >> 8)];
        Invariant.Require(Step(ref header, discarded, out _) == NativeDeflate.Ok && header.IsEmpty);
        while (!window.IsEmpty)
        {
            Invariant.Require(Step(ref window, discarded, out int written) == NativeDeflate.Ok && written > 0);
        }
    }

    /// <summary>
    /// Doubles, as far as what came out so far calls for it: a message that claims nothing and inflates to little costs little.
    /// </summary>
    private static void Grow(ref byte[]? rented, Span<byte> scratch, int length)
    {
        byte[] larger = ArrayPool<byte>.Shared.Rent(length + 1 + (length >> 1)); // The pool rounds up to a power of two.
        if (rented is null)
        {
            scratch[..length].CopyTo(larger);
        }
        else
        {
            rented.AsSpan(0, length).CopyTo(larger);
            ArrayPool<byte>.Shared.Return(rented);
        }

        rented = larger;
    }

    private void Release()
    {
        if (_stream != null)
        {
            _ = NativeDeflate.InflateEnd(_stream);
            Free();
        }
    }

    private void Free()
    {
        NativeMemory.Free(_stream);
        _stream = null;
    }
}
