using Chat.LoadTests.Clients;

namespace Chat.LoadTests.Hosting;

/// <summary>Each connection takes a file descriptor on both sides. Too few are found out before the run, not in the middle of it.</summary>
internal static class FileLimit
{
    /// <summary>What a process needs beside its connections: assemblies, the console, files of its own.</summary>
    private const int Spare = 300;

    /// <summary>Fails when the processes may not open that many connections.</summary>
    /// <param name="connections">In the whole run.</param>
    /// <param name="processes">Client processes that share them.</param>
    /// <param name="ownServer">The server is started here and inherits the limit; it has them all.</param>
    /// <exception cref="CannotRunException">They may not; the message says what to do.</exception>
    public static void Require(int connections, int processes, bool ownServer)
    {
        if (FilesMax() is long filesMax && Complaint(connections, processes, ownServer, filesMax) is { } complaint)
        {
            throw new CannotRunException(complaint);
        }
    }

    /// <summary>Null when each process may open its share.</summary>
    public static string? Complaint(int connections, int processes, bool ownServer, long filesMax)
    {
        if (ownServer && connections + Spare > filesMax)
        {
            return $"{connections:N0} connections need {connections + Spare:N0} file descriptors in the server that this program starts, and a process may open "
                + $"{filesMax:N0}. Raise the limit (ulimit -n), ask for fewer connections, or start the server elsewhere and name it with --url.";
        }

        int share = (connections + processes - 1) / processes;
        return share + Spare <= filesMax
            ? null
            : $"{share:N0} connections{(processes > 1 ? " in each process" : "")} need {share + Spare:N0} file descriptors, and a process may open {filesMax:N0}. "
                + $"Raise the limit (ulimit -n), ask for fewer connections, or for more processes (--processes {(connections + filesMax - Spare - 1) / Math.Max(1, filesMax - Spare)}).";
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
