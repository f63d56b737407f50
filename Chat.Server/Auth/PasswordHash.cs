using System.Globalization;

namespace Chat.Server.Auth;

/// <summary>Cost of an Argon2id hash (RFC 9106 section 3.1).</summary>
internal readonly record struct Argon2Cost(int MemoryKib, int Iterations, int Parallelism);

/// <summary>
/// A stored password: cost, salt and tag, written as a PHC string,
/// <c>$argon2id$v=19$m=19456,t=2,p=1$&lt;salt&gt;$&lt;tag&gt;</c> with base64 that has no padding, which other Argon2 implementations read.
/// </summary>
internal sealed record PasswordHash(Argon2Cost Cost, byte[] Salt, byte[] Tag)
{
    public const int SaltBytes = 16;
    public const int TagBytes = 32;

    private const string Prefix = "$argon2id$v=19$";

    // A row that somebody else wrote must not make a login take gigabytes or minutes.
    private const int MemoryKibMax = 262_144;
    private const int IterationsMax = 16;
    private const int ParallelismMax = 16;
    private const int BytesMin = 8;
    private const int BytesMax = 64;
    private const int TextCharsMax = 256;

    public string Format()
    {
        var (memory, iterations, parallelism) = Cost;
        var cost = string.Create(CultureInfo.InvariantCulture, $"m={memory},t={iterations},p={parallelism}");
        return $"{Prefix}{cost}${Encode(Salt)}${Encode(Tag)}";
    }

    /// <summary>False when the text is not such a string or its cost is beyond what we would ever compute.</summary>
    public static bool TryParse(string text, out PasswordHash hash)
    {
        hash = new PasswordHash(default, [], []);
        if (text.Length > TextCharsMax || !text.StartsWith(Prefix, StringComparison.Ordinal)
            || text[Prefix.Length..].Split('$') is not [var costText, var saltText, var tagText]
            || costText.Split(',') is not [var memoryText, var iterationsText, var parallelismText]
            || !TryReadCost(memoryText, "m=", 1, MemoryKibMax, out var memory)
            || !TryReadCost(iterationsText, "t=", 1, IterationsMax, out var iterations)
            || !TryReadCost(parallelismText, "p=", 1, ParallelismMax, out var parallelism)
            || memory < 8 * parallelism
            || !TryDecode(saltText, out var salt)
            || !TryDecode(tagText, out var tag))
        {
            return false;
        }
        hash = new PasswordHash(new Argon2Cost(memory, iterations, parallelism), salt, tag);
        return true;
    }

    private static bool TryReadCost(string text, string key, int min, int max, out int value)
    {
        value = 0;
        return text.StartsWith(key, StringComparison.Ordinal)
            && int.TryParse(text.AsSpan(key.Length), NumberStyles.None, CultureInfo.InvariantCulture, out value)
            && value >= min && value <= max;
    }

    private static string Encode(byte[] bytes) => Convert.ToBase64String(bytes).TrimEnd('=');

    private static bool TryDecode(string text, out byte[] bytes)
    {
        bytes = new byte[BytesMax];
        // Padding is not part of the format; put back, because the framework's decoder asks for it.
        var padded = text.PadRight((text.Length + 3) / 4 * 4, '=');
        if (text.Contains('=') || !Convert.TryFromBase64String(padded, bytes, out var length) || length < BytesMin)
        {
            return false;
        }
        Array.Resize(ref bytes, length);
        return true;
    }
}
