using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json;
using Chat.LoadTests.Hosting;

namespace Chat.LoadTests.Processes;

/// <summary>
/// One process with a share of the clients: this program again, with the hidden command of <see cref="ClientProcessCommand"/>. It ends
/// with its input, so it cannot outlive this process, whatever ended that.
/// </summary>
internal sealed class ClientProcess : IAsyncDisposable
{
    private const int ComplaintCharsMax = 2000;

    private readonly Process _process;
    private readonly ConcurrentDictionary<int, TaskCompletionSource<ClientAnswer?>> _pending = new();
    private readonly Task _reading;
    private readonly Task<string> _complaint;
    private volatile bool _hasEnded;
    private int _lastId;

    private ClientProcess(Process process)
    {
        _process = process;
        _complaint = process.StandardError.ReadToEndAsync();
        _reading = ReadAsync();
    }

    public int ProcessId => _process.Id;

    /// <summary>It answers no more.</summary>
    public bool HasEnded => _hasEnded;

    public static ClientProcess Start()
    {
        string dll = typeof(ClientProcess).Assembly.Location;
        return new ClientProcess(Process.Start(new ProcessStartInfo(ServerBuild.DotnetHost, [dll, ClientProcessCommand.Name])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!);
    }

    /// <summary>Asks, in the order of the calls.</summary>
    /// <returns>Null when it ended before it answered.</returns>
    public Task<ClientAnswer?> AskAsync(ClientRequest request)
    {
        var answer = new TaskCompletionSource<ClientAnswer?>(TaskCreationOptions.RunContinuationsAsynchronously);
        int id = ++_lastId;
        _pending[id] = answer;
        try
        {
            _process.StandardInput.WriteLine(JsonSerializer.Serialize(request with { Id = id }, ClientPipe.Json));
            _process.StandardInput.Flush();
        }
        catch (IOException)
        {
            _hasEnded = true; // Its end of the pipe is closed.
        }

        if (_hasEnded)
        {
            GiveUp();
        }

        return answer.Task;
    }

    /// <summary>How it ended, for people.</summary>
    public async Task<string> ObituaryAsync()
    {
        await _process.WaitForExitAsync();
        string complaint = (await _complaint).Trim();
        string how = _process.ExitCode > 128 ? $"was killed by signal {_process.ExitCode - 128}" : $"ended with exit code {_process.ExitCode}";
        return $"(process {ProcessId}) {how} in the middle of the run."
            + (complaint.Length == 0 ? "" : $" It said:\n{complaint[..Math.Min(complaint.Length, ComplaintCharsMax)]}");
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            _process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It is gone already, with a request in the pipe.
        }

        await _reading;
        await _process.WaitForExitAsync();
        _process.Dispose();
    }

    private async Task ReadAsync()
    {
        while (await _process.StandardOutput.ReadLineAsync() is { } line)
        {
            ClientAnswer answer = JsonSerializer.Deserialize<ClientAnswer>(line, ClientPipe.Json)!;
            if (_pending.TryRemove(answer.Id, out TaskCompletionSource<ClientAnswer?>? pending))
            {
                pending.SetResult(answer);
            }
        }

        _hasEnded = true;
        GiveUp();
    }

    private void GiveUp()
    {
        foreach (int id in _pending.Keys)
        {
            if (_pending.TryRemove(id, out TaskCompletionSource<ClientAnswer?>? pending))
            {
                pending.SetResult(null);
            }
        }
    }
}
