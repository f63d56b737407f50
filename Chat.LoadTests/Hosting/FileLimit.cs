using Chat.LoadTests.Clients;

namespace Chat.LoadTests.Hosting;

/// <summary>Each connection takes a file descriptor on both sides. Too few are found out before the run, not in the middle of it.</summary>
internal static class FileLimit
{
    /// <summary>What a process needs beside its connections: assemblies, the console, files of its own.</summary>
    private const int Spare = 300;

    /// <summary>Fails when this process may not open that many connections.</summary>
    /// <param name="connections">That it will open.</param>
    /// <param name="ownServer">The server is started here and inherits the limit.</param>
    /// <exception cref="CannotRunException">It may not; the message says what to do.</exception>
    public static void Require(int connections, bool ownServer)
    {
        if (FilesMax() is not long filesMax)
        {
            return;
        }

        if (connections + Spare > filesMax)
        {
            throw new CannotRunException(
                $"{connections:N0} connections need {connections + Spare:N0} file descriptors, and this process{(ownServer ? " and the server that it starts" : "")} "
                + $"may open {filesMax:N0}. Raise the limit (ulimit -n), or ask for fewer connections.");
        }
    }

    /// <summary>Null where there is no such limit. The runtime has raised it to the hard one at its start.</summary>
    private static unsafe long? FilesMax()
    {
        if (!OperatingSystem.IsLinux())
        {
            return null;
        }

        nuint* limits = stackalloc nuint[2];
        return Libc.getrlimit(Libc.RLIMIT_NOFILE, limits) == 0 ? (long)Math.Min(limits[0], int.MaxValue) : null;
    }
}
