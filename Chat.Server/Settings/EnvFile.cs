using System.Text;

namespace Chat.Server.Settings;

/// <summary>One assignment of the file; lines count from 1.</summary>
internal readonly record struct EnvFileEntry(string Name, string Value, int Line);

/// <summary>
/// Reads a <c>.env</c> file: lines of <c>NAME=value</c>, with <c>#</c> comments, an optional <c>export </c> before the name, and
/// values bare, in single quotes (as they are) or in double quotes (with \n \r \t \" \\ \$). It neither expands
/// variables nor runs over several lines: a settings file that computes cannot be read by eye.
/// </summary>
internal static class EnvFile
{
    private const string ExportPrefix = "export ";

    /// <summary>
    /// False when a line is malformed or a name comes twice; <paramref name="problem"/> then names the line, and never
    /// repeats its text, which may be a secret.
    /// </summary>
    public static bool TryParse(string text, out List<EnvFileEntry> entries, out string problem)
    {
        entries = [];
        problem = "";
        var lines = new Dictionary<string, int>(StringComparer.Ordinal);
        var line = 0;
        foreach (var raw in text.TrimStart('\uFEFF').AsSpan().EnumerateLines())
        {
            line++;
            var content = raw.Trim();
            if (content.IsEmpty || content[0] == '#')
            {
                continue;
            }
            var fault = ReadLine(content, out var name, out var value);
            if (fault is null && !lines.TryAdd(name, line))
            {
                // Readers of .env files disagree on whether the first or the last wins, so that either would surprise someone.
                fault = $"{name} is already set on line {lines[name]}";
            }
            if (fault is not null)
            {
                problem = $".env line {line}: {fault}.";
                return false;
            }
            entries.Add(new EnvFileEntry(name, value, line));
        }
        return true;
    }

    /// <summary>Null when the line is well formed, else what is wrong with it.</summary>
    private static string? ReadLine(ReadOnlySpan<char> content, out string name, out string value)
    {
        name = value = "";
        if (content.StartsWith(ExportPrefix, StringComparison.Ordinal))
        {
            content = content[ExportPrefix.Length..].TrimStart();
        }
        var equals = content.IndexOf('=');
        if (equals < 0)
        {
            return "expected NAME=value";
        }
        var nameSpan = content[..equals].TrimEnd();
        if (!IsName(nameSpan))
        {
            return "expected a name of letters, digits and _ before the =";
        }
        name = nameSpan.ToString();
        var rest = content[(equals + 1)..].TrimStart();
        return rest.IsEmpty ? null : rest[0] switch
        {
            '\'' => ReadSingleQuoted(rest[1..], out value),
            '"' => ReadDoubleQuoted(rest[1..], out value),
            _ => ReadBare(rest, content[equals + 1] != rest[0], out value),
        };
    }

    private static bool IsName(ReadOnlySpan<char> name)
    {
        foreach (var c in name)
        {
            if (!char.IsAsciiLetterOrDigit(c) && c != '_')
            {
                return false;
            }
        }
        return !name.IsEmpty && !char.IsAsciiDigit(name[0]);
    }

    // A # begins a comment only after white space: URLs and passwords contain it.
    private static string? ReadBare(ReadOnlySpan<char> rest, bool followsSpace, out string value)
    {
        var end = rest.Length;
        for (var i = 0; i < rest.Length; i++)
        {
            if (rest[i] == '#' && (i == 0 ? followsSpace : char.IsWhiteSpace(rest[i - 1])))
            {
                end = i;
                break;
            }
        }
        value = rest[..end].TrimEnd().ToString();
        return null;
    }

    private static string? ReadSingleQuoted(ReadOnlySpan<char> rest, out string value)
    {
        var end = rest.IndexOf('\'');
        value = end < 0 ? "" : rest[..end].ToString();
        return end < 0 ? "the closing ' is missing" : CheckAfterQuote(rest[(end + 1)..]);
    }

    private static string? ReadDoubleQuoted(ReadOnlySpan<char> rest, out string value)
    {
        value = "";
        var text = new StringBuilder();
        for (var i = 0; i < rest.Length; i++)
        {
            if (rest[i] == '"')
            {
                value = text.ToString();
                return CheckAfterQuote(rest[(i + 1)..]);
            }
            if (rest[i] != '\\')
            {
                text.Append(rest[i]);
                continue;
            }
            i++;
            if (i == rest.Length)
            {
                break;
            }
            switch (rest[i])
            {
                case 'n': text.Append('\n'); break;
                case 'r': text.Append('\r'); break;
                case 't': text.Append('\t'); break;
                case '"' or '\\' or '$': text.Append(rest[i]); break;
                default: return "a \\ in double quotes must be followed by n, r, t, \", \\ or $";
            }
        }
        return "the closing \" is missing";
    }

    private static string? CheckAfterQuote(ReadOnlySpan<char> tail)
    {
        tail = tail.TrimStart();
        return tail.IsEmpty || tail[0] == '#' ? null : "only a # comment may follow the closing quote";
    }
}
