using Microsoft.Extensions.Logging;

namespace Chat.Server.Auth;

/// <summary>Messages of this area (events 100 to 199). None has a parameter that could be a token, a password or an address.</summary>
internal static partial class Log
{
    [LoggerMessage(100, LogLevel.Information, "Made a new signing key in {Path}; tokens of earlier keys are no longer accepted")]
    public static partial void SigningKeyGenerated(this ILogger logger, string path);

    [LoggerMessage(101, LogLevel.Error, "A stored password hash is not an Argon2id PHC string within our limits; its user cannot log in")]
    public static partial void StoredHashUnreadable(this ILogger logger);
}
