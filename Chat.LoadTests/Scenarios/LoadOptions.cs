using System.CommandLine;
using System.Globalization;
using Chat.LoadTests.Hosting;
using Chat.LoadTests.Reports;

namespace Chat.LoadTests.Scenarios;

/// <summary>The options that all load scenarios share, and the way to add those of one.</summary>
internal sealed class LoadOptions
{
    private readonly Command _command;
    private readonly TargetOptions _target;
    private readonly List<Option> _shown = [];
    private readonly Option<int> _serverPid;
    private readonly Option<int> _processes;
    private readonly Option<int> _threads;
    private readonly Option<int> _users;
    private readonly Option<string?> _report;
    private readonly Option<string[]> _asserts;

    public LoadOptions(Command command)
    {
        _command = command;
        _target = new TargetOptions(command);
        _serverPid = Integer("--server-pid", 0, "Process of a server named by --url, when it runs on this machine: its CPU time and memory are then measured.", least: 0);
        _processes = Integer("--processes", 1, "Client processes that share the connections: for more than one may have files, and for more load than its threads make.");
        _threads = Integer("--threads", 1, "Client threads in each process. By default half of the cores, shared among the processes.");
        _threads.DefaultValueFactory = result => Math.Max(1, Environment.ProcessorCount / 2 / Math.Max(1, result.GetValue(_processes)));
        _users = Integer("--users", 4, "Accounts, which the connections share: each costs the server a password hash.");
        _report = new Option<string?>("--report") { Description = "A folder for the report: report.json, .csv, .md and .html." };
        _asserts = new Option<string[]>("--assert")
        {
            Description = "What must hold for exit code 0, such as --assert \"p99<20ms\" --assert \"lost=0\". May be repeated.",
        };
        _asserts.Validators.Add(static result =>
        {
            foreach (string text in result.Tokens.Select(static token => token.Value))
            {
                if (!Threshold.TryParse(text, out _, out string error))
                {
                    result.AddError(error);
                }
            }
        });
        command.Options.Add(_report);
        command.Options.Add(_asserts);
    }

    /// <summary>Adds a whole number with a least value.</summary>
    public Option<int> Integer(string name, int byDefault, string description, int least = 1)
    {
        var option = new Option<int>(name) { Description = description, DefaultValueFactory = _ => byDefault };
        option.Validators.Add(result => RequireAtLeast(result.Tokens.Count == 1 ? result.Tokens[0].Value : null, name, least, result.AddError));
        return Add(option);
    }

    /// <summary>Adds a number that may have a fraction.</summary>
    public Option<double> Number(string name, double byDefault, string description, double least = 0)
    {
        var option = new Option<double>(name) { Description = description, DefaultValueFactory = _ => byDefault };
        option.Validators.Add(result => RequireAtLeast(result.Tokens.Count == 1 ? result.Tokens[0].Value : null, name, least, result.AddError));
        return Add(option);
    }

    public Option<T> Add<T>(Option<T> option)
    {
        _command.Options.Add(option);
        _shown.Add(option);
        return option;
    }

    public LoadSettings Read(ParseResult parsed)
    {
        Uri? url = _target.Url(parsed);
        if (url is { Scheme: "https" })
        {
            throw new CannotRunException("The load scenarios speak plain HTTP: put the URL behind the TLS proxy, http://..., after --url.");
        }

        var shown = _shown.Where(option => option != _serverPid).ToDictionary(
            static option => option.Name.TrimStart('-'),
            option => Convert.ToString(parsed.GetResult(option)?.GetValueOrDefault<object?>(), CultureInfo.InvariantCulture) ?? "");
        ServerLaunch launch = _target.Launch(parsed);
        shown["server"] = url?.ToString() ?? (launch.DatabaseUrl.Length == 0 ? "its own, on SQLite" : "its own, on PostgreSQL");
        return new LoadSettings(
            url, launch, parsed.GetValue(_serverPid), parsed.GetValue(_processes), parsed.GetValue(_threads), parsed.GetValue(_users), parsed.GetValue(_report), Thresholds(parsed), shown);
    }

    private List<Threshold> Thresholds(ParseResult parsed)
    {
        List<Threshold> thresholds = [];
        foreach (string text in parsed.GetValue(_asserts) ?? [])
        {
            if (Threshold.TryParse(text, out Threshold threshold, out _)) // The validator has refused all others.
            {
                thresholds.Add(threshold);
            }
        }

        return thresholds;
    }

    private static void RequireAtLeast(string? text, string name, double least, Action<string> addError)
    {
        if (text is not null && double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) && !(value >= least))
        {
            addError($"{name}: {text} is too small; it takes {least.ToString(CultureInfo.InvariantCulture)} or more.");
        }
    }
}

/// <summary>What the shared options say.</summary>
/// <param name="Url">Null for a server of its own.</param>
/// <param name="Launch">How to start that.</param>
/// <param name="ServerPid">0 when not given.</param>
/// <param name="Processes">Client processes; 1: this one.</param>
/// <param name="Threads">Loops of clients in each.</param>
/// <param name="Users">Accounts.</param>
/// <param name="ReportFolder">Null for none.</param>
/// <param name="Thresholds">What must hold.</param>
/// <param name="Shown">All settings by name, for the report.</param>
internal sealed record LoadSettings(
    Uri? Url, ServerLaunch Launch, int ServerPid, int Processes, int Threads, int Users, string? ReportFolder,
    IReadOnlyList<Threshold> Thresholds, IReadOnlyDictionary<string, string> Shown);
