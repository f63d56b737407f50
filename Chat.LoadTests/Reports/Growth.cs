using System.Globalization;

namespace Chat.LoadTests.Reports;

/// <summary>How one figure grew over reports that differ in a setting.</summary>
/// <param name="Name">Of the figure, or a product.</param>
/// <param name="Points">By the setting, each the median of its reports.</param>
internal sealed record Growth(string Name, IReadOnlyList<(double X, double Y)> Points)
{
    /// <summary>The exponent of the power law that fits best: least squares over the logarithms.</summary>
    public double Slope => SlopeOf(Points);

    /// <summary>The same of the larger settings alone: what is fixed hides growth where there is little of the rest.</summary>
    public double UpperSlope => SlopeOf([.. Points.Skip(Points.Count / 2)]);

    /// <param name="reports">At least one.</param>
    /// <param name="setting">That is a number in each.</param>
    /// <param name="name">A figure, or several and settings with <c>*</c> between.</param>
    /// <exception cref="CannotRunException">A report has no such setting or figure.</exception>
    public static Growth Of(IReadOnlyCollection<RunReport> reports, string setting, string name) => new(
        name,
        [.. reports.GroupBy(report => ValueOf(report, setting)).OrderBy(static group => group.Key).Select(group => (group.Key, Median([.. group.Select(report => Product(report, name))])))]);

    private static double Product(RunReport report, string name) =>
        name.Split('*').Aggregate(1.0, (product, factor) => product * ValueOf(report, factor));

    private static double ValueOf(RunReport report, string name)
    {
        if (report.Figures.TryGetValue(name, out double figure))
        {
            return figure;
        }

        return double.TryParse(report.Settings.GetValueOrDefault(name), NumberStyles.Float, CultureInfo.InvariantCulture, out double setting)
            ? setting
            : throw new CannotRunException($"The report of \"{report.Command}\" has no figure {name}, and no such setting that is a number.");
    }

    private static double Median(double[] values)
    {
        Array.Sort(values);
        return (values[(values.Length - 1) / 2] + values[values.Length / 2]) / 2;
    }

    private static double SlopeOf(IReadOnlyList<(double X, double Y)> points)
    {
        (double X, double Y)[] logs = [.. points.Where(static point => point.X > 0 && point.Y > 0).Select(static point => (Math.Log(point.X), Math.Log(point.Y)))];
        if (logs.Length < 2)
        {
            return double.NaN;
        }

        double meanX = logs.Average(static point => point.X);
        double meanY = logs.Average(static point => point.Y);
        return logs.Sum(point => (point.X - meanX) * (point.Y - meanY)) / logs.Sum(point => (point.X - meanX) * (point.X - meanX));
    }
}
