using System.CommandLine;
using System.Diagnostics;
using Chat.LoadTests.Hosting;
using Chat.LoadTests.Loads;
using Chat.LoadTests.Processes;
using Chat.LoadTests.Reports;
using Chat.LoadTests.Scenarios;
using Chat.TestKit;

namespace Chat.LoadTests.Tests.Scenarios;

/// <summary>Runs that end early: exit code 2, a reason, and a report of what was measured until then.</summary>
public sealed class BrokenOffTests : IDisposable
{
    /// <summary>Longer than any run here lasts, and short enough to fail a test by.</summary>
    private const double WatchSeconds = 60;

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>Ten members of a room under a constant load, and something that happens to them.</summary>
    private async Task<RunReport> RunAsync(string arguments, Func<LoadRun, Task> disasterAsync)
    {
        var command = new Command("scenario");
        var options = new LoadOptions(command);
        command.SetAction((parsed, cancellation) => ScenarioRun.RunAsync("scenario", "deliver", options.Read(parsed), async (run, stop) =>
        {
            await run.EnterAsync(connections: 10, rooms: 1, publishersPerRoom: 2, stop);
            await run.OpenAsync(OpenPaces.Brisk, mustAll: true, stop);
            var shape = new MessageShape(128, WithNonces: true, Skew: 0, WarmUpS: 0, WatchSeconds, AcksComplete: true);
            bool happened = false;
            await run.PublishAsync(LoadPlan.Constant(100, WatchSeconds), window: 0, shape, async () =>
            {
                if (!happened)
                {
                    happened = true;
                    await disasterAsync(run);
                }
            }, stop);
        }, cancellation));

        int code = await LoadTestCommand.RunAsync($"scenario --users 1 --report {_folder.Path} {arguments}".Split(' '), [command]);

        Assert.Equal(ExitCode.CannotRun, code);
        RunReport report = ReportFiles.Read(_folder.Path);
        Assert.True(report.Figures[Figures.DeliveriesPerS] > 0);
        Assert.True(report.Seconds < WatchSeconds);
        Assert.NotEmpty(report.Timeline);
        return report;
    }

    private static void Kill(int processId)
    {
        using var process = Process.GetProcessById(processId);
        process.Kill();
    }

    [Fact]
    public async Task A_server_of_its_own_that_is_killed_ends_the_run_with_its_log()
    {
        RunReport report = await RunAsync($"--server {ToolTests.Server}", run =>
        {
            Kill(run.Target.Process!.ProcessId);
            return Task.CompletedTask;
        });

        Assert.Contains("The server died", report.BrokenOff, StringComparison.Ordinal);
        Assert.Contains("Listening on", report.BrokenOff, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task A_server_elsewhere_that_is_killed_ends_the_run_with_how_the_first_connection_ended(int processes)
    {
        await using ServerProcess server = await ServerProcess.StartAsync(new ServerLaunch { ServerDll = ToolTests.Server }, TestContext.Current.CancellationToken);

        RunReport report = await RunAsync($"--url {server.Url} --processes {processes}", _ => server.KillAsync());

        Assert.Contains("ended every connection", report.BrokenOff, StringComparison.Ordinal);
        Assert.Contains("First:", report.BrokenOff, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_client_process_that_is_killed_ends_the_run_and_what_it_had_counted_stays()
    {
        long deliveredBefore = 0;
        RunReport report = await RunAsync($"--server {ToolTests.Server} --processes 3", async run =>
        {
            deliveredBefore = (await run.Sampler.MarkAsync()).Counters.Delivered;
            Kill(((ClientProcesses)run.Clients).All[1].ProcessId);
        });

        Assert.Contains("Client process 2 of 3", report.BrokenOff, StringComparison.Ordinal);
        Assert.Contains("killed by signal 9", report.BrokenOff, StringComparison.Ordinal);
        Assert.True(report.Steps.Single(static step => step.Name == "deliver").Ok >= deliveredBefore);
    }

    [Fact]
    public async Task Ctrl_C_ends_the_run_and_every_process_of_it()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "The signal is sent by kill(1).");
        using var tool = Process.Start(new ProcessStartInfo(ServerBuild.DotnetHost,
        [
            ToolTests.Program, "fanout", "--server", ToolTests.Server, "--members", "10", "--users", "1", "--warm-up", "0", "--seconds", "600",
            "--processes", "2", "--report", _folder.Path,
        ])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        string? line;
        do
        {
            line = await tool.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken);
        }
        while (line is not null && !line.Contains("p99", StringComparison.Ordinal)); // A row of the measured time.

        using (var kill = Process.Start("kill", ["-INT", $"{tool.Id}"]))
        {
            await kill.WaitForExitAsync(TestContext.Current.CancellationToken);
        }

        string rest = await tool.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken); // Ends when every process that inherited it has.
        await tool.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(ExitCode.CannotRun, tool.ExitCode);
        Assert.Contains("deliver", rest, StringComparison.Ordinal);
        Assert.Contains("Stopped before the end.", await tool.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
        Assert.Equal("Stopped before the end.", ReportFiles.Read(_folder.Path).BrokenOff);
    }
}
