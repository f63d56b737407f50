using System.CommandLine;
using Chat.LoadTests.Clients;
using Chat.LoadTests.Measuring;
using Chat.LoadTests.Reports;

namespace Chat.LoadTests.Scenarios;

/// <summary>
/// The scenario <c>reconnect-storm</c>: every member is cut off at once, as by a broken network, misses messages, and comes
/// back with the last seq it saw. Each must get exactly what it missed, in order. The senders stay.
/// </summary>
internal static class ReconnectStormCommand
{
    public static Command Make()
    {
        var command = new Command("reconnect-storm", "All members are cut off at once, miss messages, and resume at once.");
        var options = new LoadOptions(command);
        Option<int> rooms = options.Integer("--rooms", 50, "Rooms.");
        Option<int> members = options.Integer("--members", 100, "Connections in each room; one of them sends and stays.", least: 2);
        Option<int> missed = options.Integer("--missed", 20, "Messages that each room's members miss; up to 500 are replayed by a server with default settings.");
        Option<int> rounds = options.Integer("--rounds", 3, "How often.");
        Option<int> concurrency = options.Integer("--concurrency", 512, "Handshakes under way at a time; a storm has many.");
        command.SetAction((parsed, cancellation) =>
        {
            int roomCount = parsed.GetValue(rooms);
            int count = roomCount * parsed.GetValue(members);
            LoadSettings settings = options.Read(parsed);
            settings = settings with { Launch = PublishOptions.ForConnections(settings.Launch, count) };
            var pace = new OpenPace(parsed.GetValue(concurrency), PerSecond: 0, TimeoutS: 60);
            return ScenarioRun.RunAsync("reconnect-storm", "resume", settings, async (run, stop) =>
            {
                await run.EnterAsync(count, roomCount, publishersPerRoom: 1, stop);
                await run.OpenAsync(pace, mustAll: true, stop);
                Mark from = await run.Sampler.StartAgainAsync();
                double resumesPerS = 0;
                for (int round = 0; round < parsed.GetValue(rounds); round++)
                {
                    run.Phase($"storm {round + 1}: all are cut off and miss {parsed.GetValue(missed)} messages a room", 0);
                    await run.Clients.DropAsync(everyNth: 1, offset: 0);
                    await run.SendAsync(parsed.GetValue(missed) * (long)roomCount, stop);
                    resumesPerS += await run.OpenAsync(pace, mustAll: false, stop);
                    await run.DrainAsync(acksComplete: true, stop);
                }

                run.SetCpuFigures(from, await run.Sampler.MarkAsync());
                run.Set(Figures.ConnectsPerS, resumesPerS / parsed.GetValue(rounds));
                run.Set(Figures.Reloads, run.Sampler.Counters.Reloads);
            }, cancellation);
        });
        return command;
    }
}
