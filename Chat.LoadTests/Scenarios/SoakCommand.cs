using System.CommandLine;
using Chat.LoadTests.Loads;
using Chat.LoadTests.Reports;

namespace Chat.LoadTests.Scenarios;

/// <summary>
/// The scenario <c>soak</c>: a moderate load for hours, while members keep leaving and coming back. What must not happen is
/// a loss, and memory that grows.
/// </summary>
internal static class SoakCommand
{
    private const double SecondsPerHour = 3600;

    /// <summary>Below that, what a runtime takes while it warms up is all that a slope shows.</summary>
    private const double SlopeSecondsMin = 120;

    public static Command Make()
    {
        var command = new Command("soak", "A moderate load for a long time, with members that leave and resume; does memory grow?");
        var options = new LoadOptions(command);
        var shape = new PublishOptions(options, nonces: true);
        Option<int> rooms = options.Integer("--rooms", 20, "Rooms.");
        Option<int> members = options.Integer("--members", 50, "Connections in each room; one of them sends and stays.", least: 2);
        Option<double> rate = options.Number("--rate", 200, "Messages a second, in all.", least: 0.001);
        Option<double> hours = options.Number("--hours", 1, "How long; fractions are allowed.", least: 0.0005);
        Option<int> churn = options.Integer("--churn", 100, "One in so many members is cut off each second, and comes back at once.", least: 2);
        command.SetAction((parsed, cancellation) =>
        {
            int roomCount = parsed.GetValue(rooms);
            int count = roomCount * parsed.GetValue(members);
            LoadSettings settings = shape.Prepare(parsed, options.Read(parsed), count);
            return ScenarioRun.RunAsync("soak", "deliver", settings, async (run, stop) =>
            {
                await run.EnterAsync(count, roomCount, publishersPerRoom: 1, stop);
                await run.OpenAsync(OpenPaces.Brisk, mustAll: true, stop);
                double seconds = parsed.GetValue(hours) * SecondsPerHour;
                MessageShape message = shape.Read(parsed) with { Seconds = seconds };
                int turn = 0;
                await run.PublishAsync(
                    LoadPlan.Constant(parsed.GetValue(rate), seconds).AfterWarmUp(message.WarmUpS), window: 0, message,
                    async () =>
                    {
                        await run.Clients.DropAsync(parsed.GetValue(churn), turn++);
                        await run.Clients.OpenAsync(OpenPaces.Brisk);
                    },
                    stop);
                run.Set(Figures.Reloads, run.Sampler.Counters.Reloads);
                if (seconds >= SlopeSecondsMin && Slope([.. run.Sampler.Timeline]) is double mibPerHour)
                {
                    run.Set(Figures.MemoryGrowth, mibPerHour);
                }
            }, cancellation);
        });
        return command;
    }

    /// <summary>The least-squares line through the memory of the second half, in MiB an hour: the first half is still warming up.</summary>
    private static double? Slope(TimelineRow[] timeline)
    {
        TimelineRow[] rows = [.. timeline.Skip(timeline.Length / 2).Where(static row => row.ServerMemoryMib is not null)];
        if (rows.Length < 2)
        {
            return null;
        }

        double meanS = rows.Average(static row => row.AtS);
        double meanMib = rows.Average(static row => row.ServerMemoryMib!.Value);
        double covariance = rows.Sum(row => (row.AtS - meanS) * (row.ServerMemoryMib!.Value - meanMib));
        return covariance / rows.Sum(row => (row.AtS - meanS) * (row.AtS - meanS)) * SecondsPerHour;
    }
}
