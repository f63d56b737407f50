using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Chat.Server.Tests.EndToEnd;

namespace Chat.Server.Tests.Transport;

/// <summary>What a server holds of the kernel's: the same after many clients as before them, and never more than it may.</summary>
public sealed class DescriptorTests
{
    /// <summary>Set it for a long run by hand: CHURN=100000.</summary>
    private const string CountVariable = "CHURN";

    private const int FilesMax = 256;
    private const int Crowd = 400;

    private static readonly byte[] HealthRequest = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"u8.ToArray();

    private static int Churn { get; } =
        int.Parse(Environment.GetEnvironmentVariable(CountVariable) ?? "5000", CultureInfo.InvariantCulture);

    private static int Descriptors(RunningServer server) =>
        Directory.GetFileSystemEntries($"/proc/{server.Process.Id}/fd").Length;

    private static long ResidentKiB(RunningServer server) => long.Parse(
        File.ReadLines($"/proc/{server.Process.Id}/status").Single(static line => line.StartsWith("VmRSS:", StringComparison.Ordinal)).Split(' ')[^2],
        CultureInfo.InvariantCulture);

    private static async Task<RunningServer> StartAsync(string engine, int openFilesMax = 0)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "descriptors are counted in /proc");
        ServerLaunch launch = ServerLaunch.Sqlite.With("TRANSPORT", "shards").With("ENGINE", engine);
        return await RunningServer.StartAsync(launch with { OpenFilesMax = openFilesMax });
    }

    /// <summary>One client of many kinds: some say nothing, some ask, some become members; half of them reset.</summary>
    private static async Task VisitAsync(RunningServer server, byte[] upgrade, int number)
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(server.Url.Host, server.Url.Port);
        byte[] buffer = new byte[4096];
        switch (number % 4)
        {
            case 0:
                await socket.SendAsync(HealthRequest);
                await socket.ReceiveAsync(buffer);
                break;
            case 1:
                await socket.SendAsync("GET /heal"u8.ToArray());
                break;
            case 2:
                await socket.SendAsync(upgrade);
                await socket.ReceiveAsync(buffer);
                break;
            case 3:
                await socket.SendAsync(upgrade);
                break;
        }

        if (number / 4 % 2 == 0)
        {
            socket.LingerState = new LingerOption(true, 0);
        }
    }

    private static Task VisitAsync(RunningServer server, byte[] upgrade, Range numbers) => Parallel.ForEachAsync(
        Enumerable.Range(numbers.Start.Value, numbers.End.Value - numbers.Start.Value),
        new ParallelOptions { MaxDegreeOfParallelism = 16 },
        async (number, _) => await VisitAsync(server, upgrade, number));

    private static async Task NobodyIsLeftAsync(RunningServer server)
    {
        await server.MetricBecomesAsync("chat_websockets", static sockets => sockets == 0);
        await server.MetricBecomesAsync("chat_connections", static connections => connections <= 1); // Ours that asks.
    }

    [Theory]
    [InlineData("send")]
    [InlineData("auto")]
    public async Task Descriptors_and_memory_are_the_same_after_many_clients(string engine)
    {
        await using RunningServer server = await StartAsync(engine);
        User user = await server.RegisterAsync();
        long room = await server.CreateRoomAsync(user);
        byte[] upgrade = Encoding.ASCII.GetBytes(RawClient.Handshake($"/ws/{room}?token={user.Token}"));
        await VisitAsync(server, upgrade, ..2000); // It has compiled what it runs, and its pools are full.
        await NobodyIsLeftAsync(server);
        int descriptors = Descriptors(server);
        long before = ResidentKiB(server);

        await VisitAsync(server, upgrade, ..Churn);

        await NobodyIsLeftAsync(server);
        long after = ResidentKiB(server);
        TestContext.Current.SendDiagnosticMessage(
            "{0}: {1} clients, descriptors {2} -> {3}, resident KiB {4} -> {5}", engine, Churn, descriptors, Descriptors(server), before, after);
        // The test's own keep-alive connection, and what the database and the thread pool open now and then.
        Assert.InRange(Descriptors(server), 0, descriptors + 8);
        // A connection that was forgotten keeps more than 1 KiB; compiling and the collector's own growth are under 48 MiB.
        Assert.InRange(after - before, long.MinValue, Math.Max(48 * 1024, Churn));
    }

    [Fact]
    public async Task Out_of_descriptors_it_refuses_and_serves_again_when_some_have_gone()
    {
        await using RunningServer server = await StartAsync("auto", FilesMax);
        User user = await server.RegisterAsync();
        long room = await server.CreateRoomAsync(user);
        using ChatSocket member = await server.EnterAsync(user, room);
        List<Socket> crowd = await CrowdAsync(server);

        // The last one came when nothing was left: it is closed, and does not wait in the backlog.
        Assert.Equal(0, await ReceiveAsync(crowd[^1]));
        await server.Process.SaysAsync("Out of file descriptors");
        await member.SayAsync("still here");
        await member.NextMessagesAsync(1, 1);

        crowd.ForEach(static socket => socket.Dispose());
        long deadline = Environment.TickCount64 + (long)TransportSetup.Patience.TotalMilliseconds;
        while (!await IsServedAsync(server)) // It sees the crowd go one by one; who comes meanwhile may be refused still.
        {
            Assert.True(Environment.TickCount64 < deadline, "it refuses for ever");
        }

        await server.MetricBecomesAsync("chat_connections", static connections => connections <= 2);
        using ChatSocket newcomer = await server.EnterAsync(user, room);
    }

    /// <summary>
    /// The descriptor that it keeps for such a time is gone: others (the database, another process) open files as well, and may be quicker.
    /// </summary>
    [Fact]
    public async Task Out_of_descriptors_to_refuse_with_it_lets_clients_wait_and_goes_on_by_itself()
    {
        await using RunningServer server = await StartAsync("auto", FilesMax);
        User user = await server.RegisterAsync();
        long room = await server.CreateRoomAsync(user);
        using ChatSocket member = await server.EnterAsync(user, room);
        long turnsBefore = await server.HistogramCountAsync("chat_shard_turn_seconds");
        int limit = ProcessLimits.SetOpenFiles(server.Process.Id, 3);

        using var waiting = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await waiting.ConnectAsync(server.Url.Host, server.Url.Port, TestContext.Current.CancellationToken);
        await waiting.SendAsync(HealthRequest, TestContext.Current.CancellationToken);
        await server.Process.SaysAsync("Out of file descriptors");
        await member.SayAsync("still here");
        await member.NextMessagesAsync(1, 1);
        Assert.Equal(0, waiting.Available);
        await server.Process.SaysAsync("Out of file descriptors", times: 2); // A second later.
        long turns = await server.HistogramCountAsync("chat_shard_turn_seconds") - turnsBefore;

        Assert.InRange(turns, 1, 200); // It looks ten times a second, and does not spin.
        ProcessLimits.SetOpenFiles(server.Process.Id, limit);
        Assert.Equal(1, await ReceiveAsync(waiting));
        List<Socket> crowd = await CrowdAsync(server);
        Assert.Equal(0, await ReceiveAsync(crowd[^1])); // It can refuse again.
        crowd.ForEach(static socket => socket.Dispose());
    }

    /// <summary>More clients than the server may have.</summary>
    private static async Task<List<Socket>> CrowdAsync(RunningServer server)
    {
        var crowd = new List<Socket>();
        for (int i = 0; i < Crowd; i++)
        {
            var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
            await socket.ConnectAsync(server.Url.Host, server.Url.Port, TestContext.Current.CancellationToken);
            crowd.Add(socket);
        }

        return crowd;
    }

    private static async Task<bool> IsServedAsync(RunningServer server)
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(server.Url.Host, server.Url.Port);
        try
        {
            await socket.SendAsync(HealthRequest);
        }
        catch (SocketException)
        {
            return false;
        }

        return await ReceiveAsync(socket) > 0;
    }

    private static async Task<int> ReceiveAsync(Socket socket)
    {
        try
        {
            return await socket.ReceiveAsync(new byte[1]).WaitAsync(TransportSetup.Patience);
        }
        catch (SocketException)
        {
            return 0; // A reset is an end as well.
        }
    }
}
