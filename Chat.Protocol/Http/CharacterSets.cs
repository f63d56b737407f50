using System.Buffers;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Chat.Protocol.Http;

/// <summary>The character classes of RFC 9110 section 5.6 and RFC 3986, in the form that vectorised searches want.</summary>
internal static class CharacterSets
{
    /// <summary>tchar: what methods, field names and list tokens are made of (RFC 9110 section 5.6.2).</summary>
    public static readonly SearchValues<byte> Token = SearchValues.Create(
        "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"u8);

    // A byte is in the set when the bit of its high nibble is set in the entry of its low nibble: two table lookups for 16 bytes
    // at once (Mula and Lemire, "Faster Base64 Encoding and Decoding Using AVX2 Instructions", 2018, section 3.1, classify so).
    private static readonly Vector128<byte> TokenByLowNibble = ByLowNibble(Token);
    private static readonly Vector128<byte> BitOfHighNibble = Vector128.Create((byte)1, 2, 4, 8, 16, 32, 64, 128, 0, 0, 0, 0, 0, 0, 0, 0);

    /// <summary>
    /// CTL without HTAB: none of them is legal anywhere in a head except CR and LF, as a pair, at the end of a line.
    /// One search for this set finds the end of a line and proves the line free of control characters.
    /// </summary>
    public static readonly SearchValues<byte> Control = SearchValues.Create(
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 127]);

    /// <summary>
    /// VCHAR without '#': a fragment is never sent (RFC 9112 section 3.2). Wider than RFC 3986 (browsers do send '|' and '^'
    /// unescaped in a query), but nothing in it can end a line or a word.
    /// </summary>
    public static readonly SearchValues<byte> Target = SearchValues.Create(
        "!\"$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"u8);

    /// <summary>
    /// reg-name (RFC 3986 section 3.2.2): unreserved, sub-delims and the percent sign. IPv4 addresses are reg-names too.
    /// Without the comma, which no host has, and which two Host lines have when somebody before us has joined them.
    /// </summary>
    public static readonly SearchValues<byte> RegName = SearchValues.Create(
        "%-._~!$&'()*+;=0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"u8);

    /// <summary>What an IPv6 address is made of. IPvFuture has no users and is refused.</summary>
    public static readonly SearchValues<byte> IPv6 = SearchValues.Create("0123456789ABCDEFabcdef:."u8);

    public static readonly SearchValues<byte> Digit = SearchValues.Create("0123456789"u8);

    /// <summary>
    /// Index of the first byte that is not of <see cref="Token"/>; -1 for none. A field name ends within a vector or two, where the
    /// general search spends more on its beginning: pass what follows the name too, so that the last vector is whole.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int IndexOfNonToken(ReadOnlySpan<byte> bytes)
    {
        int index = 0;
        while (Vector128.IsHardwareAccelerated && bytes.Length - index >= Vector128<byte>.Count)
        {
            Vector128<byte> vector = Vector128.Create(bytes.Slice(index, Vector128<byte>.Count));
            Vector128<byte> byLow = Vector128.ShuffleNative(TokenByLowNibble, vector & Vector128.Create((byte)0x0F));
            Vector128<byte> byHigh = Vector128.ShuffleNative(BitOfHighNibble, vector >>> 4);
            uint found = Vector128.Equals(byLow & byHigh, Vector128<byte>.Zero).ExtractMostSignificantBits();
            if (found != 0)
            {
                return index + BitOperations.TrailingZeroCount(found);
            }

            index += Vector128<byte>.Count;
        }

        int inRest = bytes[index..].IndexOfAnyExcept(Token);
        return inRest < 0 ? -1 : index + inRest;
    }

    private static Vector128<byte> ByLowNibble(SearchValues<byte> set)
    {
        Span<byte> entries = stackalloc byte[Vector128<byte>.Count];
        entries.Clear();
        for (int value = 0; value < 128; value++)
        {
            if (set.Contains((byte)value))
            {
                entries[value & 0x0F] |= (byte)(1 << (value >> 4));
            }
        }

        return Vector128.Create<byte>(entries);
    }
}
