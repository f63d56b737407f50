using System.Buffers;
using Chat.LoadTests.Measuring;
using Chat.LoadTests.Reports;

namespace Chat.LoadTests.Scenarios;

/// <summary>The life of every load scenario: begin, play, finish, report, judge.</summary>
internal static class ScenarioRun
{
    private static readonly SearchValues<char> NeedQuotes = SearchValues.Create(" <>&;|");

    /// <param name="scenario">Its name.</param>
    /// <param name="main">The step whose latencies are the report's own.</param>
    /// <param name="settings">The shared options.</param>
    /// <param name="playAsync">What the scenario does.</param>
    /// <param name="cancellation">Ctrl-C.</param>
    /// <returns>The exit code.</returns>
    public static async Task<int> RunAsync(
        string scenario, string main, LoadSettings settings, Func<LoadRun, CancellationToken, Task> playAsync, CancellationToken cancellation)
    {
        if (settings.ReportFolder is { } reportFolder)
        {
            ReportFiles.RequireWritable(reportFolder);
        }

        DateTimeOffset startedAt = DateTimeOffset.UtcNow;
        var view = new LiveView(scenario);
        RunReport? report = null;
        await view.RunAsync(async () =>
        {
            await using LoadRun run = await LoadRun.BeginAsync(main, settings, view, cancellation);
            string? brokenOff = await PlayAsync(run, playAsync, cancellation);
            run.Finish();
            report = Report(scenario, settings, startedAt, run, brokenOff);
        });

        ReportTable.Print(report!);
        if (settings.ReportFolder is { } folder)
        {
            ReportFiles.Write(report!, folder);
            Console.WriteLine($"Report: {Path.GetFullPath(folder)}");
        }

        if (report!.BrokenOff is { } reason)
        {
            throw new CannotRunException(reason);
        }

        return Judge(settings.Thresholds, report);
    }

    /// <summary>Says which thresholds are broken.</summary>
    /// <exception cref="CannotRunException">One asks for a figure that this scenario does not have.</exception>
    public static int Judge(IReadOnlyList<Threshold> thresholds, RunReport report)
    {
        int exitCode = ExitCode.Ok;
        foreach (Threshold threshold in thresholds)
        {
            double value = threshold.ValueIn(report)
                ?? throw new CannotRunException($"--assert \"{threshold.Text}\": {report.Scenario} has no {threshold.Name}. It has {string.Join(", ", report.Figures.Keys)}.");
            bool holds = threshold.HoldsFor(value);
            Console.WriteLine($"{(holds ? "holds" : "BROKEN")}: {threshold.Text} (is {Figure.Text(value)})");
            exitCode = holds ? exitCode : ExitCode.Failed;
        }

        return exitCode;
    }

    /// <summary>Null, or why it ended early: what was measured until then is still reported.</summary>
    private static async Task<string?> PlayAsync(LoadRun run, Func<LoadRun, CancellationToken, Task> playAsync, CancellationToken cancellation)
    {
        try
        {
            await playAsync(run, cancellation);
            return null;
        }
        catch (CannotRunException exception) when (run.Sampler is not null)
        {
            return exception.Message;
        }
        catch (OperationCanceledException) when (run.Sampler is not null)
        {
            return "Stopped before the end.";
        }
    }

    private static RunReport Report(string scenario, LoadSettings settings, DateTimeOffset startedAt, LoadRun run, string? brokenOff) => new()
    {
        Scenario = scenario,
        Command = string.Join(' ', Environment.GetCommandLineArgs().Skip(1).Prepend("Chat.LoadTests").Select(Quoted)),
        Commit = MachineInspection.Commit(),
        StartedAt = startedAt,
        Seconds = run.MeasuredS,
        BrokenOff = brokenOff,
        Machine = MachineInspection.Facts(),
        Settings = settings.Shown,
        Steps = run.Steps,
        Figures = run.Figures,
        Timeline = run.Sampler.Timeline,
        Notes = run.Notes,
    };

    /// <summary>The password of a database URL stays out of reports.</summary>
    private static string Quoted(string argument)
    {
        if (Uri.TryCreate(argument, UriKind.Absolute, out Uri? url) && url.UserInfo.Length > 0)
        {
            argument = argument.Replace(url.UserInfo, "***", StringComparison.Ordinal);
        }

        return argument.AsSpan().ContainsAny(NeedQuotes) ? $"\"{argument}\"" : argument;
    }
}
