using System.Diagnostics;
using Microsoft.Coyote;
using Microsoft.Coyote.Logging;
using Microsoft.Coyote.SystematicTesting;
using Xunit.Sdk;
using Xunit.v3;

[assembly: Parallelization(Mode = ParallelMode.None)]

namespace Chat.Concurrency.Tests.Steering;

/// <summary>
/// Runs a scenario many times, each time with another interleaving of its threads, which Coyote chooses at every atomic or volatile access,
/// lock and task. The seed is fixed: the same build explores the same schedules. A scenario that throws, or whose threads all wait, has failed.
/// </summary>
internal static class Exploration
{
    private const uint Seed = 20_260_101;

    /// <summary>Beyond this the scheduler is fair, so that threads that spin for each other get on.</summary>
    private const uint UnfairStepsMax = 400;

    /// <summary>No schedule of a scenario is longer, or it runs in circles.</summary>
    private const uint FairStepsMax = 20_000;

    /// <summary>
    /// A planted bug that takes more, with each strategy, counts as not found. The rarest takes some 500 on average, and which schedules a seed
    /// means changes with each change of the code.
    /// </summary>
    private const uint SearchedIterationsMax = 5_000;

    private static readonly (string Name, Action<Configuration> Choose)[] Strategies =
    [
        ("3 priority changes", configuration => configuration.WithPrioritizationStrategy(isFair: true, 3)),
        ("random", configuration => configuration.WithRandomStrategy()),
    ];

    /// <summary>The scenario holds in every schedule explored: <paramref name="iterations"/> with each strategy.</summary>
    public static void Holds(Func<Task> scenario, uint iterations)
    {
        foreach ((string name, Action<Configuration> choose) in Strategies)
        {
            long start = Stopwatch.GetTimestamp();
            TestReport report = Run(scenario, iterations, choose);
            int schedules = report.CoverageInfo.ExploredPaths.Count;
            Tell($"{name}: {iterations} iterations, {schedules} schedules, {report.TotalExploredFairSteps / iterations} steps each, {report.MaxControlledOperations} threads, {Stopwatch.GetElapsedTime(start).TotalMilliseconds:F0} ms");
            Assert.True(report.NumOfFoundBugs == 0, $"{name}, seed {Seed}: {string.Join('\n', report.BugReports)}");
            Assert.Empty(report.UncontrolledInvocations);
            Assert.True(schedules > iterations / 4, $"{name}: only {schedules} schedules");
        }
    }

    /// <summary>With a mistake in the product the same scenario fails.</summary>
    public static void Finds(PlantedBug bug, Func<Task> scenario)
    {
        Planted.Bug = bug;
        try
        {
            foreach ((string name, Action<Configuration> choose) in Strategies)
            {
                TestReport report = Run(scenario, SearchedIterationsMax, choose);
                if (report.NumOfFoundBugs > 0)
                {
                    Tell($"{bug}: {name}, iteration {report.NumOfExploredFairPaths + report.NumOfExploredUnfairPaths}: {string.Join('\n', report.BugReports)}");
                    return;
                }
            }
        }
        finally
        {
            Planted.Bug = PlantedBug.None;
        }

        Assert.Fail($"{bug} was not found");
    }

    private static TestReport Run(Func<Task> scenario, uint iterations, Action<Configuration> choose)
    {
        Configuration configuration = Configuration.Create()
            .WithTestingIterations(iterations)
            .WithRandomGeneratorSeed(Seed)
            .WithMaxSchedulingSteps(UnfairStepsMax, FairStepsMax)
            .WithFailureOnMaxStepsBoundEnabled()
            .WithScheduleCoverageReported()
            .WithAtomicOperationRaceCheckingEnabled()
            .WithVolatileOperationRaceCheckingEnabled()
            .WithLockAccessRaceCheckingEnabled()
            .WithSystematicFuzzingFallbackEnabled(false)
            .WithPartiallyControlledConcurrencyAllowed(false)
            .WithVerbosityEnabled(VerbosityLevel.None)
            .WithTelemetryEnabled(false);
        choose(configuration);
        using TestingEngine engine = TestingEngine.Create(configuration, scenario);
        Assert.True(engine.IsTestRewritten());
        engine.SetLogger(new TextWriterLogger(TextWriter.Null, VerbosityLevel.None));
        engine.Run();
        return engine.TestReport;
    }

    private static void Tell(string line) => TestContext.Current.TestOutputHelper?.WriteLine(line);
}
