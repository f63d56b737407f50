using System.CommandLine;
using System.Globalization;
using Chat.LoadTests.Reports;

namespace Chat.LoadTests.Scenarios;

/// <summary>
/// The command <c>growth</c>: how a figure grows with a setting, over reports that differ in it. Prints a table and the slopes,
/// and draws both axes in powers of ten, where a straight line is a power law: slope 1 grows in proportion, 0 not at all.
/// </summary>
internal static class GrowthCommand
{
    public static Command Make()
    {
        var command = new Command("growth", "How figures grow with a setting, over many reports: a table, slopes and a plot.");
        var reports = new Argument<string[]>("reports") { Description = "Folders that --report wrote; of several with the same setting the median counts.", Arity = ArgumentArity.OneOrMore };
        var x = new Option<string>("--x") { Description = "The setting that they differ in, such as members.", Required = true };
        var y = new Option<string[]>("--y") { Description = "A figure, or a product of figures and settings such as server_us_per_delivery*members. May be repeated.", Required = true };
        var title = new Option<string>("--title") { Description = "Of the plot.", DefaultValueFactory = _ => "" };
        var svg = new Option<string?>("--svg") { Description = "Where to write the plot." };
        command.Arguments.Add(reports);
        foreach (Option option in (Option[])[x, y, title, svg])
        {
            command.Options.Add(option);
        }

        command.SetAction(parsed =>
        {
            RunReport[] read = [.. parsed.GetValue(reports)!.Select(ReportFiles.Read)];
            Growth[] lines = [.. parsed.GetValue(y)!.Select(name => Growth.Of(read, parsed.GetValue(x)!, name))];
            Print(parsed.GetValue(x)!, lines);
            if (parsed.GetValue(svg) is { } file)
            {
                var chart = new Chart(
                    parsed.GetValue(title)!, parsed.GetValue(x)!, "", [.. lines.Select(static line => new ChartLine($"{line.Name}, slope {Text(line.Slope)}", line.Points))])
                {
                    IsLogarithmic = true,
                };
                ReportFiles.WriteText(file, chart.ToFile());
            }

            return ExitCode.Ok;
        });
        return command;
    }

    private static string Text(double slope) => (Math.Round(slope, 2) + 0.0).ToString("0.00", CultureInfo.InvariantCulture); // And no -0.00.

    /// <summary>As Markdown, for documents.</summary>
    private static void Print(string x, Growth[] lines)
    {
        Console.WriteLine($"| {x} | {string.Join(" | ", lines.Select(static line => line.Name))} |");
        Console.WriteLine($"|---{string.Concat(lines.Select(static _ => "|---"))}|");
        for (int i = 0; i < lines[0].Points.Count; i++)
        {
            Console.WriteLine($"| {Figure.Text(lines[0].Points[i].X)} | {string.Join(" | ", lines.Select(line => Figure.Text(line.Points[i].Y)))} |");
        }

        Console.WriteLine($"| slope | {string.Join(" | ", lines.Select(static line => Text(line.Slope)))} |");
        Console.WriteLine($"| slope of the upper half | {string.Join(" | ", lines.Select(static line => Text(line.UpperSlope)))} |");
    }
}
