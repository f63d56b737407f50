using System.CommandLine;
using Chat.LoadTests.Hosting;
using Chat.LoadTests.Reports;

namespace Chat.LoadTests.Verify;

/// <summary>The scenario <c>verify</c>: is anything lost, doubled or reordered when everything fails?</summary>
internal static class VerifyCommand
{
    // A minute on a laptop: enough of each fault that a server which breaks a promise is likely to be caught.
    private const int DefaultDurationS = 45;
    private const int DefaultKills = 8;
    private const int DefaultTerminations = 3;
    private const int DefaultDatabaseStops = 4;
    private const int DefaultDatabaseFreezes = 2;
    private const long DefaultCuts = 4000;

    public static Command Make()
    {
        var command = new Command(
            "verify",
            "Publishes while it injects faults, then compares what every client was told with the history and the database: "
            + "lost, doubled, reordered, holes, phantoms. Exit code 1 if there is any.");
        var target = new TargetOptions(command);
        var nodes = new Option<string[]>("--node") { Description = "Another node for the rooms of --url: each connection is to any of them. May be repeated." };
        nodes.Validators.Add(TargetOptions.RequireHttp);
        Option<int> clients = Add(command, "--clients", "Clients; every other one subscribes to several rooms.", 32, 1, 10_000);
        Option<int> rooms = Add(command, "--rooms", "Rooms, new ones.", 4, 1, 1000);
        Option<int> rate = Add(command, "--rate", "Messages a second, of all clients together.", 400, 1, 1_000_000);
        Option<int> duration = Add(command, "--duration", "Seconds over which the faults are spread. It takes longer when they do.", DefaultDurationS, 1, 1_000_000);
        Option<int?> kills = AddFault(command, "--kills", $"Times to kill the server (SIGKILL) and start it again; only one of our own. Default: {DefaultKills}.");
        Option<int?> terminations = AddFault(command, "--terminations", $"Times to stop the server (SIGTERM) and start it again; only one of our own. Default: {DefaultTerminations}.");
        Option<int?> stops = AddFault(command, "--database-stops", $"Times to crash PostgreSQL (stop -m immediate) and start it again. Default: {DefaultDatabaseStops}, with --postgres or --postgres-data.");
        Option<int?> freezes = AddFault(command, "--database-freezes", $"Times to freeze PostgreSQL (SIGSTOP) for up to 3 s, each fifth time for 30 s. Default: {DefaultDatabaseFreezes}, with --postgres or --postgres-data.");
        var cuts = new Option<long>("--cuts") { Description = "Sockets that the clients cut at random bytes; each client makes one or two cuts a second at most.", DefaultValueFactory = _ => DefaultCuts };
        cuts.Validators.Add(result => RequireFrom0(result, "--cuts"));
        var postgres = new Option<bool>("--postgres") { Description = "Make a private PostgreSQL cluster for the run, and let the server of our own store there." };
        var postgresData = new Option<string?>("--postgres-data") { Description = "Data folder of a running PostgreSQL that may be crashed; one that 'pg_ctl -D DIR start' starts. With --url or --database-url." };
        var postgresBin = new Option<string?>("--postgres-bin") { Description = "Folder of pg_ctl and initdb. Without it: /usr/lib/postgresql/*/bin, then PATH." };
        var checkDatabase = new Option<string?>("--check-database") { Description = "With --url: that server's PostgreSQL, to compare with at the end: postgres://user:password@host/database." };
        var seed = new Option<int?>("--seed") { Description = "Makes the random choices those of an earlier run. What they meet still depends on timing." };
        var report = new Option<string?>("--report") { Description = "A folder for verify.json." };
        foreach (Option option in (Option[])[nodes, cuts, postgres, postgresData, postgresBin, checkDatabase, seed, report])
        {
            command.Options.Add(option);
        }

        command.Validators.Add(result =>
        {
            bool hasUrl = result.GetResult("--url") is not null;
            bool hasDatabase = result.GetValue(postgres) || result.GetValue(postgresData) is not null;
            AddErrorIf(hasUrl && (result.GetValue(kills) > 0 || result.GetValue(terminations) > 0), "--kills and --terminations are for a server of our own; without --url there is one.");
            AddErrorIf(!hasDatabase && (result.GetValue(stops) > 0 || result.GetValue(freezes) > 0), "--database-stops and --database-freezes need --postgres or --postgres-data.");
            AddErrorIf(result.GetValue(postgres) && (hasUrl || result.GetResult("--database-url") is not null || result.GetValue(postgresData) is not null),
                "--postgres makes a database of our own: it goes with none of --url, --database-url and --postgres-data.");
            AddErrorIf(result.GetValue(postgresData) is not null && !hasUrl && result.GetResult("--database-url") is null, "--postgres-data needs the --url or the --database-url that belongs to it.");
            AddErrorIf(result.GetValue(checkDatabase) is not null && !hasUrl, "--check-database goes with --url.");
            AddErrorIf(result.GetResult(nodes) is not null && !hasUrl, "--node goes with --url.");

            void AddErrorIf(bool isWrong, string message)
            {
                if (isWrong)
                {
                    result.AddError(message);
                }
            }
        });

        command.SetAction((parsed, cancellation) =>
        {
            Uri? url = target.Url(parsed);
            bool hasDatabase = parsed.GetValue(postgres) || parsed.GetValue(postgresData) is not null;
            var settings = new VerifySettings
            {
                Url = url,
                OtherNodes = [.. (parsed.GetValue(nodes) ?? []).Select(static node => new Uri(node))],
                Launch = target.Launch(parsed),
                IsPostgresOurs = parsed.GetValue(postgres),
                PostgresData = parsed.GetValue(postgresData),
                PostgresBin = parsed.GetValue(postgresBin),
                CheckDatabase = parsed.GetValue(checkDatabase),
                Clients = parsed.GetValue(clients),
                Rooms = parsed.GetValue(rooms),
                RatePerS = parsed.GetValue(rate),
                Duration = TimeSpan.FromSeconds(parsed.GetValue(duration)),
                Faults = new FaultCounts(
                    Kills: parsed.GetValue(kills) ?? (url is null ? DefaultKills : 0),
                    Terminations: parsed.GetValue(terminations) ?? (url is null ? DefaultTerminations : 0),
                    DatabaseStops: parsed.GetValue(stops) ?? (hasDatabase ? DefaultDatabaseStops : 0),
                    DatabaseFreezes: parsed.GetValue(freezes) ?? (hasDatabase ? DefaultDatabaseFreezes : 0),
                    Cuts: parsed.GetValue(cuts)),
                Seed = parsed.GetValue(seed) ?? Random.Shared.Next(),
                ReportFolder = parsed.GetValue(report),
            };
            return RunAsync(settings, cancellation);
        });
        return command;
    }

