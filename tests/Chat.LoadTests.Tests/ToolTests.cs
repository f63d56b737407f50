using System.CommandLine;
using System.Globalization;
using Chat.LoadTests.Scenarios;
using Chat.LoadTests.Verify;
using Chat.TestKit;

namespace Chat.LoadTests.Tests;

/// <summary>The program as a shell sees it, against a real server that it starts itself.</summary>
public sealed class ToolTests
{
    /// <summary>The server of the same build: artifacts/bin/PROJECT/CONFIGURATION.</summary>
    private static string Server { get; } = Path.GetFullPath(Path.Combine(
        AppContext.BaseDirectory, "..", "..", "Chat.Server", new DirectoryInfo(AppContext.BaseDirectory).Name, "Chat.Server.dll"));

    private static Task<int> RunAsync(Func<Command> command, string arguments) =>
        LoadTestCommand.RunAsync(arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries), [command()]);

    [Fact]
    public async Task Verify_passes_under_kills_stops_and_cuts_and_writes_its_report()
    {
        using var folder = new TempFolder();

        int code = await RunAsync(VerifyCommand.Make,
            $"verify --server {Server} --clients 8 --rooms 2 --rate 200 --duration 4 --kills 2 --terminations 1 --cuts 100 --report {folder.Path}");

        Assert.Equal(ExitCode.Ok, code);
        Assert.Contains("\"lost\"", await File.ReadAllTextAsync(folder.File("verify.json"), TestContext.Current.CancellationToken), StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task A_short_fanout_delivers_everything_and_a_threshold_decides_the_exit_code()
    {
        using var folder = new TempFolder();
        string common = $"fanout --server {Server} --members 20 --rate 50 --seconds 2 --warm-up 0 --users 1";

        Assert.Equal(ExitCode.Ok, await RunAsync(FanoutCommand.Make, $"{common} --report {folder.Path} --assert lost=0"));
        Assert.Equal(
            ["report.csv", "report.html", "report.json", "report.md"],
            Directory.GetFiles(folder.Path).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        Assert.Equal(ExitCode.Failed, await RunAsync(FanoutCommand.Make, $"{common} --assert deliveries_per_s<1"));
    }

    [Theory]
    [InlineData("fanout --no-such-option 1")]
    [InlineData("fanout --assert p99<<1")]
    [InlineData("fanout --url ftp://localhost")]
    [InlineData("fanout --url http://127.0.0.1:{0} --members 2")]
    public async Task What_cannot_be_run_ends_with_exit_code_2(string arguments) => Assert.Equal(
        ExitCode.CannotRun,
        await RunAsync(FanoutCommand.Make, string.Format(CultureInfo.InvariantCulture, arguments, FreePort.Next())));
}
