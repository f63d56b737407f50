using System.Diagnostics;

namespace Chat.LoadTests.Clients;

/// <summary>Monotonic time in nanoseconds. On Linux it is the same for all processes, so that they can share a start.</summary>
internal static class Clock
{
    public const long NsPerUs = 1_000;
    public const long NsPerMs = 1_000_000;
    public const long NsPerSecond = 1_000_000_000;

    private static readonly double NsPerTick = (double)NsPerSecond / Stopwatch.Frequency;

    public static long NowNs =>
        Stopwatch.Frequency == NsPerSecond ? Stopwatch.GetTimestamp() : (long)(Stopwatch.GetTimestamp() * NsPerTick);

    public static long FromSeconds(double seconds) => (long)(seconds * NsPerSecond);
}
