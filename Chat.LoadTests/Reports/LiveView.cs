using System.Globalization;
using Spectre.Console;

namespace Chat.LoadTests.Reports;

/// <summary>What a run shows while it lasts: a table in place on a terminal, a line a second when the output goes elsewhere.</summary>
internal sealed class LiveView(string scenario)
{
    private const int BarCells = 30;

    private readonly bool _isInteractive = AnsiConsole.Profile.Capabilities.Interactive && !Console.IsOutputRedirected;
    private LiveDisplayContext? _display;
    private string _phase = "";
    private TimelineRow? _last;
    private double _phaseEndS;
    private double _phaseStartS;
    private double _nowS;

    /// <summary>Runs the scenario with the view around it.</summary>
    public Task RunAsync(Func<Task> scenarioAsync)
    {
        if (!_isInteractive)
        {
            return scenarioAsync();
        }

        return AnsiConsole.Live(new Text($"{scenario}: starting")).StartAsync(display =>
        {
            _display = display;
            return scenarioAsync();
        });
    }

    /// <summary>Says what happens now.</summary>
    /// <param name="phase">For people.</param>
    /// <param name="seconds">How long it will take; 0 when it is not known.</param>
    public void Phase(string phase, double seconds)
    {
        _phase = phase;
        _phaseStartS = _nowS;
        _phaseEndS = _nowS + seconds;
        if (_display is null)
        {
            Console.WriteLine(seconds > 0 ? $"{scenario}: {phase} ({seconds:0.#} s)" : $"{scenario}: {phase}");
        }
        else
        {
            _display.UpdateTarget(_last is { } row ? Table(row) : new Text($"{scenario}: {phase}"));
            _display.Refresh();
        }
    }

    public void Show(TimelineRow row)
    {
        _nowS = row.AtS;
        _last = row;
        if (_display is null)
        {
            Console.WriteLine(Line(row));
        }
        else
        {
            _display.UpdateTarget(Table(row));
            _display.Refresh();
        }
    }

    private static string Line(TimelineRow row)
    {
        string server = row.ServerCpu is double cpu ? $"  server {cpu:0} % {row.ServerMemoryMib:0} MiB" : "";
        string latency = row.P99Ms > 0 ? string.Create(CultureInfo.InvariantCulture, $"p50 {row.P50Ms:0.00} ms  p99 {row.P99Ms:0.00} ms  ") : "";
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{row.AtS,6:0} s  {row.Members:N0} connected  {row.MessagesPerS,9:N0} sent/s  {row.DeliveriesPerS,11:N0} received/s  "
            + $"{latency}errors {row.Errors}{server}  client {row.ClientCpu:0} %");
    }

    private Table Table(TimelineRow row)
    {
        double part = _phaseEndS > _phaseStartS ? Math.Clamp((row.AtS - _phaseStartS) / (_phaseEndS - _phaseStartS), 0, 1) : 0;
        int filled = (int)(part * BarCells);
        Table table = new Table().RoundedBorder().HideHeaders().AddColumns("", "")
            .Title($"[bold]{Markup.Escape(scenario)}[/]  {Markup.Escape(_phase)}");
        void Add(string name, string value) => table.AddRow(new Text(name), new Text(value).RightJustified());

        table.AddRow(new Text($"{row.AtS:0} s"), new Markup($"[green]{new string('━', filled)}[/][grey]{new string('─', BarCells - filled)}[/] {part:0 %}"));
        Add("connected", Figure.Text(row.Members));
        Add("sent", $"{Figure.Text(row.MessagesPerS)} /s");
        Add("received", $"{Figure.Text(row.DeliveriesPerS)} /s");
        Add("latency p50 / p99", $"{Figure.Text(row.P50Ms)} / {Figure.Text(row.P99Ms)} ms");
        Add("errors", Figure.Text(row.Errors));
        if (row.ServerCpu is double cpu)
        {
            Add("server", $"{cpu:0} % of a core, {row.ServerMemoryMib:0} MiB");
        }

        Add("this program", $"{row.ClientCpu:0} % of a core");
        return table;
    }
}
