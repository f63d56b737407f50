using System.Diagnostics;
using System.Text;

namespace Chat.TestKit;

/// <summary>
/// A private PostgreSQL of the installed binaries: data, socket and log in a temporary folder, a free port of 127.0.0.1, no password.
/// One shell owns it from initdb to the removal of the folder. The shell waits on a pipe from this process, so the cluster goes away
/// even when the test process is killed (a frozen one is thawed for that). PostgreSQL refuses to run as root; a root test process uses the user postgres.
/// </summary>
public sealed class PostgresCluster : IAsyncDisposable
{
    private const string User = "chat";

    private readonly Process _owner;
    private readonly string _folder;
    private readonly string _binaries;
    private int _databases;

    private PostgresCluster(Process owner, string folder, string binaries, int port)
    {
        _owner = owner;
        _folder = folder;
        _binaries = binaries;
        Port = port;
    }

    public int Port { get; }

    /// <summary>Null when a cluster can be started here, else the reason, fit for Assert.Skip.</summary>
    public static string? WhyUnavailable =>
        !OperatingSystem.IsLinux() && !OperatingSystem.IsMacOS() ? "The PostgreSQL fixture needs a POSIX shell."
        : FindBinaries() is null ? "No PostgreSQL server binaries in /usr/lib/postgresql/*/bin or PATH."
        : null;

    /// <param name="fsync">True where the test cuts the power, so to speak; false is several times faster.</param>
    public static async Task<PostgresCluster> StartAsync(bool fsync = false)
    {
        var binaries = FindBinaries() ?? throw new InvalidOperationException(WhyUnavailable);
        var folder = Directory.CreateTempSubdirectory("chat-pg-").FullName;
        var port = FreePort.Next();
        // The trap keeps Ctrl-C, which reaches the whole process group, from ending the shell before its clean-up.
        var script = $"""
            trap '' INT TERM HUP
            cd '{folder}'
            '{binaries}/initdb' -D data -U {User} -A trust -E UTF8 --locale=C --no-sync >init.log 2>&1 || echo failed
            cat >>data/postgresql.conf <<'END'
            listen_addresses = '127.0.0.1'
            port = {port}
            unix_socket_directories = '{folder}'
            fsync = {(fsync ? "on" : "off")}
            max_connections = 200
            END
            '{binaries}/pg_ctl' -D data -l postgres.log -w -t 60 start >>init.log 2>&1 && echo ready || echo failed
            cat >/dev/null
            p=$(head -n 1 data/postmaster.pid 2>/dev/null) && kill -CONT $p $(ps -o pid= --ppid $p)
            '{binaries}/pg_ctl' -D data -m immediate -w stop >/dev/null 2>&1
            cd /
            rm -rf '{folder}'
            """;
        if (Environment.IsPrivilegedProcess)
            await RunAsync("chown", "postgres", folder);
        var owner = Process.Start(AsServerUser(["sh", "-c", script], redirect: true))!;
        var cluster = new PostgresCluster(owner, folder, binaries, port);
        if (await owner.StandardOutput.ReadLineAsync() == "ready")
            return cluster;
        var log = await File.ReadAllTextAsync(Path.Combine(folder, "init.log"));
        await cluster.DisposeAsync();
        throw new InvalidOperationException($"PostgreSQL did not start: {log}");
    }

    /// <summary>A new empty database.</summary>
    /// <returns>Its URL.</returns>
    public async Task<string> CreateDatabaseAsync()
    {
        var name = $"chat_{Interlocked.Increment(ref _databases)}";
        await RunAsServerUserAsync($"{_binaries}/createdb", "-h", _folder, "-p", $"{Port}", "-U", User, "-T", "template0", name);
        return $"postgres://{User}@127.0.0.1:{Port}/{name}";
    }

    /// <summary>Runs a script by psql, as /docker-entrypoint-initdb.d does.</summary>
    public Task RunScriptAsync(string database, string sql) =>
        RunAsServerUserAsync(
            $"{_binaries}/psql", "-h", _folder, "-p", $"{Port}", "-U", User, "-d", database,
            "--no-psqlrc", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql);

    /// <param name="mode">pg_ctl's: fast, or immediate for a crash.</param>
    public Task StopAsync(string mode = "immediate") => PgCtlAsync("-m", mode, "-w", "stop");

    public Task StartAgainAsync() => PgCtlAsync("-l", Path.Combine(_folder, "postgres.log"), "-w", "start");

    /// <summary>Stops every process of the cluster where it is (SIGSTOP): connections stay open and nothing answers.</summary>
    public Task FreezeAsync() => SignalAsync("STOP");

    public Task ThawAsync() => SignalAsync("CONT");

    private Task SignalAsync(string signal) => RunAsServerUserAsync(
        "sh", "-c", $"p=$(head -n 1 '{_folder}/data/postmaster.pid') && kill -{signal} $p $(ps -o pid= --ppid $p)");

    public async ValueTask DisposeAsync()
    {
        _owner.StandardInput.Close();
        await _owner.WaitForExitAsync();
        _owner.Dispose();
    }

    private Task PgCtlAsync(params string[] arguments) =>
        RunAsServerUserAsync([$"{_binaries}/pg_ctl", "-s", "-D", Path.Combine(_folder, "data"), .. arguments]);

    private static string? FindBinaries()
    {
        IEnumerable<string> folders = Directory.Exists("/usr/lib/postgresql")
            ? Directory.GetDirectories("/usr/lib/postgresql").OrderByDescending(Version).Select(folder => Path.Combine(folder, "bin"))
            : [];
        return folders.Concat(SearchPath.Folders).FirstOrDefault(folder => File.Exists(Path.Combine(folder, "initdb")) && File.Exists(Path.Combine(folder, "pg_ctl")));
    }

    private static int Version(string folder) => int.TryParse(Path.GetFileName(folder), out var version) ? version : 0;

    private static Task RunAsServerUserAsync(params string[] command) => RunAsync(AsServerUser(command, redirect: false));

    private static Task RunAsync(string file, params string[] arguments) => RunAsync(new ProcessStartInfo(file, arguments));

    private static async Task RunAsync(ProcessStartInfo start)
    {
        // pg_ctl's server would keep a pipe for its output open; only a failing command's error text is worth having.
        start.RedirectStandardInput = true;
        using var process = Process.Start(start)!;
        process.StandardInput.Close();
        await process.WaitForExitAsync();
        if (process.ExitCode != 0)
            throw new InvalidOperationException($"{start.FileName} {string.Join(' ', start.ArgumentList)} failed with code {process.ExitCode}.");
    }

    private static ProcessStartInfo AsServerUser(string[] command, bool redirect)
    {
        string[] all = Environment.IsPrivilegedProcess ? ["runuser", "-u", "postgres", "--", .. command] : command;
        return new ProcessStartInfo(all[0], all[1..])
        {
            WorkingDirectory = "/",
            RedirectStandardInput = redirect,
            RedirectStandardOutput = redirect,
            StandardOutputEncoding = redirect ? Encoding.UTF8 : null,
        };
    }
}
