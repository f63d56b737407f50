using System.Globalization;
using System.Net;
using System.Text;

namespace Chat.LoadTests.Reports;

/// <summary>A line of a chart. Colours come from the page's style sheet, by the line's place.</summary>
internal sealed record ChartLine(string Name, IReadOnlyList<(double X, double Y)> Points);

/// <summary>
/// A line chart as inline SVG. Drawn narrow, 420 by 240, so that its letters stay readable where it is shown on a phone
/// without being scaled down; wider pages put several side by side.
/// </summary>
internal sealed record Chart(string Title, string XName, string YName, IReadOnlyList<ChartLine> Lines)
{
    private const int Width = 420;
    private const int Height = 240;
    private const int Left = 52;
    private const int Right = 22;
    private const int Top = 12;
    private const int Bottom = 40;
    private const int TicksWanted = 5;
    private const int LegendHeight = 16;

    private const string FileStyle =
        "text{font:12px system-ui,sans-serif;fill:#5b6776}.title{font-weight:600;font-size:14px;fill:#1c2430}.card{fill:#fff;stroke:#dde3ea}.grid{stroke:#dde3ea}"
        + "polyline{fill:none;stroke-width:2;stroke-linejoin:round}polyline.line0{stroke:#0b6bcb}polyline.line1{stroke:#d1495b}circle.line0{fill:#0b6bcb}circle.line1{fill:#d1495b}"
        + "@media(prefers-color-scheme:dark){text{fill:#98a4b3}.title{fill:#e4e9ef}.card{fill:#1d232b;stroke:#323b47}.grid{stroke:#323b47}"
        + "polyline.line0{stroke:#63aef5}polyline.line1{stroke:#f0808f}circle.line0{fill:#63aef5}circle.line1{fill:#f0808f}}";

    /// <summary>Powers of ten on both axes, for growth: a straight line is a power law.</summary>
    public bool IsLogarithmic { get; init; }

    /// <summary>Names at given places of the x axis, in place of round numbers.</summary>
    public IReadOnlyList<(double X, string Name)> XTicks { get; init; } = [];

    /// <summary>For a page whose style sheet knows the classes; empty when there is nothing to draw.</summary>
    public string ToSvg()
    {
        string drawing = Drawing();
        return drawing.Length == 0
            ? ""
            : $"<figure><figcaption>{WebUtility.HtmlEncode(Title)}{Legend()}</figcaption>"
                + $"<svg viewBox=\"0 0 {Width} {Height}\" role=\"img\" aria-label=\"{WebUtility.HtmlEncode(Title)}\">{drawing}</svg></figure>\n";
    }

