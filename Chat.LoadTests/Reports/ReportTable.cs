using Spectre.Console;

namespace Chat.LoadTests.Reports;

/// <summary>The end of a run on the console.</summary>
internal static class ReportTable
{
    /// <summary>Where the output is a file, the console says 80; this is what the tables need.</summary>
    private const int RedirectedColumns = 120;

    public static void Print(RunReport report)
    {
        if (Console.IsOutputRedirected)
        {
            AnsiConsole.Profile.Width = RedirectedColumns;
        }

        Table steps = NewTable($"{report.Scenario}: {report.Seconds:0.#} s measured");
        foreach (string column in (string[])["step", "ok", "fail", "/s", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms"])
        {
            steps.AddColumn(column == "step" ? new TableColumn(column) : new TableColumn(column).RightAligned());
        }

        foreach (StepResult step in report.Steps)
        {
            LatencyFigures latency = step.Latency;
            steps.AddRow([step.Name, .. new[] { step.Ok, step.Fail, step.PerS, latency.P50, latency.P90, latency.P99, latency.P999, latency.Max }.Select(Figure.Text)]);
        }

        Table figures = NewTable("").AddColumn("figure").AddColumn(new TableColumn("value").RightAligned()).AddColumn("what it is");
        foreach (Figure figure in Figures.All.Where(figure => report.Figures.ContainsKey(figure.Name) && !IsInSteps(figure)))
        {
            figures.AddRow(figure.Name, Markup.Escape(figure.TextWithUnit(report.Figures[figure.Name])), Markup.Escape(figure.Meaning));
        }

        AnsiConsole.Write(steps);
        AnsiConsole.Write(figures);
        foreach (string note in report.Notes)
        {
            Console.WriteLine(note);
        }
    }

    private static bool IsInSteps(Figure figure) => LatencyFigures.None.Named(figure.Name) is not null;

    private static Table NewTable(string title)
    {
        Table table = new Table().RoundedBorder();
        return title.Length == 0 ? table : table.Title(Markup.Escape(title));
    }
}
