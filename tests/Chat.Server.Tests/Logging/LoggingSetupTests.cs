using System.Text.Json;
using Chat.Server.Auth;
using Chat.Server.Logging;
using Chat.Server.Settings;
using Microsoft.Extensions.Logging;

namespace Chat.Server.Tests.Logging;

/// <summary>Takes over the console, which belongs to the process: never beside other tests.</summary>
[CollectionDefinition(nameof(LoggingSetupTests), DisableParallelization = true)]
[Collection(nameof(LoggingSetupTests))]
public sealed class LoggingSetupTests
{
    private static string Capture(LogSettings settings, Action<ILogger> write)
    {
        var console = Console.Out;
        using var captured = new StringWriter();
        Console.SetOut(captured);
        try
        {
            // Disposing waits until the queue is written.
            using var factory = LoggingSetup.Create(settings);
            write(factory.CreateLogger("Chat.Test"));
        }
        finally
        {
            Console.SetOut(console);
        }
        return captured.ToString();
    }

    [Fact]
    public void Text_is_one_line_with_a_utc_timestamp()
    {
        var output = Capture(new LogSettings(LogFormat.Text, LogLevel.Information), logger => logger.SigningKeyGenerated("data/a\nb"));

        Assert.Matches(@"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info: Chat.Test\[100\] Made a new signing key in data/a b; [^\n]*\n$", output);
    }

    [Fact]
    public void Json_is_one_object_a_line()
    {
        var output = Capture(new LogSettings(LogFormat.Json, LogLevel.Information), logger => logger.SigningKeyGenerated("data/a\nb"));

        using var line = JsonDocument.Parse(Assert.Single(output.Split('\n', StringSplitOptions.RemoveEmptyEntries)));
        Assert.Equal("data/a\nb", line.RootElement.GetProperty("State").GetProperty("Path").GetString());
        Assert.Matches(@"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", line.RootElement.GetProperty("Timestamp").GetString());
    }

    [Fact]
    public void Levels_below_the_setting_are_not_written()
    {
        Assert.Empty(Capture(new LogSettings(LogFormat.Text, LogLevel.Warning), logger => logger.SigningKeyGenerated("x")));
        Assert.Empty(Capture(new LogSettings(LogFormat.Text, LogLevel.None), logger => logger.StoredHashUnreadable()));
        Assert.NotEmpty(Capture(new LogSettings(LogFormat.Text, LogLevel.Error), logger => logger.StoredHashUnreadable()));
    }
}
