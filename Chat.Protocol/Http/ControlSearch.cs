using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Chat.Protocol.Http;

/// <summary>
/// Finds the control characters of a head one after another: <see cref="CharacterSets.Control"/>, which end lines or break rules.
/// Bytes are compared by blocks of 64, whose hits stay in one word, so that a block with several short lines is looked at once
/// (Langdale and Lemire, "Parsing Gigabytes of JSON per Second", 2019, section 3.1). Lives on the stack, for one call of the parser.
/// </summary>
internal ref struct ControlSearch
{
    private const int BlockBytes = 64;

    private readonly ReadOnlySpan<byte> _bytes;

    /// <summary>Where the block of <see cref="_hits"/> begins, and where the next one does: less than a block apart at the end.</summary>
    private int _blockStart;
    private int _blockEnd;

    /// <summary>The control characters of the block; bit 0 is its first byte.</summary>
    private ulong _hits;

    /// <summary>A search that will not be asked for what is before <paramref name="start"/>.</summary>
    public ControlSearch(ReadOnlySpan<byte> bytes, int start)
    {
        _bytes = bytes;
        _blockStart = start;
        _blockEnd = start;
    }

    /// <summary>Index of the first control character that is not before <paramref name="from"/>; -1 for none.</summary>
    /// <param name="from">Not less than in the call before.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int FindFrom(int from)
    {
        // In a block before "from" the shift would wrap around: then there is no bit left to keep.
        ulong hits = from < _blockEnd ? _hits & (ulong.MaxValue << (from - _blockStart)) : 0;
        if (hits == 0)
        {
            return FindInNextBlocks(from);
        }

        _hits = hits;
        return _blockStart + BitOperations.TrailingZeroCount(hits);
    }

    private int FindInNextBlocks(int from)
    {
        int start = Math.Max(_blockEnd, from);
        while (start < _bytes.Length)
        {
            int rest = _bytes.Length - start;
            ulong hits =
                rest >= BlockBytes ? HitsOfBlock(_bytes.Slice(start, BlockBytes)) :
                _bytes.Length >= BlockBytes ? HitsOfBlock(_bytes[^BlockBytes..]) >> (BlockBytes - rest) :
                HitsOfRest(_bytes[start..]);
            _blockStart = start;
            _blockEnd = start + Math.Min(rest, BlockBytes);
            _hits = hits;
            if (hits != 0)
            {
                return start + BitOperations.TrailingZeroCount(hits);
            }

            start = _blockEnd;
        }

        return -1;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong HitsOfBlock(ReadOnlySpan<byte> block)
    {
        Vector512<byte> vector = Vector512.Create(block);
        Vector512<byte> isBelowSpace = Vector512.LessThan(vector, Vector512.Create((byte)' '));
        Vector512<byte> isTab = Vector512.Equals(vector, Vector512.Create((byte)'\t'));
        Vector512<byte> isDelete = Vector512.Equals(vector, Vector512.Create((byte)0x7F));
        return (Vector512.AndNot(isBelowSpace, isTab) | isDelete).ExtractMostSignificantBits();
    }

    private static ulong HitsOfRest(ReadOnlySpan<byte> rest)
    {
        ulong hits = 0;
        for (int index = 0; index < rest.Length; index++)
        {
            hits |= (rest[index] is (< 0x20 and not (byte)'\t') or 0x7F ? 1UL : 0) << index;
        }

        return hits;
    }
}