    private static async Task<int> RunAsync(VerifySettings settings, CancellationToken cancellation)
    {
        if (settings.ReportFolder is { } reportFolder)
        {
            ReportFiles.RequireWritable(reportFolder);
        }

        DateTimeOffset startedAt = DateTimeOffset.UtcNow;
        Console.WriteLine($"Seed {settings.Seed}");
        var run = new VerifyRun(settings);
        Task running = run.RunAsync(cancellation);
        await VerifyDisplay.WatchAsync(run, settings, running);
        try
        {
            await running;
            return Report(incomplete: null).Passed ? ExitCode.Ok : ExitCode.Failed;
        }
        catch (Exception exception) when (exception is CannotRunException or OperationCanceledException && run.Url is not null)
        {
            Report(exception.Message); // What was found until then is worth having.
            throw;
        }

        VerifyReport Report(string? incomplete)
        {
            string command = string.Join(' ', Environment.GetCommandLineArgs().Skip(1));
            VerifyReport report = VerifyReport.Make(run, settings, command, startedAt, incomplete);
            VerifyDisplay.WriteSummary(report);
            if (settings.ReportFolder is { } folder)
            {
                Console.WriteLine($"Report: {report.Save(folder)}");
            }

            return report;
        }
    }

    private static Option<int> Add(Command command, string name, string description, int fallback, int min, int max)
    {
        var option = new Option<int>(name) { Description = description, DefaultValueFactory = _ => fallback };
        option.Validators.Add(result =>
        {
            if (result.Tokens.Count == 1 && int.TryParse(result.Tokens[0].Value, out int value) && (value < min || value > max))
            {
                result.AddError($"{name} must be from {min} to {max}.");
            }
        });
        command.Options.Add(option);
        return option;
    }

    private static Option<int?> AddFault(Command command, string name, string description)
    {
        var option = new Option<int?>(name) { Description = description };
        option.Validators.Add(result => RequireFrom0(result, name));
        command.Options.Add(option);
        return option;
    }

    private static void RequireFrom0(System.CommandLine.Parsing.OptionResult result, string name)
    {
        if (result.Tokens.Count == 1 && long.TryParse(result.Tokens[0].Value, out long value) && value < 0)
        {
            result.AddError($"{name} must not be negative.");
        }
    }
}
