using Chat.Server.Settings;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace Chat.Server.Logging;

/// <summary>Makes the one logger factory of the process: console only, as containers and systemd collect it from there.</summary>
internal static class LoggingSetup
{
    private const string TimestampFormat = "yyyy-MM-dd'T'HH:mm:ss.fff'Z' ";

    /// <summary>The caller owns the factory; disposing it writes what is still queued.</summary>
    public static ILoggerFactory Create(LogSettings settings) => LoggerFactory.Create(builder =>
    {
        builder.SetMinimumLevel(settings.Level);
        // The default waits when the terminal is slow, and with it the thread that serves a room; losing lines is the lesser harm,
        // and the console logger says how many it has dropped.
        builder.Services.Configure<ConsoleLoggerOptions>(static options => options.QueueFullMode = ConsoleLoggerQueueFullMode.DropWrite);
        if (settings.Format == LogFormat.Json)
        {
            builder.AddJsonConsole(static options =>
            {
                options.UseUtcTimestamp = true;
                options.TimestampFormat = TimestampFormat.TrimEnd();
            });
        }
        else
        {
            builder.AddSimpleConsole(static options =>
            {
                options.SingleLine = true;
                options.UseUtcTimestamp = true;
                options.TimestampFormat = TimestampFormat;
            });
        }
    });
}
