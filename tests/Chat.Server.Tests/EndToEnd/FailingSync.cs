using System.Diagnostics;
using Chat.TestKit;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>
/// A disk that takes writes and cannot keep them, for one process and only while we say so: each of its fsync and fdatasync calls answers EIO and does
/// nothing. Linux: a small library, preloaded (ld.so(8)), stands before libc's; strace would need the right to trace, which containers often lack.
/// </summary>
internal sealed class FailingSync : IDisposable
{
    private const string Source = """
        #define _GNU_SOURCE
        #include <errno.h>
        #include <stdlib.h>
        #include <sys/syscall.h>
        #include <unistd.h>

        static int sync_with(long number, int fd)
        {
            const char *flag = getenv("FAILING_SYNC");
            if (flag && access(flag, F_OK) == 0) {
                errno = EIO;
                return -1;
            }
            return syscall(number, fd);
        }

        int fsync(int fd) { return sync_with(SYS_fsync, fd); }
        int fdatasync(int fd) { return sync_with(SYS_fdatasync, fd); }
        """;

    private readonly TempFolder _folder = new();

    private FailingSync()
    {
    }

    private string Library => Path.Combine(_folder.Path, "failing-sync.so");

    private string Flag => Path.Combine(_folder.Path, "fails");

    /// <summary>Builds the library; skips the test where there is no C compiler.</summary>
    public static async Task<FailingSync> CreateAsync()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Failing fsyncs need Linux.");
        Assert.SkipUnless(
            SearchPath.Find("cc") is not null,
            "Failing fsyncs need a C compiler (cc).");
        var failing = new FailingSync();
        string source = Path.Combine(failing._folder.Path, "failing-sync.c");
        await File.WriteAllTextAsync(source, Source);
        using Process compiler = Process.Start(new ProcessStartInfo("cc", ["-shared", "-fPIC", "-O1", "-o", failing.Library, source]) { RedirectStandardError = true })!;
        string errors = await compiler.StandardError.ReadToEndAsync();
        await compiler.WaitForExitAsync();
        Assert.True(compiler.ExitCode == 0, errors);
        return failing;
    }

    /// <summary>A server whose syncs fail between <see cref="Begin"/> and <see cref="End"/>.</summary>
    public ServerLaunch Of(ServerLaunch launch) => launch.With("LD_PRELOAD", Library).With("FAILING_SYNC", Flag);

    public void Begin() => File.WriteAllText(Flag, "");

    public void End() => File.Delete(Flag);

    public void Dispose() => _folder.Dispose();
}
