using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>
/// How large any file may become that a process writes: a disk that is full for it alone, without root, and with room again when we say so.
/// Linux: prlimit(2), RLIMIT_FSIZE. The process must ignore SIGXFSZ (<see cref="ServerLaunch.IgnoresFileQuotaSignal"/>).
/// </summary>
internal static partial class FileQuota
{
    private const int RlimitFileSize = 1;

    public static void Set(int processId, long bytes) => Apply(processId, (ulong)bytes);

    public static void Lift(int processId) => Apply(processId, ulong.MaxValue);

    private static void Apply(int processId, ulong bytes)
    {
        Limit limit = default;
        if (Read(processId, RlimitFileSize, IntPtr.Zero, ref limit) != 0)
        {
            throw new Win32Exception(Marshal.GetLastPInvokeError());
        }

        limit.Soft = Math.Min(bytes, limit.Hard);
        if (Write(processId, RlimitFileSize, ref limit, IntPtr.Zero) != 0)
        {
            throw new Win32Exception(Marshal.GetLastPInvokeError());
        }
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
