using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using Chat.LoadTests.Reports;

namespace Chat.LoadTests.Measuring;

/// <summary>What a report says about where it was made.</summary>
internal static class MachineInspection
{
    private const double BytesPerGib = 1024.0 * 1024 * 1024;
    private const int TicksPerSecond = 100; // USER_HZ, which /proc/stat counts in (man 5 proc).

    /// <summary>user, nice, system, irq and softirq, in the line "cpu user nice system idle iowait irq softirq steal".</summary>
    private static readonly int[] BusyFields = [1, 2, 3, 6, 7];

    public static MachineFacts Facts() => new(
        CpuName(), Environment.ProcessorCount, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / BytesPerGib,
        RuntimeInformation.OSDescription, RuntimeInformation.FrameworkDescription);

    /// <summary>CPU time of everything on this machine since it started, in seconds; null where the system does not say.</summary>
    public static double? BusyCpuS()
    {
        if (!OperatingSystem.IsLinux())
        {
            return null;
        }

        string[] fields = File.ReadLines("/proc/stat").First().Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return BusyFields.Sum(place => double.Parse(fields[place], CultureInfo.InvariantCulture)) / TicksPerSecond;
    }

    /// <summary>The commit that the working copy is at, with a plus when files differ from it; "unknown" outside of one.</summary>
    public static string Commit()
    {
        string? commit = Git("rev-parse --short=12 HEAD");
        return commit is null ? "unknown" : commit + (string.IsNullOrEmpty(Git("status --porcelain --untracked-files=no")) ? "" : "+");
    }

    private static string CpuName()
    {
        const string Field = "model name";
        string? line = OperatingSystem.IsLinux() ? File.ReadLines("/proc/cpuinfo").FirstOrDefault(static line => line.StartsWith(Field, StringComparison.Ordinal)) : null;
        return line is null ? RuntimeInformation.ProcessArchitecture.ToString() : line[(line.IndexOf(':') + 1)..].Trim();
    }

    private static string? Git(string arguments)
    {
        try
        {
            using var git = Process.Start(new ProcessStartInfo("git", arguments)
            {
                WorkingDirectory = Path.GetDirectoryName(Assembly.GetExecutingAssembly().Location)!,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            })!;
            string output = git.StandardOutput.ReadToEnd().Trim();
            git.WaitForExit();
            return git.ExitCode == 0 ? output : null;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return null; // No git here.
        }
    }
}
