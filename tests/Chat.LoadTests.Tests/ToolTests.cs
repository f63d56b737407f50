using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Chat.LoadTests.Hosting;
using Chat.LoadTests.Reports;
using Chat.LoadTests.Scenarios;
using Chat.LoadTests.Verify;
using Chat.TestKit;

namespace Chat.LoadTests.Tests;

/// <summary>The program as a shell sees it, against a real server that it starts itself.</summary>
public sealed class ToolTests
{
    /// <summary>The server of the same build: artifacts/bin/PROJECT/CONFIGURATION.</summary>
    public static string Server { get; } = Built("Chat.Server");

    /// <summary>This program, to be started as a process of its own.</summary>
    public static string Program { get; } = Built("Chat.LoadTests");

    private static string Built(string project) => Path.GetFullPath(Path.Combine(
        AppContext.BaseDirectory, "..", "..", project, new DirectoryInfo(AppContext.BaseDirectory).Name, $"{project}.dll"));

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
    public async Task Verify_connects_to_any_of_the_nodes()
    {
        await using ServerProcess server = await ServerProcess.StartAsync(new ServerLaunch { ServerDll = Server }, TestContext.Current.CancellationToken);
        await using var node = new TcpProxy(server.Url.Port);
        node.Record();
        using var folder = new TempFolder();

        int code = await RunAsync(VerifyCommand.Make,
            $"verify --url {server.Url} --node http://127.0.0.1:{node.Port} --clients 16 --rooms 2 --rate 100 --duration 1 --cuts 10 --report {folder.Path}");

        Assert.Equal(ExitCode.Ok, code);
        int handshakes = Encoding.ASCII.GetString(node.Recorded().ToServer).Split("GET /ws").Length - 1;
        long connections = JsonElement.Parse(await File.ReadAllBytesAsync(folder.File("verify.json"), TestContext.Current.CancellationToken))
            .GetProperty("counts").GetProperty("connections").GetInt64();
        Assert.InRange(handshakes, 1, connections - 1); // Some tens, of which half are expected there.

        Assert.Equal(ExitCode.CannotRun, await RunAsync(VerifyCommand.Make, $"verify --url {server.Url} --node http://127.0.0.1:{TestKit.FreePort.Next()}"));
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
    [InlineData("verify --node http://127.0.0.1:{0}")]
    [InlineData("verify --url http://127.0.0.1:{0} --node 127.0.0.1")]
    public async Task What_cannot_be_run_ends_with_exit_code_2(string arguments) => Assert.Equal(
        ExitCode.CannotRun,
        await RunAsync(
            arguments.StartsWith("verify", StringComparison.Ordinal) ? VerifyCommand.Make : FanoutCommand.Make,
            string.Format(CultureInfo.InvariantCulture, arguments, TestKit.FreePort.Next())));

    [Fact]
    public async Task Several_processes_make_one_report_in_which_nothing_is_missing_or_twice()
    {
        using var folder = new TempFolder();

        int code = await RunAsync(FanoutCommand.Make,
            $"fanout --server {Server} --members 31 --rooms 2 --publishers 1 --rate 100 --seconds 2 --warm-up 0 --users 1 --processes 3 --threads 2 --report {folder.Path} --assert lost=0");

        Assert.Equal(ExitCode.Ok, code);
        RunReport report = ReportFiles.Read(folder.Path);
        Assert.Equal(200 * 31, report.Steps.Single(static step => step.Name == "deliver").Ok);
        Assert.Equal(200, report.Steps.Single(static step => step.Name == "ack").Ok);
        Assert.Equal(62, report.Steps.Single(static step => step.Name == "connect").Ok);
    }

    [Fact]
    public async Task A_server_of_its_own_takes_the_longest_message_that_may_be_asked_for() => Assert.Equal(
        ExitCode.Ok,
        await RunAsync(FanoutCommand.Make, $"fanout --server {Server} --members 2 --rate 10 --size 65536 --seconds 0.5 --warm-up 0 --users 1 --assert lost=0 --assert refused=0"));

    [Fact]
    public async Task Rest_calls_are_made_by_several_processes_too()
    {
        using var folder = new TempFolder();

        int code = await RunAsync(RestCommand.Make,
            $"rest --server {Server} --connections 5 --rooms 2 --seconds 1 --warm-up 0.2 --users 1 --processes 2 --report {folder.Path} --assert refused=0 --assert closed=0");

        Assert.Equal(ExitCode.Ok, code);
        RunReport report = ReportFiles.Read(folder.Path);
        Assert.Equal(["history", "publish", "rooms"], report.Steps.Select(static step => step.Name).Order(StringComparer.Ordinal));
        Assert.All(report.Timeline, static row => Assert.Equal(5, row.Members));
    }

    [Fact]
    public async Task A_report_folder_that_takes_no_files_is_found_out_before_the_run()
    {
        using var folder = new TempFolder();
        await File.WriteAllTextAsync(folder.File("file"), "", TestContext.Current.CancellationToken);
        long startedAt = Stopwatch.GetTimestamp();

        Assert.Equal(ExitCode.CannotRun, await RunAsync(FanoutCommand.Make, $"fanout --server {Server} --seconds 600 --report {folder.File("file")}"));
        Assert.InRange(Stopwatch.GetElapsedTime(startedAt).TotalSeconds, 0, 300);
    }

    [Fact]
    public async Task Reports_are_compared_only_with_those_of_the_same_scenario()
    {
        using var folder = new TempFolder();
        var report = new RunReport
        {
            Scenario = "fanout",
            Command = "",
            Commit = "",
            StartedAt = default,
            Machine = new MachineFacts("", 2, 4, "", ""),
            Settings = new Dictionary<string, string>(),
            Figures = new Dictionary<string, double> { [Figures.DeliveriesPerS] = 100 },
        };
        ReportFiles.Write(report, folder.File("fanout"));
        ReportFiles.Write(report with { Scenario = "saturate" }, folder.File("saturate"));

        Assert.Equal(ExitCode.Ok, await RunAsync(CompareCommand.Make, $"compare {folder.File("fanout")} {folder.File("fanout")}"));
        Assert.Equal(ExitCode.CannotRun, await RunAsync(CompareCommand.Make, $"compare {folder.File("fanout")} {folder.File("saturate")}"));
        Assert.Equal(ExitCode.CannotRun, await RunAsync(CompareCommand.Make, $"compare {folder.File("fanout")} {folder.File("nothing")}"));
        Assert.Equal(ExitCode.CannotRun, await RunAsync(CompareCommand.Make, $"compare {folder.File("fanout")} {folder.File(Path.Combine("fanout", "report.csv"))}"));
    }
}
