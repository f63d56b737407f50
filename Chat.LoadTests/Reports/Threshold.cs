using System.Globalization;
using System.Text.RegularExpressions;

namespace Chat.LoadTests.Reports;

/// <summary>
/// What <c>--assert</c> asks of a report: <c>p99&lt;20ms</c>, <c>lost=0</c>, <c>ack.p99&lt;=50ms</c>,
/// <c>deliveries_per_s&gt;=100k</c>. A name is a figure, or a step and one of its latencies. Times are in milliseconds
/// unless they say otherwise.
/// </summary>
internal sealed partial record Threshold(string Text, string Name, string Comparison, double Limit)
{
    private static readonly Dictionary<string, double> Factors = new()
    {
        [""] = 1,
        ["us"] = 0.001,
        ["ms"] = 1,
        ["s"] = 1000,
        ["%"] = 1,
        ["k"] = 1000,
        ["m"] = 1_000_000,
    };

    /// <summary>Reads an expression.</summary>
    /// <param name="text">As given on the command line.</param>
    /// <param name="threshold">Valid when the answer is true.</param>
    /// <param name="error">What is wrong, for people, when the answer is false.</param>
    public static bool TryParse(string text, out Threshold threshold, out string error)
    {
        threshold = new Threshold(text, "", "", 0);
        error = "";
        Match match = Shape().Match(text);
        if (!match.Success)
        {
            error = $"--assert \"{text}\": expected NAME, then one of < <= = >= >, then a number, such as \"p99<20ms\" or \"lost=0\".";
            return false;
        }

        string name = match.Groups["name"].Value;
        if (!IsKnown(name))
        {
            error = $"--assert \"{text}\": there is no figure {name}. Known are {string.Join(", ", Figures.All.Select(static figure => figure.Name))}, "
                + "and STEP.p50, .p75, .p90, .p99, .p999, .max, .mean, .min of a step such as ack or connect.";
            return false;
        }

        double limit = double.Parse(match.Groups["number"].Value, CultureInfo.InvariantCulture) * Factors[match.Groups["unit"].Value.ToLowerInvariant()];
        threshold = new Threshold(text, name, match.Groups["comparison"].Value, limit);
        return true;
    }

    /// <summary>The value that the expression is about; null when the report has none.</summary>
    public double? ValueIn(RunReport report)
    {
        if (report.Figures.TryGetValue(Name, out double value))
        {
            return value;
        }

        string[] parts = Name.Split('.');
        return parts.Length == 2 ? report.Steps.FirstOrDefault(step => step.Name == parts[0])?.Latency.Named(parts[1]) : null;
    }

    public bool HoldsFor(double value) => Comparison switch
    {
        "<" => value < Limit,
        "<=" => value <= Limit,
        ">" => value > Limit,
        ">=" => value >= Limit,
        _ => value == Limit,
    };

    private static bool IsKnown(string name)
    {
        string[] parts = name.Split('.');
        return Figures.Find(name) is not null || (parts.Length == 2 && parts[0].Length > 0 && LatencyFigures.None.Named(parts[1]) is not null);
    }

    [GeneratedRegex(@"^\s*(?<name>[a-z][a-z0-9_.-]*)\s*(?<comparison><=|>=|==|=|<|>)\s*(?<number>\d+(\.\d+)?)\s*(?<unit>us|ms|s|%|k|m|)\s*$", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex Shape();
}
