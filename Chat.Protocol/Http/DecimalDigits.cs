namespace Chat.Protocol.Http;

/// <summary>
/// Non-negative decimal numbers as HTTP writes them: 1*DIGIT and nothing else. The parsers of the base library also take
/// signs, whitespace or a prefix, and each of these is a way for two recipients to disagree.
/// </summary>
public static class DecimalDigits
{
    /// <summary>All of <paramref name="text"/> as a number from 0 to <see cref="long.MaxValue"/>; leading zeros are allowed.</summary>
    /// <returns>False for an empty text, for anything but digits, and for a number that does not fit.</returns>
    public static bool TryParse(ReadOnlySpan<byte> text, out long value)
    {
        value = 0;
        foreach (byte character in text)
        {
            int digit = character - '0';
            if ((uint)digit > 9 || value > (long.MaxValue - digit) / 10)
            {
                value = 0;
                return false;
            }

            value = (value * 10) + digit;
        }

        return !text.IsEmpty;
    }

    /// <summary>An id in a path or a query: 1 or more, without leading zeros, so that every id has one spelling.</summary>
    public static bool TryParseId(ReadOnlySpan<byte> text, out long id)
    {
        id = 0;
        return !text.IsEmpty && text[0] != '0' && TryParse(text, out id);
    }
}
