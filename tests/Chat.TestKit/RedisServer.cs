using System.Diagnostics;
using System.Net.Sockets;
using System.Text;

namespace Chat.TestKit;

/// <summary>
/// A private redis-server of the installed binary: a free port of 127.0.0.1, nothing on disk. A shell owns it and waits on a pipe from this
/// process, so it goes away even when the test process is killed.
/// </summary>
public sealed class RedisServer : IAsyncDisposable
{
    private static readonly TimeSpan StartTimeout = TimeSpan.FromSeconds(30);

    private Process? _owner;

    private RedisServer(int port) => Port = port;

    public int Port { get; }

    public string Url => $"redis://127.0.0.1:{Port}";

    /// <summary>Null when one can be started here, else the reason, fit for Assert.Skip.</summary>
    public static string? WhyUnavailable =>
        !OperatingSystem.IsLinux() && !OperatingSystem.IsMacOS() ? "The Redis fixture needs a POSIX shell."
        : FindBinary() is null ? "No redis-server in PATH."
        : null;

    public static async Task<RedisServer> StartAsync()
    {
        var server = new RedisServer(FreePort.Next());
        await server.StartAgainAsync();
        return server;
    }

    /// <summary>After <see cref="StopAsync"/>, on the same port.</summary>
    public async Task StartAgainAsync()
    {
        var binary = FindBinary() ?? throw new InvalidOperationException(WhyUnavailable);
        _owner = Process.Start(new ProcessStartInfo("sh",
            ["-c", $"trap '' INT TERM HUP; cd /; '{binary}' --port {Port} --bind 127.0.0.1 --save '' --appendonly no & cat >/dev/null; kill -9 $!; wait"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        })!;
        var listening = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _owner.OutputDataReceived += (_, line) =>
        {
            if (line.Data?.Contains("Ready to accept connections", StringComparison.Ordinal) == true)
                listening.TrySetResult();
        };
        _owner.BeginOutputReadLine();
        await listening.Task.WaitAsync(StartTimeout);
    }

    /// <summary>Kills it.</summary>
    public async Task StopAsync()
    {
        if (_owner is null)
            return;
        _owner.StandardInput.Close();
        await _owner.WaitForExitAsync();
        _owner.Dispose();
        _owner = null;
    }

    /// <summary>It takes what comes and carries nothing of it out, for some time.</summary>
    public Task PauseAsync(TimeSpan time) => SendAsync($"CLIENT PAUSE {(int)time.TotalMilliseconds} ALL");

    /// <summary>A command without an answer that matters, of words without spaces.</summary>
    public async Task SendAsync(string command)
    {
        using var client = new TcpClient();
        await client.ConnectAsync("127.0.0.1", Port);
        await client.GetStream().WriteAsync(Encoding.UTF8.GetBytes(command + "\r\n"));
        _ = await client.GetStream().ReadAsync(new byte[256]);
    }

    public async ValueTask DisposeAsync() => await StopAsync();

    private static string? FindBinary() => SearchPath.Find("redis-server");
}
