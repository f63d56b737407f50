using System.Globalization;

namespace Chat.Attacks;

/// <summary>What a process of this machine takes, by /proc.</summary>
internal static class ServerMemory
{
    /// <summary>The most resident memory that it has ever had.</summary>
    public static double PeakMib(int processId) => ReadKib(processId, "VmHWM:") / 1024;

    private static double ReadKib(int processId, string name) => double.Parse(
        File.ReadLines($"/proc/{processId}/status").Single(line => line.StartsWith(name, StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1],
        CultureInfo.InvariantCulture);
}
