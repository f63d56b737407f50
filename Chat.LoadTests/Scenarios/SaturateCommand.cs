using System.CommandLine;

namespace Chat.LoadTests.Scenarios;

/// <summary>
/// The scenario <c>saturate</c>: each publisher sends its next message as soon as one has come back to it, so the server is
/// never without work. What it delivers then is its ceiling, or this program's: the report says when it was that.
/// </summary>
internal static class SaturateCommand
{
    public static Command Make()
    {
        var command = new Command("saturate", "As much as the server can deliver (closed loop).");
        var options = new LoadOptions(command);
        var shape = new PublishOptions(options, nonces: false);
        Option<int> rooms = options.Integer("--rooms", 1, "Rooms.");
        Option<int> members = options.Integer("--members", 1000, "Connections in each room.");
        Option<int> publishers = options.Integer("--publishers", 10, "Members of each room who send.");
        Option<int> window = options.Integer("--window", 8, "Messages that each of them has under way.");
        Option<double> seconds = options.Number("--seconds", 10, "Measured time.", least: 0.5);
        command.SetAction((parsed, cancellation) =>
        {
            int connections = parsed.GetValue(rooms) * parsed.GetValue(members);
            LoadSettings settings = shape.Prepare(parsed, options.Read(parsed), connections);
            return ScenarioRun.RunAsync("saturate", "deliver", settings, async (run, stop) =>
            {
                await run.EnterAsync(connections, parsed.GetValue(rooms), parsed.GetValue(publishers), stop);
                await run.OpenAsync(OpenPaces.Brisk, mustAll: true, stop);
                MessageShape message = shape.Read(parsed) with { Seconds = parsed.GetValue(seconds) };
                await run.PublishAsync(load: null, parsed.GetValue(window), message, meanwhile: null, stop);
            }, cancellation);
        });
        return command;
    }
}
