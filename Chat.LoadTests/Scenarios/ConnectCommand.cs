using System.CommandLine;
using Chat.LoadTests.Clients;
using Chat.LoadTests.Measuring;
using Chat.LoadTests.Reports;

namespace Chat.LoadTests.Scenarios;

/// <summary>The scenario <c>connect</c>: how many connections a second come in, each with its token checked and its room entered.</summary>
internal static class ConnectCommand
{
    public static Command Make()
    {
        var command = new Command("connect", "Handshakes: from the first packet of each connection to its welcome.");
        var options = new LoadOptions(command);
        Option<int> connections = options.Integer("--connections", 5000, "Connections to open in a round.");
        Option<int> rooms = options.Integer("--rooms", 200, "Rooms that they go to in turn.");
        Option<int> rounds = options.Integer("--rounds", 3, "Times that all of them come in; the first one warms up and does not count, unless it is the only one.");
        Option<int> concurrency = options.Integer("--concurrency", 256, "Handshakes under way at a time.");
        Option<double> rate = options.Number("--rate", 0, "Handshakes begun a second; 0: as fast as --concurrency lets them.");
        command.SetAction((parsed, cancellation) =>
        {
            int count = parsed.GetValue(connections);
            LoadSettings settings = options.Read(parsed);
            settings = settings with { Launch = PublishOptions.ForConnections(settings.Launch, count) };
            var pace = new OpenPace(parsed.GetValue(concurrency), parsed.GetValue(rate), TimeoutS: 60);
            return ScenarioRun.RunAsync("connect", "connect", settings, async (run, stop) =>
            {
                await run.EnterAsync(count, Math.Min(count, parsed.GetValue(rooms)), publishersPerRoom: 0, stop);
                double perS = 0;
                Mark from = await run.Sampler.MarkAsync();
                for (int round = 0; round < parsed.GetValue(rounds); round++)
                {
                    await run.Clients.LeaveAsync();
                    from = round == 1 ? await run.Sampler.StartAgainAsync() : from;
                    perS = (round <= 1 ? 0 : perS) + await run.OpenAsync(pace, mustAll: false, stop);
                }

                run.SetCpuFigures(from, await run.Sampler.MarkAsync());
                run.Set(Figures.ConnectsPerS, perS / Math.Max(1, parsed.GetValue(rounds) - 1));
            }, cancellation);
        });
        return command;
    }
}
