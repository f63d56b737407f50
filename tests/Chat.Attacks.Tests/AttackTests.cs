using Chat.LoadTests.Hosting;

namespace Chat.Attacks.Tests;

/// <summary>
/// The short form of the program Chat.Attacks: all attacks at once for a few seconds, and what must hold whatever the machine. How
/// much slower it is for honest clients is a figure, which the long form reports.
/// <para>A project of its own, since the gate runs Chat.Server.Tests once for each way to the sockets, and this once.</para>
/// </summary>
public sealed class AttackTests
{
    private const int TimeoutMs = 1000;
    private const int Seconds = 9;

    /// <summary>The limit that the server is to keep under every attack.</summary>
    private const int MemoryMibMax = 512;

    /// <summary>On a busy machine a visit takes its time, but not for ever.</summary>
    private static readonly TimeSpan FirstVisitMax = TimeSpan.FromMinutes(1);

    /// <summary>The server of the same build: artifacts/bin/PROJECT/CONFIGURATION.</summary>
    private static string Server { get; } = Path.GetFullPath(Path.Combine(
        AppContext.BaseDirectory, "..", "..", "Chat.Server", new DirectoryInfo(AppContext.BaseDirectory).Name, "Chat.Server.dll"));

    [Fact]
    public async Task Under_all_attacks_at_once_honest_clients_lose_nothing_and_the_server_keeps_its_bounds()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "attackers have addresses of their own in 127.0.0.0/8, and memory is read in /proc");
        string timeout = $"{TimeoutMs}";
        await using ServerProcess server = await ServerProcess.StartAsync(
            new ServerLaunch { ServerDll = Server }
                .With("RATE_LIMITS", "on").With("CONNECTIONS_PER_IP_MAX", "200")
                .With("HTTP_HEAD_TIMEOUT_MS", timeout).With("HTTP_BODY_TIMEOUT_MS", timeout),
            TestContext.Current.CancellationToken);
        int processId = server.ProcessId;
        AttackTarget target = await AttackTarget.OpenAsync(server.Url, TimeoutMs, TestContext.Current.CancellationToken);
        using var stop = new CancellationTokenSource();
        Tally[] tallies = [.. Attack.All.Select(static attack => new Tally(attack.Name))];
        Task attacks = Task.CompletedTask;

        Experience experience = await HonestClients.TalkAsync(server.Url, processId, Seconds, warmUpS: 1, begun: () =>
            attacks = Task.WhenAll(Attack.All.Zip(tallies, (attack, tally) => attack.InflictAsync(target, tally, stop.Token))));
        Tally[] visitors = [.. tallies.Where(static tally => tally.Name != "publisher")]; // That one stays.
        await Task.WhenAll(visitors.Select(static tally => tally.FirstVisit))
            .WaitAsync(FirstVisitMax, TestContext.Current.CancellationToken)
            .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
        await stop.CancelAsync();
        await attacks;

        Assert.Null(experience.Failure);
        Assert.Equal(0, experience.Harm); // Lost, doubled, out of order, refused or closed.
        Assert.Empty(tallies.SelectMany(static tally => tally.Violations));
        Assert.Equal([], visitors.Where(static tally => tally.Visits == 0).Select(static tally => tally.Name));
        Assert.False(server.HasExited);
        Assert.Equal(processId, server.ProcessId);
        Assert.InRange(ServerMemory.PeakMib(processId), 1, MemoryMibMax);
        using (var http = new HttpClient { BaseAddress = server.Url })
        {
            Assert.True((await http.GetAsync("/readyz", TestContext.Current.CancellationToken)).IsSuccessStatusCode);
        }

        Assert.Equal(0, await server.TerminateAsync());
        Assert.DoesNotContain(" fail: ", server.Log, StringComparison.Ordinal);
        Assert.DoesNotContain(" crit: ", server.Log, StringComparison.Ordinal);
    }
}
