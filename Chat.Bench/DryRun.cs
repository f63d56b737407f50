using System.Reflection;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;

namespace Chat.Bench;

/// <summary>
/// <c>--dry</c>, for the gate: every benchmark once, in this process, since a build for each would take minutes. Its times mean
/// nothing; what it finds out is whether each still runs, is measured against a baseline, and counts its allocations.
/// </summary>
internal static class DryRun
{
    /// <returns>The exit code: 0, or 1 when a benchmark fails or lacks something.</returns>
    public static int Run()
    {
        Type[] types = [.. typeof(DryRun).Assembly.GetTypes().Where(static type => BenchmarksOf(type).Any()).OrderBy(static type => type.Name, StringComparer.Ordinal)];
        int failed = 0;
        BenchCluster.IsDry = true;
        foreach (Type type in types)
        {
            failed += Try(type);
        }

        Console.WriteLine($"{types.Length} classes, {failed} failed");
        return types.Length > 0 && failed == 0 ? 0 : 1;
    }

    private static IEnumerable<BenchmarkAttribute> BenchmarksOf(Type type) =>
        type.GetMethods().Select(static method => method.GetCustomAttribute<BenchmarkAttribute>()).OfType<BenchmarkAttribute>();

    /// <returns>0, or 1 when it failed; says what it did.</returns>
    private static int Try(Type type)
    {
        var log = new AccumulationLogger();
        ManualConfig config = ManualConfig.CreateEmpty()
            .AddJob(Job.Dry.WithToolchain(InProcessEmitToolchain.Instance))
            .AddColumnProvider(DefaultColumnProviders.Instance)
            .AddLogger(log)
            .WithOptions(ConfigOptions.DisableLogFile)
            .WithArtifactsPath(Path.Combine(Path.GetTempPath(), "chat-bench-dry"));
        Summary summary = BenchmarkRunner.Run(type, config);

        string[] faults =
        [
            .. summary.ValidationErrors.Where(static error => error.IsCritical).Select(static error => error.Message),
            .. summary.BenchmarksCases.Where(@case => summary[@case] is not { Success: true }).Select(static @case => $"{@case.DisplayInfo} failed"),
            .. summary.BenchmarksCases.Length == 0 ? ["it has no benchmark that can be run"] : Array.Empty<string>(),
            .. BenchmarksOf(type).Any(static benchmark => benchmark.Baseline) ? Array.Empty<string>() : ["it has no baseline"],
            .. type.GetCustomAttribute<MemoryDiagnoserAttribute>() is null ? ["it has no MemoryDiagnoser"] : Array.Empty<string>(),
        ];
        Console.WriteLine($"{(faults.Length == 0 ? "ok    " : "FAILED")} {type.Name}: {summary.BenchmarksCases.Length} benchmarks in {summary.TotalTime.TotalSeconds:0.0} s");
        if (faults.Length == 0)
        {
            return 0;
        }

        Console.WriteLine(log.GetLog());
        foreach (string fault in faults)
        {
            Console.WriteLine($"FAILED {type.Name}: {fault}");
        }

        return 1;
    }
}
