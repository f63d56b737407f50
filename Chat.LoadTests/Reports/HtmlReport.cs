using System.Globalization;
using System.Net;
using System.Text;

namespace Chat.LoadTests.Reports;

/// <summary>A report as one page that needs nothing else: style and charts are inside, and there is no script.</summary>
internal static class HtmlReport
{
    private const string Style = """
        :root{--ink:#1c2430;--soft:#5b6776;--edge:#dde3ea;--back:#f6f8fa;--card:#fff;--line0:#0b6bcb;--line1:#d1495b;--line2:#2e933c;--bad:#b3261e}
        @media(prefers-color-scheme:dark){:root{--ink:#e4e9ef;--soft:#98a4b3;--edge:#323b47;--back:#14181d;--card:#1d232b;--line0:#63aef5;--line1:#f0808f;--line2:#74c980;--bad:#ff8a80}}
        *{box-sizing:border-box}
        body{margin:0 auto;padding:16px;max-width:1320px;background:var(--back);color:var(--ink);font:15px/1.45 system-ui,sans-serif}
        h1{margin:0 0 4px;font-size:24px} h2{margin:28px 0 10px;font-size:17px}
        .soft{color:var(--soft);margin:2px 0} .bad{color:var(--bad);font-weight:600}
        code{display:block;overflow-x:auto;margin:10px 0;padding:8px 10px;background:var(--card);border:1px solid var(--edge);border-radius:6px;font:13px/1.5 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere}
        .tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:10px;margin:16px 0}
        .tile{padding:10px 12px;background:var(--card);border:1px solid var(--edge);border-radius:8px} .tile b{display:block;font-size:20px;font-variant-numeric:tabular-nums} .tile small{font-size:13px;font-weight:400} .tile span{color:var(--soft);font-size:13px}
        .charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,360px),1fr));gap:12px}
        figure{margin:0;padding:10px 12px;background:var(--card);border:1px solid var(--edge);border-radius:8px} figcaption{font-weight:600;font-size:14px;margin-bottom:4px}
        svg{display:block;width:100%;height:auto} svg text{fill:var(--soft);font:12px system-ui,sans-serif} .grid{stroke:var(--edge)} polyline{fill:none;stroke-width:2;stroke-linejoin:round}
        .key{font-weight:400;font-size:13px;margin-left:8px;white-space:nowrap;color:var(--soft)} .key::before{content:"";display:inline-block;width:14px;height:3px;margin-right:5px;vertical-align:middle;background:currentColor}
        .key.line0::before{background:var(--line0)} .key.line1::before{background:var(--line1)} .key.line2::before{background:var(--line2)}
        polyline.line0{stroke:var(--line0)} polyline.line1{stroke:var(--line1)} polyline.line2{stroke:var(--line2)} .unit{font-weight:400;font-size:13px;color:var(--soft);float:right}
        .scroll{overflow-x:auto;background:var(--card);border:1px solid var(--edge);border-radius:8px} table{border-collapse:collapse;width:100%} th,td{padding:6px 10px;text-align:left;border-bottom:1px solid var(--edge)} tr:last-child td{border-bottom:0}
        th{font-weight:600;font-size:13px;color:var(--soft);white-space:nowrap} .number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
        """;

    /// <summary>The figures that a reader looks for first, as far as the scenario has them.</summary>
    private static readonly string[] Headlines =
    [
        Reports.Figures.DeliveriesPerS, Reports.Figures.CallsPerS, Reports.Figures.ConnectsPerS, "p50", "p99", Reports.Figures.Lost,
        Reports.Figures.ServerCpu, Reports.Figures.ServerUsPerDelivery, Reports.Figures.MemoryPerConnection, Reports.Figures.ServerMemoryMib,
    ];

    public static string Write(RunReport report)
    {
        var page = new StringBuilder();
        page.Append(CultureInfo.InvariantCulture, $"<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{Text(report.Scenario)} {report.StartedAt:yyyy-MM-dd HH:mm}</title><style>{Style}</style></head><body>");
        page.Append(CultureInfo.InvariantCulture, $"<h1>{Text(report.Scenario)}</h1><p class=\"soft\">{report.StartedAt:yyyy-MM-dd HH:mm} UTC &middot; {report.Seconds:0.#} s measured &middot; commit {Text(report.Commit)}</p>");
        page.Append(CultureInfo.InvariantCulture, $"<p class=\"soft\">{Text(report.Machine.Cpu)}, {report.Machine.Cores} cores, {report.Machine.MemoryGib:0} GiB &middot; {Text(report.Machine.System)} &middot; {Text(report.Machine.Runtime)}</p>");
        page.Append(CultureInfo.InvariantCulture, $"<code>{Text(report.Command)}</code>");
        if (report.BrokenOff is { } reason)
        {
            page.Append(CultureInfo.InvariantCulture, $"<p class=\"bad\">Ended early: {Text(reason)}</p>");
        }

        AppendHeadlines(page, report);
        page.Append("<div class=\"charts\">").AppendJoin("", ChartsOf(report).Select(static chart => chart.ToSvg())).Append("</div>");
        AppendSteps(page, report);
        AppendFigures(page, report);
        AppendSettings(page, report);
        return page.Append("</body></html>\n").ToString();
    }

