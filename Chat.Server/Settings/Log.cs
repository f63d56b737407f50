using Microsoft.Extensions.Logging;

namespace Chat.Server.Settings;

/// <summary>Messages of this area (events 10 to 19).</summary>
internal static partial class Log
{
    /// <param name="logger">Made after the settings were read.</param>
    /// <param name="warning">One of <see cref="SettingsOutcome.Warnings"/>.</param>
    [LoggerMessage(10, LogLevel.Warning, "{Warning}")]
    public static partial void SettingsWarning(this ILogger logger, string warning);
}
