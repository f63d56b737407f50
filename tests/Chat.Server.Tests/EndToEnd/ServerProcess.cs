using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>
/// One run of the real server program: the assembly that the project reference put beside the tests. It cannot outlive
/// the tests: a shell that waits on a pipe from this process kills it when the pipe breaks, whatever ended us.
/// </summary>
public sealed partial class ServerProcess : IAsyncDisposable
{
    public const int SigHup = 1;
    public const int SigTerm = 15;
    public const int SigCont = 18;
    public const int SigStop = 19;

    private readonly Process _process;
    private readonly Process? _guard;
    private readonly StringBuilder _output = new();
    private readonly List<string> _errors = [];
    private readonly TaskCompletionSource<Uri> _listening = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task _read;
    private TaskCompletionSource _nextLine = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private ServerProcess(Process process)
    {
        _process = process;
        _guard = Guard(process.Id);
        _read = Task.WhenAll(ReadAsync(process.StandardOutput), ReadAsync(process.StandardError));
    }

    public int Id => _process.Id;

    /// <summary>Everything the server wrote so far.</summary>
    public string Output
    {
        get
        {
            lock (_output)
            {
                return _output.ToString();
            }
        }
    }

    /// <summary>Completes when it has written another line.</summary>
    private Task NextLine
    {
        get
        {
            lock (_output)
            {
                return _nextLine.Task;
            }
        }
    }

    /// <summary>The lines that were logged as errors, or worse.</summary>
    public IReadOnlyList<string> Errors
    {
        get
        {
            lock (_output)
            {
                return [.. _errors];
            }
        }
    }

    /// <param name="launch">The settings.</param>
    /// <param name="folder">Its current folder.</param>
    /// <param name="arguments">The command line.</param>
    public static ServerProcess Start(ServerLaunch launch, string folder, params string[] arguments)
    {
        var start = new ProcessStartInfo(Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet")
        {
            WorkingDirectory = folder,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardOutputEncoding = Encoding.UTF8,
            StandardErrorEncoding = Encoding.UTF8,
        };
        string limits = launch.OpenFilesMax > 0 ? $"ulimit -n {launch.OpenFilesMax}; " : "";
        limits += launch.IgnoresFileSizeSignal ? "trap '' XFSZ; " : "";
        if (limits.Length > 0)
        {
            foreach (string word in (string[])["-c", limits + "exec \"$0\" \"$@\"", start.FileName])
            {
                start.ArgumentList.Add(word);
            }

            start.FileName = "/bin/sh";
        }

        start.ArgumentList.Add(typeof(ChatServer).Assembly.Location);
        foreach (string argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        launch.ApplyTo(start.Environment);
        return new ServerProcess(Process.Start(start)!);
    }

    /// <summary>The URL of its "Listening on" line.</summary>
    public async Task<Uri> ListeningAsync()
    {
        await Task.WhenAny(_listening.Task, _read).WaitAsync(Deadline.ForStart);
        return _listening.Task.IsCompletedSuccessfully
            ? _listening.Task.Result
            : throw new InvalidOperationException($"The server ended before it listened:\n{Output}");
    }

    /// <summary>Waits for a text in what it writes: that comes after what it tells over the network meanwhile.</summary>
    public async Task SaysAsync(string text, int times = 1)
    {
        using var patience = new CancellationTokenSource(Deadline.ForAnswer);
        for (Task next = NextLine; Output.Split(text).Length <= times; next = NextLine)
        {
            await next.WaitAsync(patience.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            Assert.False(patience.IsCancellationRequested, $"It does not say '{text}':\n{Output}");
        }
    }

    /// <summary>Asks the server to stop: SIGTERM.</summary>
    public void Terminate() => Signal(SigTerm);

    public void Signal(int signal) => Assert.Equal(0, Kill(_process.Id, signal));

    /// <summary>Ends the server without a chance to do anything: SIGKILL.</summary>
    public async Task KillAsync()
    {
        _process.Kill();
        await ExitAsync();
    }

    /// <summary>Its exit code, when it has ended and everything it wrote has been read.</summary>
    public async Task<int> ExitAsync()
    {
        await _process.WaitForExitAsync().WaitAsync(Deadline.ForStart);
        await _read.WaitAsync(Deadline.ForStart);
        return _process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
        }

        await ExitAsync();
        _process.Dispose();
        if (_guard is not null)
        {
            await _guard.StandardInput.WriteLineAsync();
            await _guard.WaitForExitAsync();
            _guard.Dispose();
        }
    }

    /// <summary>A line on its input ends it; the end of its input makes it end the server.</summary>
    private static Process? Guard(int processId)
    {
        if (OperatingSystem.IsWindows())
        {
            return null;
        }

        var start = new ProcessStartInfo("/bin/sh", ["-c", "trap '' INT TERM HUP; read -r line || kill -9 $0", $"{processId}"])
        {
            RedirectStandardInput = true,
        };
        return Process.Start(start);
    }

    private async Task ReadAsync(StreamReader reader)
    {
        while (await reader.ReadLineAsync() is { } line)
        {
            bool isError = IsError(line, out string? message);
            lock (_output)
            {
                _output.AppendLine(line);
                if (isError)
                {
                    _errors.Add(line);
                }

                _nextLine.SetResult();
                _nextLine = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            }

            const string Listening = "Listening on ";
            if (message is not null && message.IndexOf(Listening, StringComparison.Ordinal) is var start and >= 0)
            {
                string url = message[(start + Listening.Length)..];
                _listening.TrySetResult(new Uri(url[..url.IndexOf(' ')]));
            }
        }
    }

    private static bool IsError(string line, out string? message)
    {
        message = line;
        if (!line.StartsWith('{'))
        {
            return line.Contains("Z fail: ", StringComparison.Ordinal) || line.Contains("Z crit: ", StringComparison.Ordinal)
                || line.StartsWith("Unhandled exception", StringComparison.Ordinal);
        }

        using var json = JsonDocument.Parse(line);
        message = json.RootElement.GetProperty("Message").GetString();
        return json.RootElement.GetProperty("LogLevel").GetString() is "Error" or "Critical";
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int processId, int signal);
}
