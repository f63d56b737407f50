using BenchmarkDotNet.Running;
using Chat.Bench;

if (args is ["--dry"])
{
    return DryRun.Run();
}

BenchmarkSwitcher.FromAssembly(typeof(RoomRingBenchmarks).Assembly).Run(args);
return 0;
