using System.Diagnostics;
using System.Text;

namespace Chat.LoadTests.Hosting;

/// <summary>
/// A PostgreSQL that may be crashed: a private cluster in a temporary folder, or one whose data folder the user named. It is run as the
/// owner of its folder, since PostgreSQL refuses root. A private one is owned by a shell that waits on a pipe from this process, so it
/// goes away even when this process is killed. POSIX only. One caller at a time.
/// </summary>
internal sealed class PostgresServer : IAsyncDisposable
{
    private const string User = "chat";
    private const string Database = "chat";

    private readonly string _data;
    private readonly string _binaries;
    private readonly string _log;
    private readonly Process? _owner;

    private PostgresServer(string data, string binaries, string log, Process? owner)
    {
        _data = data;
        _binaries = binaries;
        _log = log;
        _owner = owner;
    }

    /// <summary>The empty database of a private cluster.</summary>
    public string DatabaseUrl { get; private init; } = "";

    /// <summary>Makes a cluster on a free port of 127.0.0.1, with PostgreSQL's own settings for durability.</summary>
    /// <param name="binaries">The folder with initdb and pg_ctl; null to look for it.</param>
    /// <exception cref="CannotRunException">There is no PostgreSQL here, or it does not start.</exception>
    public static async Task<PostgresServer> CreateAsync(string? binaries)
    {
        string found = FindBinaries(binaries);
        string folder = Directory.CreateTempSubdirectory("chat-pg-").FullName;
        int port = FreePort.Next();
        // The trap keeps Ctrl-C, which reaches the whole process group, from ending the shell before its clean-up.
        string script = $"""
            trap '' INT TERM HUP
            cd '{folder}'
            '{found}/initdb' -D data -U {User} -A trust -E UTF8 --locale=C --no-sync >init.log 2>&1 || echo failed
            cat >>data/postgresql.conf <<'END'
            listen_addresses = '127.0.0.1'
            port = {port}
            unix_socket_directories = '{folder}'
            END
            '{found}/pg_ctl' -D data -l postgres.log -w -t 60 start >>init.log 2>&1 || echo failed
            '{found}/createdb' -h '{folder}' -p {port} -U {User} {Database} >>init.log 2>&1 && echo ready || echo failed
            cat >/dev/null
            p=$(head -n 1 data/postmaster.pid) && kill -CONT $p $(ps -o pid= --ppid $p)
            '{found}/pg_ctl' -D data -m immediate -w stop >/dev/null 2>&1
            cd /
            rm -rf '{folder}'
            """;
        if (Environment.IsPrivilegedProcess)
        {
            await RunAsync(new ProcessStartInfo("chown", ["postgres", folder]));
        }

        ProcessStartInfo start = AsOwnerOf(folder, ["sh", "-c", script]);
        start.RedirectStandardInput = true;
        start.RedirectStandardOutput = true;
        start.StandardOutputEncoding = Encoding.UTF8;
        Process owner = Process.Start(start)!;
        var server = new PostgresServer(Path.Combine(folder, "data"), found, Path.Combine(folder, "postgres.log"), owner)
        {
            DatabaseUrl = $"postgres://{User}@127.0.0.1:{port}/{Database}",
        };
        if (await owner.StandardOutput.ReadLineAsync() == "ready")
        {
            return server;
        }

        string log = await File.ReadAllTextAsync(Path.Combine(folder, "init.log"));
        await server.DisposeAsync();
        throw new CannotRunException($"PostgreSQL does not start: {log}");
    }

    /// <summary>One that runs already, and that <c>pg_ctl -D DIR start</c> starts.</summary>
    /// <exception cref="CannotRunException">There is none.</exception>
    public static PostgresServer Open(string data, string? binaries)
    {
        string folder = Path.GetFullPath(data);
        return File.Exists(Path.Combine(folder, "postmaster.pid"))
            ? new PostgresServer(folder, FindBinaries(binaries), Path.Combine(folder, "verify.log"), owner: null)
            : throw new CannotRunException($"No PostgreSQL runs on {folder}: it has no postmaster.pid.");
    }

    /// <summary>Crashes it: every process ends at once, and nothing is written (pg_ctl stop -m immediate).</summary>
    public Task CrashAsync() => PgCtlAsync("-m", "immediate", "stop");

    /// <summary>Starts it again; answers when it has recovered.</summary>
    public Task StartAgainAsync() => PgCtlAsync("-l", _log, "-t", "120", "start");

    /// <summary>Stops every process where it is (SIGSTOP): connections stay open and nothing answers.</summary>
    public Task FreezeAsync() => SignalAsync("STOP");

    public Task ThawAsync() => SignalAsync("CONT");

    public async ValueTask DisposeAsync()
    {
        if (_owner is null)
        {
            return;
        }

        _owner.StandardInput.Close();
        await _owner.WaitForExitAsync();
        _owner.Dispose();
    }

    private Task PgCtlAsync(params string[] arguments) => RunAsync(AsOwnerOf(_data, [Path.Combine(_binaries, "pg_ctl"), "-D", _data, "-s", "-w", .. arguments]));

    private Task SignalAsync(string signal) => RunAsync(AsOwnerOf(
        _data, ["sh", "-c", $"p=$(head -n 1 '{_data}/postmaster.pid') && kill -{signal} $p $(ps -o pid= --ppid $p)"]));

    private static string FindBinaries(string? given)
    {
        IEnumerable<string> folders = given is not null ? [given] : Directory.Exists("/usr/lib/postgresql")
            ? Directory.GetDirectories("/usr/lib/postgresql").OrderByDescending(Version).Select(folder => Path.Combine(folder, "bin"))
            : [];
        if (given is null)
        {
            folders = folders.Concat((Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries));
        }

        return folders.FirstOrDefault(folder => File.Exists(Path.Combine(folder, "initdb")) && File.Exists(Path.Combine(folder, "pg_ctl")))
            ?? throw new CannotRunException($"No PostgreSQL server programs in {given ?? "/usr/lib/postgresql/*/bin or PATH"}. Name their folder with --postgres-bin.");
    }

    private static int Version(string folder) => int.TryParse(Path.GetFileName(folder), out int version) ? version : 0;

    private static async Task RunAsync(ProcessStartInfo start)
    {
        // The server that pg_ctl starts would keep a pipe for its output open; only a failing command's own words are worth having.
        start.RedirectStandardInput = true;
        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        await process.WaitForExitAsync();
        if (process.ExitCode != 0)
        {
            throw new CannotRunException($"{string.Join(' ', start.ArgumentList.TakeLast(8))} failed with code {process.ExitCode}.");
        }
    }

    private static ProcessStartInfo AsOwnerOf(string folder, string[] command)
    {
        string[] all = Environment.IsPrivilegedProcess
            ? ["sh", "-c", "exec runuser -u \"$(stat -c %U \"$0\")\" -- \"$@\"", folder, .. command]
            : command;
        return new ProcessStartInfo(all[0], all[1..]) { WorkingDirectory = "/" };
    }
}
