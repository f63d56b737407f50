using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Chat.Protocol.WebSocket;

/// <summary>
/// Client-to-server masking (RFC 6455 section 5.3): byte i of the payload XOR byte i mod 4 of the masking key.
/// Masking and unmasking are the same operation.
/// </summary>
public static class Masking
{
    /// <summary>
    /// Copies and unmasks in one pass; the payload is read once on its way out of the receive buffer.
    /// </summary>
    /// <param name="source">Masked bytes, at any alignment.</param>
    /// <param name="destination">
    /// At least as long as <paramref name="source"/>. Either the very same memory or none of it: a partial overlap would
    /// read bytes that were already unmasked.
    /// </param>
    /// <param name="maskingKey">First key byte least significant, as in <see cref="FrameHeader.MaskingKey"/>.</param>
    /// <param name="phase">How many bytes of the frame's payload came before <paramref name="source"/>; only mod 4 matters.</param>
    public static void Unmask(ReadOnlySpan<byte> source, Span<byte> destination, uint maskingKey, int phase)
    {
        uint key = Advance(maskingKey, phase);
        uint keyInMemoryOrder = BitConverter.IsLittleEndian ? key : BinaryPrimitives.ReverseEndianness(key);

        // Slicing here throws at once when the destination is too short, and lets the JIT drop the checks below.
        destination = destination[..source.Length];

        // Widths go 64 where the machine has it, 32 (or what the machine has), 4, 1: all but the last are multiples of 4, so the key never needs
        // turning. Reinterpreting the spans keeps this in bounds without unsafe code; unaligned loads cost little on x64 and arm64.
        int done = 0;
        if (Vector512.IsHardwareAccelerated)
        {
            ReadOnlySpan<Vector512<byte>> sourceBlocks = MemoryMarshal.Cast<byte, Vector512<byte>>(source);
            Span<Vector512<byte>> destinationBlocks = MemoryMarshal.Cast<byte, Vector512<byte>>(destination)[..sourceBlocks.Length];
            Vector512<byte> keyBlock = Vector512.Create(keyInMemoryOrder).AsByte();
            for (int i = 0; i < sourceBlocks.Length; i++)
            {
                destinationBlocks[i] = sourceBlocks[i] ^ keyBlock;
            }

            done = sourceBlocks.Length * Vector512<byte>.Count;
        }

        ReadOnlySpan<Vector<byte>> sourceVectors = MemoryMarshal.Cast<byte, Vector<byte>>(source[done..]);
        Span<Vector<byte>> destinationVectors = MemoryMarshal.Cast<byte, Vector<byte>>(destination[done..])[..sourceVectors.Length];
        Vector<byte> keyVector = Vector.AsVectorByte(new Vector<uint>(keyInMemoryOrder));
        for (int i = 0; i < sourceVectors.Length; i++)
        {
            destinationVectors[i] = sourceVectors[i] ^ keyVector;
        }

        done += sourceVectors.Length * Vector<byte>.Count;
        ReadOnlySpan<uint> sourceWords = MemoryMarshal.Cast<byte, uint>(source[done..]);
        Span<uint> destinationWords = MemoryMarshal.Cast<byte, uint>(destination[done..])[..sourceWords.Length];
        for (int i = 0; i < sourceWords.Length; i++)
        {
            destinationWords[i] = sourceWords[i] ^ keyInMemoryOrder;
        }

        for (int i = done + sourceWords.Length * sizeof(uint); i < source.Length; i++)
        {
            destination[i] = (byte)(source[i] ^ key);
            key >>= 8;
        }
    }

    /// <summary>
    /// The key turned so that its first byte is the one for the payload byte after <paramref name="count"/> bytes.
    /// Keeping the turned key is how a reader resumes in the middle of a frame without remembering a phase.
    /// </summary>
    public static uint Advance(uint maskingKey, int count) => BitOperations.RotateRight(maskingKey, 8 * (count & 3));
}
