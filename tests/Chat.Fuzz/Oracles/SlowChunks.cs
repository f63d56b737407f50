using System.Globalization;
using System.Text;

namespace Chat.Fuzz.Oracles;

/// <summary>
/// Chunked content (RFC 9112 section 7.1) by its lines alone, as the recipient before or behind us might read it: a line ends at the
/// first CRLF, a size before the first character that is no hexadecimal digit.
/// </summary>
internal static class SlowChunks
{
    /// <summary>Content, and what follows the body. Null when the lines do not add up.</summary>
    public static (string Content, string After)? Decode(string text)
    {
        var content = new StringBuilder();
        while (TakeLine(ref text, out string line))
        {
            string digits = string.Concat(line.TakeWhile(char.IsAsciiHexDigit));
            if (!long.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out long size) || size < 0)
            {
                return null;
            }

            if (size == 0)
            {
                while (TakeLine(ref text, out string trailer))
                {
                    if (trailer.Length == 0)
                    {
                        return (content.ToString(), text);
                    }
                }

                return null;
            }

            if (text.Length < size + 2 || text.Substring((int)size, 2) != "\r\n")
            {
                return null;
            }

            content.Append(text, 0, (int)size);
            text = text[((int)size + 2)..];
        }

        return null;
    }

    private static bool TakeLine(ref string text, out string line)
    {
        int end = text.IndexOf("\r\n", StringComparison.Ordinal);
        line = end < 0 ? "" : text[..end];
        text = end < 0 ? text : text[(end + 2)..];
        return end >= 0;
    }
}