    /// <summary>As a file of its own, for documents: with its title, its keys below that, and colours for light and dark.</summary>
    public string ToFile()
    {
        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Width} {Height + HeadHeight}\" width=\"{Width * 3 / 2}\" role=\"img\" aria-label=\"{WebUtility.HtmlEncode(Title)}\">\n");
        svg.Append(CultureInfo.InvariantCulture, $"<style>{FileStyle}</style>\n<rect class=\"card\" width=\"{Width}\" height=\"{Height + HeadHeight}\" rx=\"8\"/>\n");
        svg.Append(CultureInfo.InvariantCulture, $"<text class=\"title\" x=\"{Left - 36}\" y=\"20\">{WebUtility.HtmlEncode(Title)}</text>\n");
        for (int i = 0; i < Lines.Count; i++)
        {
            int y = 37 + i * LegendHeight;
            svg.Append(CultureInfo.InvariantCulture, $"<polyline class=\"line{i}\" points=\"{Left - 36},{y - 4} {Left - 18},{y - 4}\"/><text x=\"{Left - 12}\" y=\"{y}\">{WebUtility.HtmlEncode(Lines[i].Name)}</text>\n");
        }

        return svg.Append(CultureInfo.InvariantCulture, $"<g transform=\"translate(0 {HeadHeight})\">\n{Drawing()}</g>\n</svg>\n").ToString();
    }

    private int HeadHeight => 26 + Lines.Count * LegendHeight;

    /// <summary>Axes and lines; empty when there is no point.</summary>
    private string Drawing()
    {
        var points = Lines.SelectMany(static line => line.Points).Where(IsDrawable).ToArray();
        if (points.Length == 0)
        {
            return "";
        }

        var x = Axis.Around(points.Select(static point => point.X), IsLogarithmic, fromZero: false);
        var y = Axis.Around(points.Select(static point => point.Y), IsLogarithmic, fromZero: true);
        var svg = new StringBuilder();
        foreach (double tick in y.Ticks())
        {
            double at = YOf(y, tick);
            svg.Append(CultureInfo.InvariantCulture, $"<line class=\"grid\" x1=\"{Left}\" x2=\"{Width - Right}\" y1=\"{at:0.#}\" y2=\"{at:0.#}\"/><text x=\"{Left - 6}\" y=\"{at + 4:0.#}\" text-anchor=\"end\">{Short(tick)}</text>\n");
        }

        IEnumerable<(double X, string Name)> xTicks = XTicks.Count > 0 ? XTicks : x.Ticks().Select(static tick => (tick, Short(tick)));
        foreach ((double tick, string name) in xTicks.Where(tick => tick.X >= x.Low && tick.X <= x.High))
        {
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{XOf(x, tick):0.#}\" y=\"{Height - Bottom + 16}\" text-anchor=\"middle\">{name}</text>\n");
        }

        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Width - Right}\" y=\"{Height - 6}\" text-anchor=\"end\">{WebUtility.HtmlEncode(XName)}</text>\n");
        for (int i = 0; i < Lines.Count; i++)
        {
            AppendLine(svg, Lines[i], i, x, y);
        }

        return svg.ToString();
    }

    /// <summary>A number for an axis: 1500 is 1.5k.</summary>
    public static string Short(double value) => Math.Abs(value) switch
    {
        >= 1e9 => $"{(value / 1e9).ToString("0.##", CultureInfo.InvariantCulture)}G",
        >= 1e6 => $"{(value / 1e6).ToString("0.##", CultureInfo.InvariantCulture)}M",
        >= 1e3 => $"{(value / 1e3).ToString("0.##", CultureInfo.InvariantCulture)}k",
        _ => value.ToString("0.####", CultureInfo.InvariantCulture),
    };

    private bool IsDrawable((double X, double Y) point) =>
        double.IsFinite(point.Y) && (!IsLogarithmic || (point.X > 0 && point.Y > 0));

    private string Legend() => string.Concat(Lines.Select((line, i) => $" <span class=\"key line{i}\">{WebUtility.HtmlEncode(line.Name)}</span>"))
        + $" <span class=\"unit\">{WebUtility.HtmlEncode(YName)}</span>";

    private void AppendLine(StringBuilder svg, ChartLine line, int number, Axis x, Axis y)
    {
        svg.Append(CultureInfo.InvariantCulture, $"<polyline class=\"line{number}\" points=\"");
        foreach ((double X, double Y) point in line.Points.Where(IsDrawable))
        {
            svg.Append(CultureInfo.InvariantCulture, $"{XOf(x, point.X):0.#},{YOf(y, point.Y):0.#} ");
        }

        svg.Append("\"/>\n");
        foreach ((double X, double Y) point in line.Points.Where(point => IsLogarithmic && IsDrawable(point)))
        {
            svg.Append(CultureInfo.InvariantCulture, $"<circle class=\"line{number}\" cx=\"{XOf(x, point.X):0.#}\" cy=\"{YOf(y, point.Y):0.#}\" r=\"3\"/>\n");
        }
    }

    private static double XOf(Axis axis, double value) => Left + axis.PartOf(value) * (Width - Left - Right);

    private static double YOf(Axis axis, double value) => Height - Bottom - axis.PartOf(value) * (Height - Top - Bottom);

    private readonly record struct Axis(double Low, double High, bool IsLogarithmic)
    {
        public static Axis Around(IEnumerable<double> values, bool isLogarithmic, bool fromZero)
        {
            double[] all = [.. values];
            double low = all.Min();
            double high = all.Max();
            if (isLogarithmic)
            {
                low = Math.Pow(10, Math.Floor(Math.Log10(low)));
                high = Math.Pow(10, Math.Ceiling(Math.Log10(high)));
                return new Axis(low, high > low ? high : low * 10, true);
            }

            low = fromZero ? Math.Min(0, low) : low;
            double step = StepOf((high > low ? high - low : 1) / TicksWanted);
            return new Axis(low, fromZero ? Math.Max(step, Math.Ceiling(high / step) * step) : Math.Max(high, low + step), false);
        }

        public double PartOf(double value) => IsLogarithmic
            ? Math.Log(value / Low) / Math.Log(High / Low)
            : (value - Low) / (High - Low);

        public IEnumerable<double> Ticks()
        {
            double step = IsLogarithmic ? 10 : StepOf((High - Low) / TicksWanted);
            double tick = IsLogarithmic ? Low : Math.Ceiling(Low / step) * step;
            while (tick <= High * 1.0000001)
            {
                yield return tick;
                tick = IsLogarithmic ? tick * step : tick + step;
            }
        }

        /// <summary>The next of 1, 2 and 5 times a power of ten.</summary>
        private static double StepOf(double least)
        {
            double power = Math.Pow(10, Math.Floor(Math.Log10(least)));
            return (least / power) switch { <= 1 => 1, <= 2 => 2, <= 5 => 5, _ => 10 } * power;
        }
    }
}
