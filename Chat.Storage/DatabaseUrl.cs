using Npgsql;

namespace Chat.Storage;

/// <summary>
/// Reads the <c>DATABASE_URL</c> setting: <c>postgres://user:password@host:port/database?sslmode=require</c>,
/// <c>postgresql://</c> likewise, or Npgsql's own <c>Host=...;Username=...</c>. User, password and database are percent-decoded.
/// Query parameters are libpq's <c>sslmode</c>, <c>sslrootcert</c>, <c>application_name</c>, <c>connect_timeout</c> (seconds) and <c>host</c>
/// (a socket folder or a second way to name the host).
/// </summary>
public static class DatabaseUrl
{
    private const int DefaultPort = 5432;

    /// <returns>An Npgsql connection string.</returns>
    /// <exception cref="FormatException">Says what is wrong. Quotes neither the URL nor any value that may be a password.</exception>
    public static string ToConnectionString(string databaseUrl)
    {
        var text = databaseUrl.Trim();
        var schemeLength = text.IndexOf("://", StringComparison.Ordinal);
        if (schemeLength < 0)
            return FromKeyValues(text);
        // The part before :// is not quoted either: in "pass@word://" it is not a scheme.
        if (text[..schemeLength] is not ("postgres" or "postgresql"))
            throw new FormatException("DATABASE_URL must start with postgres:// or postgresql://.");

        var builder = new NpgsqlConnectionStringBuilder { Port = DefaultPort };
        var rest = text[(schemeLength + 3)..];
        var query = "";
        if (rest.IndexOf('?') is var mark and >= 0)
            (rest, query) = (rest[..mark], rest[(mark + 1)..]);
        // The last @ ends the user part: an unescaped @ in a password is a common slip, and harmless.
        if (rest.LastIndexOf('@') is var at and >= 0)
        {
            ReadUser(rest[..at], builder);
            rest = rest[(at + 1)..];
        }
        if (rest.Contains('#'))
            throw new FormatException("DATABASE_URL contains '#'; write it as %23.");
        var slash = rest.IndexOf('/');
        var database = slash < 0 ? "" : Decode(rest[(slash + 1)..], "database name");
        if (database.Length == 0)
            throw new FormatException("DATABASE_URL names no database: postgres://user:password@host:port/database.");
        builder.Database = database;
        ReadHost(rest[..slash], builder);
        foreach (var pair in query.Split('&', StringSplitOptions.RemoveEmptyEntries))
            ReadParameter(pair, builder);
        if (string.IsNullOrEmpty(builder.Host))
            throw new FormatException("DATABASE_URL names no host: postgres://user:password@host:port/database.");
        return builder.ConnectionString;
    }

    private static string FromKeyValues(string text)
    {
        try
        {
            var builder = new NpgsqlConnectionStringBuilder(text);
            if (string.IsNullOrEmpty(builder.Host))
                throw new FormatException(
                    "DATABASE_URL names no host; write postgres://user:password@host:port/database or Host=...;Database=...;Username=....");
            return builder.ConnectionString;
        }
        catch (Exception e) when (e is ArgumentException or InvalidCastException or OverflowException)
        {
            // Npgsql's message may quote a piece of the text, and that piece may be the password.
            throw new FormatException("DATABASE_URL is neither a postgres:// URL nor a list of Key=value pairs separated by semicolons.");
        }
    }

    private static void ReadUser(string text, NpgsqlConnectionStringBuilder builder)
    {
        var colon = text.IndexOf(':');
        builder.Username = Decode(colon < 0 ? text : text[..colon], "user name");
        if (colon >= 0)
            builder.Password = Decode(text[(colon + 1)..], "password");
    }

    private static void ReadHost(string text, NpgsqlConnectionStringBuilder builder)
    {
        // [::1]:5432 has colons of its own.
        var colon = text.LastIndexOf(':');
        if (colon > text.LastIndexOf(']'))
        {
            if (!ushort.TryParse(text.AsSpan(colon + 1), out var port) || port == 0)
                throw new FormatException("DATABASE_URL: the port must be a number from 1 to 65535.");
            builder.Port = port;
            text = text[..colon];
        }
        if (text.Length > 0)
            builder.Host = Decode(text.Trim('[', ']'), "host");
    }

    private static void ReadParameter(string pair, NpgsqlConnectionStringBuilder builder)
    {
        var equals = pair.IndexOf('=');
        var name = equals < 0 ? pair : pair[..equals];
        var value = equals < 0 ? "" : Decode(pair[(equals + 1)..], "parameter");
        switch (name)
        {
            case "sslmode":
                builder.SslMode = value switch
                {
                    "disable" => SslMode.Disable,
                    "allow" => SslMode.Allow,
                    "prefer" => SslMode.Prefer,
                    "require" => SslMode.Require,
                    "verify-ca" => SslMode.VerifyCA,
                    "verify-full" => SslMode.VerifyFull,
                    _ => throw new FormatException("DATABASE_URL: sslmode must be disable, allow, prefer, require, verify-ca or verify-full."),
                };
                break;
            case "sslrootcert":
                builder.RootCertificate = value;
                break;
            case "application_name":
                builder.ApplicationName = value;
                break;
            case "host":
                builder.Host = value;
                break;
            case "connect_timeout":
                if (!int.TryParse(value, out var seconds) || seconds is < 0 or > 1024)
                    throw new FormatException("DATABASE_URL: connect_timeout must be a number of seconds from 0 to 1024.");
                builder.Timeout = seconds;
                break;
            default:
                // The name is not quoted: after an unescaped ? in a password it is the password's end.
                throw new FormatException(
                    "DATABASE_URL: unknown parameter after '?'; known are sslmode, sslrootcert, application_name, connect_timeout and host. "
                    + "A '?' in a password is written %3F.");
        }
    }

    private static string Decode(string text, string what)
    {
        for (var i = text.IndexOf('%'); i >= 0; i = text.IndexOf('%', i + 1))
        {
            if (i + 2 >= text.Length || !char.IsAsciiHexDigit(text[i + 1]) || !char.IsAsciiHexDigit(text[i + 2]))
                throw new FormatException($"DATABASE_URL: the {what} has a '%' that no two hexadecimal digits follow; a plain '%' is written %25.");
        }
        return Uri.UnescapeDataString(text);
    }
}
