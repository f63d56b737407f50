using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;

namespace Chat.LoadTests.Hosting;

/// <summary>
/// A server of our own: a process that can be killed and started again on the same port, folder and database. The folder is a fresh
/// temporary one and goes away with this object. The process cannot outlive us: a shell that waits on a pipe from this process kills
/// it when the pipe breaks, whatever ended us. One caller at a time.
/// </summary>
internal sealed partial class ServerProcess : IAsyncDisposable
{
    private const int SigTerm = 15;

    /// <summary>Enough for the stack trace of a server that dies, little enough to print.</summary>
    private const int LogLinesMax = 200;

    /// <summary>A start compiles the server's code and opens its database, perhaps on a machine that is busy with everything else.</summary>
    private static readonly TimeSpan StartTimeout = TimeSpan.FromSeconds(60);

    private readonly ServerLaunch _launch;
    private readonly string _dll;
    private readonly string _folder = Directory.CreateTempSubdirectory("chat-load-").FullName;
    private readonly int _port = FreePort.Next();
    private readonly Queue<string> _log = [];
    private Process? _process;
    private Process? _guard;
    private Task _read = Task.CompletedTask;
    private TaskCompletionSource<Uri> _listening = new();

    private ServerProcess(ServerLaunch launch, string dll)
    {
        _launch = launch;
        _dll = dll;
    }

    /// <summary>Such as http://127.0.0.1:20001/; the same after each start.</summary>
    public Uri Url { get; private set; } = null!;

    /// <summary>Where it stores, when it stores in SQLite.</summary>
    public string SqliteFile => Path.Combine(_folder, "data", "chat.db");

    public int ProcessId => _process!.Id;

    public bool HasExited => _process is null or { HasExited: true };

    /// <summary>The last lines that it wrote, over all its lives.</summary>
    public string Log
    {
        get
        {
            lock (_log)
            {
                return string.Join('\n', _log);
            }
        }
    }

    /// <summary>Starts a server; answers when it listens.</summary>
    /// <exception cref="CannotRunException">It does not start; the message has its log.</exception>
    public static async Task<ServerProcess> StartAsync(ServerLaunch launch, CancellationToken cancellation)
    {
        string dll = launch.ServerDll ?? await ServerBuild.FindOrMakeAsync(cancellation);
        if (!File.Exists(dll))
        {
            throw new CannotRunException($"There is no server {dll}.");
        }

        var server = new ServerProcess(launch, Path.GetFullPath(dll));
        try
        {
            await server.StartAgainAsync(cancellation);
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts it after <see cref="KillAsync"/> or <see cref="TerminateAsync"/>; answers when it listens.</summary>
    /// <exception cref="CannotRunException">It does not start; the message has its log.</exception>
    public async Task StartAgainAsync(CancellationToken cancellation)
    {
        var start = new ProcessStartInfo(ServerBuild.DotnetHost, [_dll])
        {
            WorkingDirectory = _folder,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardOutputEncoding = Encoding.UTF8,
            StandardErrorEncoding = Encoding.UTF8,
        };
        start.Environment["HOST"] = "127.0.0.1";
        start.Environment["PORT"] = $"{_port}";
        start.Environment["DATA_DIR"] = "data";
        start.Environment["DATABASE_URL"] = _launch.DatabaseUrl;
        start.Environment["LOG_FORMAT"] = "text";
        foreach ((string name, string value) in _launch.Settings)
        {
            start.Environment[name] = value;
        }

        _listening = new TaskCompletionSource<Uri>(TaskCreationOptions.RunContinuationsAsynchronously);
        _process = Process.Start(start)!;
        _guard = Guard(_process.Id);
        _read = Task.WhenAll(ReadAsync(_process.StandardOutput), ReadAsync(_process.StandardError));
        Task first = await Task.WhenAny(_listening.Task, _read, Task.Delay(StartTimeout, cancellation));
        cancellation.ThrowIfCancellationRequested();
        if (first != _listening.Task)
        {
            throw new CannotRunException($"The server {(HasExited ? "ended before it listened" : "does not listen")}:\n{Log}");
        }

        Url = await _listening.Task;
    }

    /// <summary>Ends it without a chance to do anything (SIGKILL); answers when it is gone.</summary>
    public async Task KillAsync()
    {
        _process?.Kill();
        await EndAsync();
    }

    /// <summary>Asks it to stop (SIGTERM); answers when it has. Returns its exit code.</summary>
    public async Task<int> TerminateAsync()
    {
        if (OperatingSystem.IsWindows())
        {
            throw new CannotRunException("SIGTERM needs Linux or macOS.");
        }

        _ = Signal(_process!.Id, SigTerm); // A failure means that it has ended already.
        return await EndAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await KillAsync();
        Directory.Delete(_folder, recursive: true);
    }

    private async Task<int> EndAsync()
    {
        if (_process is null)
        {
            return 0;
        }

        await _process.WaitForExitAsync();
        await _read;
        int exitCode = _process.ExitCode;
        _process.Dispose();
        _process = null;
        if (_guard is not null)
        {
            await _guard.StandardInput.WriteLineAsync();
            await _guard.WaitForExitAsync();
            _guard.Dispose();
            _guard = null;
        }

        return exitCode;
    }

    /// <summary>A line on its input ends it; the end of its input makes it end the server.</summary>
    private static Process? Guard(int processId) =>
        OperatingSystem.IsWindows()
            ? null
            : Process.Start(new ProcessStartInfo("/bin/sh", ["-c", "trap '' INT TERM HUP; read -r line || kill -9 $0", $"{processId}"])
            {
                RedirectStandardInput = true,
            });

    private async Task ReadAsync(StreamReader reader)
    {
        const string Listening = "Listening on ";
        while (await reader.ReadLineAsync() is { } line)
        {
            lock (_log)
            {
                _log.Enqueue(line);
                if (_log.Count > LogLinesMax)
                {
                    _log.Dequeue();
                }
            }

            if (line.IndexOf(Listening, StringComparison.Ordinal) is var start and >= 0)
            {
                string url = line[(start + Listening.Length)..];
                _listening.TrySetResult(new Uri(url[..url.IndexOf(' ')]));
            }
        }
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Signal(int processId, int signal);
}
