using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>
/// A disk that takes writes and cannot keep them, for one process, until disposed: each of its fsync and fdatasync calls answers EIO and does nothing.
/// Linux: strace changes the answers of the system calls of a process that it is attached to.
/// </summary>
internal sealed partial class FailingSync : IAsyncDisposable
{
    private const int SigInt = 2;

    private readonly Process _strace;
    private readonly Task<string> _rest;

    private FailingSync(Process strace)
    {
        _strace = strace;
        _rest = strace.StandardError.ReadToEndAsync();
    }

    /// <summary>Answers when every call fails; skips the test where that cannot be had.</summary>
    public static async Task<FailingSync> StartAsync(int processId)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Failing fsyncs need Linux.");
        Assert.SkipUnless(IsInstalled, "Failing fsyncs need strace.");
        Process strace = Process.Start(new ProcessStartInfo(
            "strace", ["-f", "-p", $"{processId}", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO"])
        {
            RedirectStandardError = true,
        })!;
        string first = await strace.StandardError.ReadLineAsync().WaitAsync(Deadline.ForAnswer) ?? "";
        var failing = new FailingSync(strace);
        if (first.Contains(" attached", StringComparison.Ordinal))
        {
            return failing;
        }

        await failing.DisposeAsync();
        Assert.Skip($"strace may not attach to a process here: {first}");
        throw new UnreachableException();
    }

    public async ValueTask DisposeAsync()
    {
        if (!_strace.HasExited)
        {
            _ = Kill(_strace.Id, SigInt); // It lets go of the process.
        }

        await _strace.WaitForExitAsync().WaitAsync(Deadline.ForAnswer);
        await _rest;
        _strace.Dispose();
    }

    private static bool IsInstalled =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(static folder => File.Exists(Path.Combine(folder, "strace")));

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int processId, int signal);
}
