using System.Buffers;
using System.Text;

namespace Chat.Server.Rest;

/// <summary>Text from JSON, which can hold what Unicode text cannot.</summary>
internal static class PlainText
{
    /// <summary>Counts Unicode scalar values; false for a lone surrogate.</summary>
    public static bool TryCount(ReadOnlySpan<char> text, out int characters)
    {
        characters = 0;
        while (!text.IsEmpty)
        {
            if (Rune.DecodeFromUtf16(text, out _, out int consumed) != OperationStatus.Done)
            {
                return false;
            }

            text = text[consumed..];
            characters++;
        }

        return true;
    }
}
