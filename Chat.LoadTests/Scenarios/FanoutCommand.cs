using System.CommandLine;
using Chat.LoadTests.Loads;

namespace Chat.LoadTests.Scenarios;

/// <summary>
/// The scenario <c>fanout</c>: rooms whose members all get what some of them say, at a rate that does not wait for the
/// server. Latency counts from the intended time of each message.
/// </summary>
internal static class FanoutCommand
{
    public static Command Make() => Make(static () => { });

    /// <param name="whenConnected">Called when all members are welcomed, before the first message.</param>
    public static Command Make(Action whenConnected)
    {
        var command = new Command("fanout", "Messages at a given rate to rooms of many members (open loop).");
        var options = new LoadOptions(command);
        var shape = new PublishOptions(options, nonces: true);
        Option<int> rooms = options.Integer("--rooms", 1, "Rooms.");
        Option<int> members = options.Integer("--members", 1000, "Connections in each room.");
        Option<int> publishers = options.Integer("--publishers", 10, "Members of each room who send.");
        var load = new OpenLoopOptions(options, rate: 100);
        command.SetAction((parsed, cancellation) =>
        {
            LoadPlan plan = load.Read(parsed);
            LoadSettings settings = shape.Prepare(parsed, options.Read(parsed), parsed.GetValue(rooms) * parsed.GetValue(members));
            return ScenarioRun.RunAsync("fanout", "deliver", settings, async (run, stop) =>
            {
                await run.EnterAsync(parsed.GetValue(rooms) * parsed.GetValue(members), parsed.GetValue(rooms), parsed.GetValue(publishers), stop);
                await run.OpenAsync(OpenPaces.Brisk, mustAll: true, stop);
                whenConnected();
                MessageShape message = shape.Read(parsed) with { Seconds = plan.Seconds };
                await run.PublishAsync(plan.AfterWarmUp(message.WarmUpS), window: 0, message, meanwhile: null, stop);
            }, cancellation);
        });
        return command;
    }
}
