using System.Diagnostics;
using System.Globalization;
using Spectre.Console;

namespace Chat.LoadTests.Verify;

/// <summary>Shows a run while it goes on: a table that changes in place on a terminal, a line now and then elsewhere.</summary>
internal static class VerifyDisplay
{
    private const int RefreshMs = 250;
    private const int LineMs = 5000;

    /// <summary>Shows <paramref name="run"/> until <paramref name="running"/> ends. Does not throw what it ends with.</summary>
    public static async Task WatchAsync(VerifyRun run, VerifySettings settings, Task running)
    {
        long startedAt = Stopwatch.GetTimestamp();
        if (!AnsiConsole.Profile.Capabilities.Interactive || Console.IsOutputRedirected)
        {
            while (await Task.WhenAny(running, Task.Delay(LineMs)) != running)
            {
                Console.WriteLine(Line(run, settings, Stopwatch.GetElapsedTime(startedAt)));
            }

            return;
        }

        await AnsiConsole.Live(Rows(run, settings, TimeSpan.Zero)).AutoClear(true).StartAsync(async live =>
        {
            while (await Task.WhenAny(running, Task.Delay(RefreshMs)) != running)
            {
                live.UpdateTarget(Rows(run, settings, Stopwatch.GetElapsedTime(startedAt)));
            }
        });
    }

    /// <summary>What happened, and the verdict.</summary>
    public static void WriteSummary(VerifyReport report)
    {
        Table counts = new Table().Border(TableBorder.Simple).AddColumn("").AddColumn(new TableColumn("count").RightAligned());
        foreach ((string name, long count) in report.Counts)
        {
            counts.AddRow(name.Replace('_', ' '), Number(count));
        }

        AnsiConsole.Write(counts);
        Table verdict = new Table().Border(TableBorder.Simple).AddColumn("").AddColumn(new TableColumn("found").RightAligned());
        foreach (Finding finding in report.Findings)
        {
            verdict.AddRow(finding.Fault.ToString().ToLowerInvariant(), Number(finding.Count));
        }

        AnsiConsole.Write(verdict);
        // Outside the table, so that a terminal's width does not cut what one searches the logs for.
        foreach (Finding finding in report.Findings.Where(finding => finding.Count > 0))
        {
            Console.WriteLine($"First {finding.Fault.ToString().ToLowerInvariant()}: {finding.First}");
        }

        Console.WriteLine(report.Incomplete is { } why ? $"Incomplete: {why}"
            : report.Passed ? $"Passed: {Number(report.Stored)} messages are as every client was told (seed {report.Seed}, compared with: {string.Join(", ", report.ComparedWith)})."
            : $"FAILED (seed {report.Seed}).");
    }

    private static Table Rows(VerifyRun run, VerifySettings settings, TimeSpan elapsed)
    {
        FaultCounts faults = settings.Faults;
        Tally tally = run.Tally;
        Table table = new Table().Border(TableBorder.Rounded).HideHeaders().AddColumn("").AddColumn(new TableColumn("").RightAligned());
        table.AddRow(run.Phase, $"{elapsed:h\\:mm\\:ss}");
        table.AddRow("messages sent", Number(tally.Sent));
        table.AddRow("acknowledged", Number(tally.Acknowledged));
        table.AddRow("delivered", Number(tally.Deliveries));
        table.AddRow("connections", Number(tally.Connections));
        table.AddRow("resumed, reloaded, rolled back", $"{Number(tally.Resumed)}, {Number(tally.Reloaded)}, {Number(tally.Rollbacks)}");
        table.AddRow("cuts", Of(run.Cuts?.Done ?? 0, faults.Cuts));
        table.AddRow("kills", Of(tally.Kills, faults.Kills));
        table.AddRow("terminations", Of(tally.Terminations, faults.Terminations));
        table.AddRow("database stops", Of(tally.DatabaseStops, faults.DatabaseStops));
        table.AddRow("database freezes", Of(tally.DatabaseFreezes, faults.DatabaseFreezes));
        table.AddRow(run.Findings.Total == 0 ? "faults found" : "[red]faults found[/]", Number(run.Findings.Total));
        return table;
    }

    private static string Line(VerifyRun run, VerifySettings settings, TimeSpan elapsed)
    {
        FaultCounts faults = settings.Faults;
        Tally tally = run.Tally;
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{elapsed:h\\:mm\\:ss} {run.Phase}: {tally.Acknowledged} acknowledged, {tally.Deliveries} delivered, {run.Cuts?.Done ?? 0}/{faults.Cuts} cuts, "
            + $"{tally.Kills}/{faults.Kills} kills, {tally.Terminations}/{faults.Terminations} terminations, "
            + $"{tally.DatabaseStops}/{faults.DatabaseStops} database stops, {tally.DatabaseFreezes}/{faults.DatabaseFreezes} freezes, "
            + $"{run.Findings.Total} faults found");
    }

    private static string Of(long done, long total) => $"{Number(done)} of {Number(total)}";

    private static string Number(long number) => number.ToString("N0", CultureInfo.InvariantCulture);
}