    private static IEnumerable<Chart> ChartsOf(RunReport report)
    {
        IReadOnlyList<TimelineRow> rows = report.Timeline;
        yield return new Chart("Latency by percentile", "percentile", "ms", [.. report.Steps.Where(static (step, place) => place == 0 || step.Name is not ("connect" or "resume")).Take(3).Select(static step => new ChartLine(step.Name, [.. step.Curve.Select(static point => (Nines(point.Percentile), point.Ms))]))])
        {
            XTicks = [(Nines(50), "50 %"), (Nines(90), "90 %"), (Nines(99), "99 %"), (Nines(99.9), "99.9 %"), (Nines(99.99), "99.99 %"), (Nines(99.999), "99.999 %")],
        };
        yield return Over("Latency over time", "ms", ("p50", static row => TimedOrGap(row.P50Ms)), ("p99", static row => TimedOrGap(row.P99Ms)));
        yield return Over("Received", "/s", ("received", static row => row.DeliveriesPerS));
        yield return Over("Sent", "/s", ("sent", static row => row.MessagesPerS));
        yield return Over("CPU", "% of a core", ("server", static row => row.ServerCpu ?? double.NaN), ("this program", static row => row.ClientCpu));
        yield return Over("Memory of the server", "MiB", ("resident", static row => row.ServerMemoryMib ?? double.NaN));
        yield return Over("Connections", "", ("connected", static row => row.Members), ("errors so far", static row => row.Errors));

        Chart Over(string title, string unit, params (string Name, Func<TimelineRow, double> Value)[] lines) =>
            new(title, "s", unit, [.. lines.Select(line => new ChartLine(line.Name, [.. rows.Select(row => (row.AtS, line.Value(row)))]))]);
    }

    private static double TimedOrGap(double ms) => ms > 0 ? ms : double.NaN;

    /// <summary>Percentiles as their number of nines, so that 99.9 % is as far from 99 % as that from 90 %.</summary>
    private static double Nines(double percentile) => percentile >= 100 ? 5.3 : -Math.Log10(1 - percentile / 100);

    private static void AppendHeadlines(StringBuilder page, RunReport report)
    {
        page.Append("<div class=\"tiles\">");
        foreach (string name in Headlines.Where(report.Figures.ContainsKey))
        {
            Figure figure = Reports.Figures.Find(name)!;
            page.Append(CultureInfo.InvariantCulture, $"<div class=\"tile\"><b>{Text(Figure.Text(report.Figures[name]))} <small>{Text(figure.Unit)}</small></b><span>{Text(name)}</span></div>");
        }

        page.Append("</div>");
    }

    private static void AppendSteps(StringBuilder page, RunReport report)
    {
        page.Append("<h2>Steps</h2><div class=\"scroll\"><table><tr><th>step</th>");
        foreach (string name in (string[])["ok", "fail", "/s", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms"])
        {
            page.Append(CultureInfo.InvariantCulture, $"<th class=\"number\">{name}</th>");
        }

        page.Append("</tr>");
        foreach (StepResult step in report.Steps)
        {
            LatencyFigures latency = step.Latency;
            page.Append(CultureInfo.InvariantCulture, $"<tr><td>{Text(step.Name)}</td>");
            foreach (double value in (double[])[step.Ok, step.Fail, step.PerS, latency.P50, latency.P90, latency.P99, latency.P999, latency.Max])
            {
                page.Append(CultureInfo.InvariantCulture, $"<td class=\"number\">{Figure.Text(value)}</td>");
            }

            page.Append("</tr>");
        }

        page.Append("</table></div>");
    }

    private static void AppendFigures(StringBuilder page, RunReport report)
    {
        page.Append("<h2>Figures</h2><div class=\"scroll\"><table><tr><th>figure</th><th class=\"number\">value</th><th>what it is</th></tr>");
        foreach (Figure figure in Reports.Figures.All.Where(figure => report.Figures.ContainsKey(figure.Name)))
        {
            page.Append(CultureInfo.InvariantCulture, $"<tr><td>{figure.Name}</td><td class=\"number\">{Text(figure.TextWithUnit(report.Figures[figure.Name]))}</td><td>{Text(figure.Meaning)}</td></tr>");
        }

        page.Append("</table></div>");
        foreach (string note in report.Notes)
        {
            page.Append(CultureInfo.InvariantCulture, $"<p>{Text(note)}</p>");
        }
    }

    private static void AppendSettings(StringBuilder page, RunReport report)
    {
        page.Append("<h2>Settings</h2><div class=\"scroll\"><table>");
        foreach ((string name, string value) in report.Settings)
        {
            page.Append(CultureInfo.InvariantCulture, $"<tr><td>{Text(name)}</td><td>{Text(value)}</td></tr>");
        }

        page.Append("</table></div>");
    }

    private static string Text(string text) => WebUtility.HtmlEncode(text);
}
