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
    /// Index of the first byte of <see cref="Control"/>; -1 for none. A line ends within a vector or three, and there the general search
    /// spends more on its beginning than on its comparisons.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int IndexOfControl(ReadOnlySpan<byte> bytes)
    {
        int index = 0;
        while (Vector256.IsHardwareAccelerated && bytes.Length - index >= Vector256<byte>.Count)
        {
            Vector256<byte> vector = Vector256.Create(bytes.Slice(index, Vector256<byte>.Count));
            Vector256<byte> isBelowSpace = Vector256.Equals(Vector256.Min(vector, Vector256.Create((byte)0x1F)), vector);
            Vector256<byte> isTab = Vector256.Equals(vector, Vector256.Create((byte)'\t'));
            Vector256<byte> isDelete = Vector256.Equals(vector, Vector256.Create((byte)0x7F));
            uint found = (Vector256.AndNot(isBelowSpace, isTab) | isDelete).ExtractMostSignificantBits();
            if (found != 0)
            {
                return index + BitOperations.TrailingZeroCount(found);
            }

            index += Vector256<byte>.Count;
        }

        int inRest = bytes[index..].IndexOfAny(Control);
        return inRest < 0 ? -1 : index + inRest;
    }
}
