using System.CommandLine;
using Chat.LoadTests.Loads;
using Chat.LoadTests.Reports;

namespace Chat.LoadTests.Scenarios;

/// <summary>
/// The scenario <c>slow-consumers</c>: some members never read. The others' latency is what is measured; the slow ones
/// should be closed (4002) rather than be waited for, and their backlog should not stay in the server's memory.
/// </summary>
internal static class SlowConsumersCommand
{
    /// <summary>Small, so that the server's side fills up within seconds; the kernel keeps twice that.</summary>
    private const int ReceiveBufferBytes = 4096;

    public static Command Make()
    {
        var command = new Command("slow-consumers", "Some members never read; the others must not feel it (open loop).");
        var options = new LoadOptions(command);
        var shape = new PublishOptions(options, nonces: true);
        Option<int> members = options.Integer("--members", 1000, "Connections in the room.", least: 2);
        Option<int> publishers = options.Integer("--publishers", 10, "Members who send.");
        Option<int> slowOf = options.Integer("--one-in", 100, "One in so many never reads: 100 makes 1 %.", least: 2);
        var load = new OpenLoopOptions(options, rate: 200);
        command.SetAction((parsed, cancellation) =>
        {
            LoadPlan plan = load.Read(parsed);
            LoadSettings settings = shape.Prepare(parsed, options.Read(parsed), parsed.GetValue(members));
            return ScenarioRun.RunAsync("slow-consumers", "deliver", settings, async (run, stop) =>
            {
                await run.EnterAsync(parsed.GetValue(members), rooms: 1, parsed.GetValue(publishers), stop);
                await run.Clients.StallAsync(parsed.GetValue(slowOf), ReceiveBufferBytes); // The buffer is set before they connect.
                await run.OpenAsync(OpenPaces.Brisk, mustAll: true, stop);
                int stalled = await run.Clients.StallAsync(parsed.GetValue(slowOf), ReceiveBufferBytes);
                MessageShape message = shape.Read(parsed) with { Seconds = plan.Seconds };
                await run.PublishAsync(plan.AfterWarmUp(message.WarmUpS), window: 0, message, meanwhile: null, stop);
                await run.Clients.StopPublishingAsync(long.MaxValue, long.MaxValue); // What the slow ones find is old: it is not timed.
                await run.Clients.CatchUpAsync();
                await run.Sampler.MarkAsync();
                run.Set(Figures.Stalled, stalled);
                run.Set(Figures.ClosedAsSlow, run.Sampler.Counters.ClosedAsSlow);
            }, cancellation);
        });
        return command;
    }
}
