using System.Buffers;
using System.Buffers.Text;
using System.Runtime.CompilerServices;
using System.Text;

namespace Chat.Protocol.Messages;

/// <summary>
/// UTF-8 text to the inside of a JSON string and back (RFC 8259 section 7). Escapes only what the RFC demands: quote,
/// backslash and control characters. Everything else goes out raw, so chat in any script costs its own bytes and no more.
/// (System.Text.Json would by default escape all non-ASCII and HTML characters, for pages that paste JSON into a script
/// element; ours goes into frames.)
/// </summary>
public static class JsonText
{
    /// <summary>The worst byte: a control character without a short form becomes \u00XX.</summary>
    private const int EscapedBytesPerByteMax = 6;

    private static readonly SearchValues<byte> MustEscape = SearchValues.Create(
        "\"\\\u0000\u0001\u0002\u0003\u0004\u0005\u0006\u0007\b\t\n\u000b\f\r\u000e\u000f"u8 +
        "\u0010\u0011\u0012\u0013\u0014\u0015\u0016\u0017\u0018\u0019\u001a\u001b\u001c\u001d\u001e\u001f"u8);

    /// <summary>Bytes that <see cref="Escape"/> writes at most for a text of <paramref name="textBytes"/> bytes.</summary>
    public static int EscapedBytesMax(int textBytes) => checked(textBytes * EscapedBytesPerByteMax);

    /// <summary>Index of the first byte that ends a plain run in a JSON string: quote, backslash or control character; -1 for none.</summary>
    internal static int IndexOfSpecial(ReadOnlySpan<byte> text) => text.IndexOfAny(MustEscape);

    /// <summary>
    /// Writes <paramref name="text"/> escaped, without the quotes around it, and returns the bytes written. The text must be
    /// UTF-8 (it is not checked) and the destination have room; <see cref="EscapedBytesMax"/> always suffices.
    /// </summary>
    public static int Escape(ReadOnlySpan<byte> text, Span<byte> destination)
    {
        int written = 0;
        while (true)
        {
            int plain = IndexOfSpecial(text);
            if (plain < 0)
            {
                text.CopyTo(destination[written..]);
                return written + text.Length;
            }

            text[..plain].CopyTo(destination[written..]);
            written += plain;
            written += EscapeByte(text[plain], destination[written..]);
            text = text[(plain + 1)..];
        }
    }

    /// <summary>
    /// Resolves the escapes of a JSON string's inside. Their grammar must have been checked before; a malformed escape is a bug of the caller.
    /// </summary>
    /// <param name="escaped">What stands between the quotes.</param>
    /// <param name="destination">At least as long as <paramref name="escaped"/>: no escape grows.</param>
    /// <param name="written">Bytes of UTF-8 written.</param>
    /// <returns>False for a \u escape of a surrogate without its partner: no UTF-8 exists for it.</returns>
    public static bool TryUnescape(ReadOnlySpan<byte> escaped, Span<byte> destination, out int written)
    {
        written = 0;
        while (true)
        {
            int plain = escaped.IndexOf((byte)'\\');
            if (plain < 0)
            {
                escaped.CopyTo(destination[written..]);
                written += escaped.Length;
                return true;
            }

            escaped[..plain].CopyTo(destination[written..]);
            written += plain;
            escaped = escaped[plain..];
            if (escaped[1] != 'u')
            {
                destination[written++] = UnescapeShort(escaped[1]);
                escaped = escaped[2..];
            }
            else if (TryReadRune(escaped, out Rune rune, out int consumed))
            {
                written += rune.EncodeToUtf8(destination[written..]);
                escaped = escaped[consumed..];
            }
            else
            {
                return false;
            }
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int EscapeByte(byte b, Span<byte> destination)
    {
        byte shortForm = b switch
        {
            (byte)'"' => (byte)'"',
            (byte)'\\' => (byte)'\\',
            (byte)'\b' => (byte)'b',
            (byte)'\f' => (byte)'f',
            (byte)'\n' => (byte)'n',
            (byte)'\r' => (byte)'r',
            (byte)'\t' => (byte)'t',
            _ => 0,
        };
        destination[0] = (byte)'\\';
        if (shortForm != 0)
        {
            destination[1] = shortForm;
            return 2;
        }

        "u00"u8.CopyTo(destination[1..]);
        destination[4] = (byte)('0' + (b >> 4));
        destination[5] = "0123456789abcdef"u8[b & 0xF];
        return EscapedBytesPerByteMax;
    }

    private static byte UnescapeShort(byte letter) => letter switch
    {
        (byte)'b' => (byte)'\b',
        (byte)'f' => (byte)'\f',
        (byte)'n' => (byte)'\n',
        (byte)'r' => (byte)'\r',
        (byte)'t' => (byte)'\t',
        _ => letter, // quote, backslash, solidus
    };

    /// <summary>Reads \uXXXX, or two of them that form a surrogate pair (RFC 8259 section 7).</summary>
    private static bool TryReadRune(ReadOnlySpan<byte> escaped, out Rune rune, out int consumed)
    {
        char first = ReadCodeUnit(escaped);
        consumed = 6;
        if (Rune.TryCreate(first, out rune))
        {
            return true;
        }

        if (escaped.Length < 12 || escaped[6] != '\\' || escaped[7] != 'u')
        {
            return false;
        }

        consumed = 12;
        return Rune.TryCreate(first, ReadCodeUnit(escaped[6..]), out rune);
    }

    private static char ReadCodeUnit(ReadOnlySpan<byte> escape)
    {
        bool parsed = Utf8Parser.TryParse(escape.Slice(2, 4), out ushort codeUnit, out int digits, 'x') && digits == 4;
        Invariant.Require(parsed);
        return (char)codeUnit;
    }
}
