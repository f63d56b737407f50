using System.CommandLine;
using Chat.LoadTests.Clients;
using Chat.LoadTests.Measuring;
using Chat.LoadTests.Reports;

namespace Chat.LoadTests.Scenarios;

/// <summary>
/// The scenario <c>idle</c>: connections that are open and say nothing. What each costs in memory, what all of them cost in
/// CPU time, and whether each is still there at the end: each then asks for a sign of life.
/// </summary>
internal static class IdleCommand
{
    private const double PongSeconds = 10;

    public static Command Make()
    {
        var command = new Command("idle", "Open connections that say nothing: memory and CPU time for each.");
        var options = new LoadOptions(command);
        Option<int> connections = options.Integer("--connections", 10000, "Connections.");
        Option<int> rooms = options.Integer("--rooms", 1000, "Rooms that they go to in turn.");
        Option<double> seconds = options.Number("--seconds", 10, "How long they idle.", least: 1);
        command.SetAction((parsed, cancellation) =>
        {
            int count = parsed.GetValue(connections);
            LoadSettings settings = options.Read(parsed);
            settings = settings with { Launch = PublishOptions.ForConnections(settings.Launch, count) };
            return ScenarioRun.RunAsync("idle", "connect", settings, async (run, stop) =>
            {
                await run.EnterAsync(count, Math.Min(count, parsed.GetValue(rooms)), publishersPerRoom: 0, stop, freshServer: true);
                await run.OpenAsync(OpenPaces.Brisk, mustAll: true, stop);
                run.Phase("idling", parsed.GetValue(seconds));
                Mark from = await run.Sampler.MarkAsync();
                await run.Sampler.WatchAsync(from.AtNs + Clock.FromSeconds(parsed.GetValue(seconds)), stop);
                run.SetCpuFigures(from, await run.Sampler.MarkAsync());
                if (run.MemoryPerConnection() is double bytes)
                {
                    run.Set(Figures.MemoryPerConnection, bytes);
                }

                await AskAsync(run, stop);
            }, cancellation);
        });
        return command;
    }

    private static async Task AskAsync(LoadRun run, CancellationToken stop)
    {
        run.Phase("asking each for a sign of life", PongSeconds);
        await run.Clients.PingAsync();
        long deadlineNs = Clock.NowNs + Clock.FromSeconds(PongSeconds);
        Mark mark = await run.Sampler.MarkAsync();
        while (mark.Counters.Pongs < run.Sampler.Members && Clock.NowNs < deadlineNs)
        {
            await Task.Delay(50, stop);
            mark = await run.Sampler.MarkAsync();
            run.Sampler.RequireAlive();
        }

        run.Set(Figures.Pongs, mark.Counters.Pongs);
        run.Set(Figures.Unanswered, run.Sampler.Members - mark.Counters.Pongs);
    }
}
