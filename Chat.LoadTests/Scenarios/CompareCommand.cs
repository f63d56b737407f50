using System.CommandLine;
using System.Globalization;
using Chat.LoadTests.Reports;
using Spectre.Console;

namespace Chat.LoadTests.Scenarios;

/// <summary>The command <c>compare</c>: two reports side by side, with the ratio of each figure.</summary>
internal static class CompareCommand
{
    /// <summary>A smaller change than this is noise on a shared machine (docs/performance.md).</summary>
    private const double NoiseFactor = 1.1;

    public static Command Make()
    {
        var command = new Command("compare", "Two reports side by side, with ratios.");
        var before = new Argument<string>("before") { Description = "A folder that --report wrote, or the report.json in it." };
        var after = new Argument<string>("after") { Description = "Another one." };
        command.Arguments.Add(before);
        command.Arguments.Add(after);
        command.SetAction(parsed =>
        {
            Print(ReportFiles.Read(parsed.GetValue(before)!), ReportFiles.Read(parsed.GetValue(after)!));
            return ExitCode.Ok;
        });
        return command;
    }

    /// <summary>A figure in both reports.</summary>
    /// <param name="Name">Of the figure, or of the step and its latency.</param>
    /// <param name="Before">In the first report.</param>
    /// <param name="After">In the second.</param>
    /// <param name="Better">Which way it should go.</param>
    internal readonly record struct Pair(string Name, double Before, double After, Better Better)
    {
        /// <summary>After divided by before; null when there is nothing to divide by.</summary>
        public double? Ratio => Before == 0 ? null : After / Before;

        /// <summary>"better", "worse", or empty when the change is small or the figure has no better side.</summary>
        public string Verdict
        {
            get
            {
                if (Better == Better.Neither || Ratio is not double ratio || (ratio < NoiseFactor && ratio > 1 / NoiseFactor))
                {
                    return Before == 0 && After > 0 && Better == Better.Lower ? "worse" : "";
                }

                return ratio > 1 == (Better == Better.Higher) ? "better" : "worse";
            }
        }
    }

    /// <summary>All that both reports have.</summary>
    public static IReadOnlyList<Pair> Pairs(RunReport before, RunReport after)
    {
        var pairs = new List<Pair>();
        foreach (Figure figure in Figures.All)
        {
            if (before.Figures.TryGetValue(figure.Name, out double first) && after.Figures.TryGetValue(figure.Name, out double second))
            {
                pairs.Add(new Pair(figure.Name, first, second, figure.Better));
            }
        }

        foreach (StepResult step in before.Steps.Skip(1))
        {
            if (after.Steps.FirstOrDefault(other => other.Name == step.Name) is { } same)
            {
                pairs.Add(new Pair($"{step.Name}.p50", step.Latency.P50, same.Latency.P50, Better.Lower));
                pairs.Add(new Pair($"{step.Name}.p99", step.Latency.P99, same.Latency.P99, Better.Lower));
            }
        }

        return pairs;
    }

    private static void Print(RunReport before, RunReport after)
    {
        if (before.Scenario != after.Scenario)
        {
            throw new CannotRunException($"These are reports of different scenarios: {before.Scenario} and {after.Scenario}.");
        }

        Console.WriteLine($"before: {before.StartedAt:yyyy-MM-dd HH:mm} UTC, commit {before.Commit}: {before.Command}");
        Console.WriteLine($"after:  {after.StartedAt:yyyy-MM-dd HH:mm} UTC, commit {after.Commit}: {after.Command}");
        foreach ((string name, string value) in after.Settings.Where(setting => before.Settings.GetValueOrDefault(setting.Key) != setting.Value))
        {
            Console.WriteLine($"{name}: {before.Settings.GetValueOrDefault(name, "none")} before, {value} after");
        }

        Table table = new Table().RoundedBorder().AddColumn("figure");
        foreach (string column in (string[])["before", "after", "after / before"])
        {
            table.AddColumn(new TableColumn(column).RightAligned());
        }

        table.AddColumn("");
        foreach (Pair pair in Pairs(before, after))
        {
            string ratio = pair.Ratio is double value ? value.ToString("0.00", CultureInfo.InvariantCulture) : "";
            string verdict = pair.Verdict switch { "better" => "[green]better[/]", "worse" => "[red]worse[/]", _ => "" };
            table.AddRow(new Text(pair.Name), new Text(Figure.Text(pair.Before)), new Text(Figure.Text(pair.After)), new Text(ratio), new Markup(verdict));
        }

        AnsiConsole.Write(table);
    }
}
