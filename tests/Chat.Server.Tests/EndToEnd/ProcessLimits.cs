using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>What a process may still take of its machine, changed while it runs and without root. Linux: prlimit(2).</summary>
internal static partial class ProcessLimits
{
    // bits/resource.h (sys/resource.h)
    private const int RlimitFileSize = 1;
    private const int RlimitOpenFiles = 7;

    /// <summary>
    /// How large any file may become that it writes: a disk that is full for it alone. The process must ignore SIGXFSZ
    /// (<see cref="ServerLaunch.IgnoresFileSizeSignal"/>).
    /// </summary>
    public static void SetFileBytes(int processId, long bytes) => Set(processId, RlimitFileSize, (ulong)bytes);

    public static void LiftFileBytes(int processId) => Set(processId, RlimitFileSize, ulong.MaxValue);

    /// <summary>It opens nothing whose descriptor would be this number or more; what it has open stays so. What the limit was.</summary>
    public static int SetOpenFiles(int processId, int number) => (int)Set(processId, RlimitOpenFiles, (ulong)number);

    private static ulong Set(int processId, int resource, ulong value)
    {
        Limit limit = default;
        if (Read(processId, resource, IntPtr.Zero, ref limit) != 0)
        {
            throw new Win32Exception(Marshal.GetLastPInvokeError());
        }

        ulong before = limit.Soft;
        limit.Soft = Math.Min(value, limit.Hard);
        if (Write(processId, resource, ref limit, IntPtr.Zero) != 0)
        {
            throw new Win32Exception(Marshal.GetLastPInvokeError());
        }

        return before;
    }

    [LibraryImport("libc", EntryPoint = "prlimit", SetLastError = true)]
    private static partial int Read(int processId, int resource, IntPtr newLimit, ref Limit oldLimit);

    [LibraryImport("libc", EntryPoint = "prlimit", SetLastError = true)]
    private static partial int Write(int processId, int resource, ref Limit newLimit, IntPtr oldLimit);

    [StructLayout(LayoutKind.Sequential)]
    private struct Limit
    {
        public ulong Soft;
        public ulong Hard;
    }
}
