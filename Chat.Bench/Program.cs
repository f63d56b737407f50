using BenchmarkDotNet.Running;

BenchmarkSwitcher.FromAssembly(typeof(Chat.Bench.RoomRingBenchmarks).Assembly).Run(args);
