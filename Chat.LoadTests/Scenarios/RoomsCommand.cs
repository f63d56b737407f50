using System.CommandLine;
using Chat.LoadTests.Loads;

namespace Chat.LoadTests.Scenarios;

/// <summary>The scenario <c>rooms</c>: many small rooms, few of them busy, as in a real community.</summary>
internal static class RoomsCommand
{
    public static Command Make()
    {
        var command = new Command("rooms", "Many small rooms, of which some are much busier than others (open loop).");
        var options = new LoadOptions(command);
        var shape = new PublishOptions(options, nonces: true);
        Option<int> rooms = options.Integer("--rooms", 200, "Rooms.");
        Option<int> members = options.Integer("--members", 10, "Connections in each room.");
        Option<int> publishers = options.Integer("--publishers", 1, "Members of each room who send.");
        Option<double> skew = options.Number("--skew", 1, "The room at place k gets 1 / k^SKEW of the messages of the busiest; 0: all the same.");
        var load = new OpenLoopOptions(options, rate: 5000);
        command.SetAction((parsed, cancellation) =>
        {
            LoadPlan plan = load.Read(parsed);
            int connections = parsed.GetValue(rooms) * parsed.GetValue(members);
            LoadSettings settings = shape.Prepare(parsed, options.Read(parsed), connections);
            return ScenarioRun.RunAsync("rooms", "deliver", settings, async (run, stop) =>
            {
                await run.EnterAsync(connections, parsed.GetValue(rooms), parsed.GetValue(publishers), stop);
                await run.OpenAsync(OpenPaces.Brisk, mustAll: true, stop);
                MessageShape message = shape.Read(parsed) with { Seconds = plan.Seconds, Skew = parsed.GetValue(skew) };
                await run.PublishAsync(plan.AfterWarmUp(message.WarmUpS), window: 0, message, meanwhile: null, stop);
            }, cancellation);
        });
        return command;
    }
}
