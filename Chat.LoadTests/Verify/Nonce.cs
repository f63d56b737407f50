using System.Globalization;

namespace Chat.LoadTests.Verify;

/// <summary>
/// A message's nonce names its sender and its place among the messages that this sender made, so that the history can be compared
/// without remembering every text. The content follows from the nonce.
/// </summary>
internal readonly record struct Nonce(int Client, int Number)
{
    /// <summary>Mostly short, as chat is; one in sixteen is long, so that frames with a 16-bit length are cut too.</summary>
    private const int ShortBytesMax = 100;
    private const int LongBytesMax = 2000;

    public static bool TryParse(string text, out Nonce nonce)
    {
        nonce = default;
        if (!text.StartsWith('v') || text.IndexOf('-') is not (> 0 and var dash)
            || !int.TryParse(text.AsSpan(1, dash - 1), NumberStyles.None, CultureInfo.InvariantCulture, out int client)
            || !int.TryParse(text.AsSpan(dash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int number))
        {
            return false;
        }

        nonce = new Nonce(client, number);
        return true;
    }

    /// <summary>The content of the message with this nonce; ASCII that JSON needs not escape.</summary>
    public string Content()
    {
        uint hash = unchecked(((uint)Client * 2654435761u) ^ ((uint)Number * 2246822519u));
        hash ^= hash >> 15;
        int bytes = (int)(hash % 16 == 0 ? hash / 16 % LongBytesMax : hash / 16 % ShortBytesMax);
        return $"{this} {new string((char)('a' + (Number % 26)), bytes)}";
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"v{Client}-{Number}");
}
