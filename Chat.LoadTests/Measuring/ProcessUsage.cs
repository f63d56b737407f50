using System.ComponentModel;
using System.Diagnostics;

namespace Chat.LoadTests.Measuring;

/// <summary>CPU time and memory of a process of this machine: the server, or this program.</summary>
internal sealed class ProcessUsage : IDisposable
{
    private const double BytesPerMib = 1024 * 1024;

    private readonly Process _process;

    private ProcessUsage(Process process) => _process = process;

    public static ProcessUsage OfThis() => new(Process.GetCurrentProcess());

    /// <summary>Null when there is no such process here.</summary>
    public static ProcessUsage? Find(int processId)
    {
        try
        {
            return new ProcessUsage(Process.GetProcessById(processId));
        }
        catch (ArgumentException)
        {
            return null;
        }
    }

    /// <summary>What it has used so far. After its end: what it had when it was last asked.</summary>
    public Usage Read()
    {
        try
        {
            _process.Refresh();
            Last = new Usage(_process.TotalProcessorTime.TotalSeconds, _process.WorkingSet64 / BytesPerMib);
        }
        catch (Exception exception) when (exception is InvalidOperationException or Win32Exception)
        {
            // It has ended: before the look into /proc, or while it looked.
        }

        return Last;
    }

    public void Dispose() => _process.Dispose();

    private Usage Last { get; set; }
}

/// <summary>What a process has used since its start.</summary>
/// <param name="CpuS">User and system time, in seconds.</param>
/// <param name="MemoryMib">Resident memory now.</param>
internal readonly record struct Usage(double CpuS, double MemoryMib);
