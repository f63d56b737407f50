using System.Globalization;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>How many connections an address may have, and how a proxy's word decides whose a connection is.</summary>
public sealed class AddressLimitTests
{
    private const string Health = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";

    [Fact]
    public async Task An_address_has_so_many_connections_of_any_kind_and_gets_another_for_one_that_ends()
    {
        await using RunningServer server = await RunningServer.StartAsync(ServerLaunch.Sqlite.With("CONNECTIONS_PER_IP_MAX", "3"));
        string token = (await server.RegisterAsync()).Token;
        using RawClient session = await server.UpgradeRawAsync($"/ws?token={token}");
        await session.ReadEventAsync();
        using RawClient first = await OpenAsync(server); // The third is the one that the calls are made over.

        using RawClient refused = await server.ConnectRawAsync();
        RawResponse refusal = await refused.ReadResponseAsync(); // Before it has sent a byte.
        Assert.Equal((429, "close", "1"), (refusal.Status, refusal.Fields["Connection"], refusal.Fields["Retry-After"]));
        await refused.IsClosedAsync();
        Assert.InRange(await server.MetricAsync("chat_connections_refused_total"), 1, 1000);

        session.Reset();
        await server.MetricBecomesAsync("chat_websockets", sockets => sockets == 0);
        using RawClient second = await OpenWhenThereIsRoomAsync(server);
        first.Reset();
        using RawClient third = await OpenWhenThereIsRoomAsync(server);
    }

    [Theory]
    [InlineData("CONNECTIONS_PER_IP_MAX", 429)]
    [InlineData("CONNECTIONS_MAX", 503)]
    public async Task A_connection_too_many_gets_its_answer_also_behind_a_request(string setting, int status)
    {
        await using RunningServer server = await RunningServer.StartAsync(ServerLaunch.Sqlite.With(setting, "1"));
        using RawClient first = await OpenAsync(server);
        server.Process.Signal(ServerProcess.SigStop);
        using RawClient refused = await server.ConnectRawAsync();
        await refused.SendAsync(Health); // It is there before the server is.
        server.Process.Signal(ServerProcess.SigCont);

        RawResponse refusal = await refused.ReadResponseAsync();

        Assert.Equal((status, "close", "1"), (refusal.Status, refusal.Fields["Connection"], refusal.Fields["Retry-After"]));
        Assert.True(DateTimeOffset.TryParseExact(refusal.Fields["Date"], "R", CultureInfo.InvariantCulture, DateTimeStyles.None, out _));
        await refused.IsClosedAsync();
        Assert.False(refused.WasReset);
    }

    [Fact]
    public async Task Behind_a_proxy_a_client_has_so_many_sessions()
    {
        await using RunningServer server = await RunningServer.StartAsync(
            ServerLaunch.Sqlite.With("CONNECTIONS_PER_IP_MAX", "2").With("TRUSTED_PROXIES", "127.0.0.1,::1"));
        string token = (await server.RegisterAsync()).Token;
        var clients = new List<RawClient>();
        try
        {
            for (int i = 0; i < 6; i++)
            {
                clients.Add(await OpenAsync(server)); // The proxy itself has as many as it needs.
            }

            Assert.Equal(101, await UpgradeAsync(server, clients, token, "1.1.1.1, 192.0.2.1"));
            Assert.Equal(101, await UpgradeAsync(server, clients, token, "2.2.2.2, 192.0.2.1"));
            Assert.Equal(429, await UpgradeAsync(server, clients, token, "3.3.3.3, 192.0.2.1"));
            Assert.Equal(101, await UpgradeAsync(server, clients, token, "192.0.2.2"));
        }
        finally
        {
            clients.ForEach(client => client.Dispose());
        }
    }

    [Theory]
    [InlineData(null, "127.0.0.1, ::1, 10.1.2.3, 172.31.255.255, 192.168.0.1, fd00::1", "192.0.2.1, 172.32.0.0, 2001:db8::1, 1.1.1.1")]
    [InlineData("192.0.2.0/24, 2001:db8::1", "192.0.2.255, 2001:db8::1", "127.0.0.1, 10.1.2.3, 192.0.3.0, 2001:db8::2")]
    public async Task Figures_are_for_the_networks_that_are_named(string? metricsFrom, string allowed, string refused)
    {
        ServerLaunch launch = ServerLaunch.Sqlite.With("TRUSTED_PROXIES", "127.0.0.1,::1");
        await using RunningServer server = await RunningServer.StartAsync(metricsFrom is null ? launch : launch.With("METRICS_FROM", metricsFrom));
        using RawClient proxy = await server.ConnectRawAsync();
        foreach (string address in allowed.Split(", "))
        {
            RawResponse answer = await AskAsync(address);
            Assert.Equal((address, 200), (address, answer.Status));
            Assert.Contains("chat_connections ", answer.Content, StringComparison.Ordinal);
        }

        foreach (string address in refused.Split(", "))
        {
            RawResponse answer = await AskAsync(address);
            Assert.Equal((address, 403), (address, answer.Status));
            Assert.Contains("foreign_address", answer.Content, StringComparison.Ordinal);
        }

        async Task<RawResponse> AskAsync(string address)
        {
            await proxy.SendAsync($"GET /metrics HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {address}\r\n\r\n");
            return await proxy.ReadResponseAsync();
        }
    }

    [Fact]
    public async Task A_proxy_may_have_ended_the_tls_of_an_https_target()
    {
        await using RunningServer server = await RunningServer.StartAsync(ServerLaunch.Sqlite.With("TRUSTED_PROXIES", "127.0.0.1,::1"));
        using RawClient proxy = await server.ConnectRawAsync();
        await proxy.SendAsync("GET https://chat.example.com/healthz HTTP/1.1\r\nHost: chat.example.com\r\n\r\n");

        Assert.Equal(200, (await proxy.ReadResponseAsync()).Status);
    }

    [Theory]
    [InlineData("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", "PROXY TCP4 192.0.2.1 198.51.100.2 56325 443\r\n", "PROXY TCP4 192.0.2.3 198.51.100.2 1 443\r\n")]
    [InlineData(
        "\r\n\r\n\0\r\nQUIT\n\u0021\u0011\0\u000C\u00C0\0\u0002\u0001\u00C6\u0033\u0064\u0002\u0001\u0002\u0003\u0004",
        "PROXY TCP4 192.0.2.1 198.51.100.2 1 443\r\n",
        "PROXY UNKNOWN\r\n")]
    public async Task A_proxy_header_tells_whose_a_connection_is(string header, string sameClient, string another)
    {
        await using RunningServer server = await RunningServer.StartAsync(ServerLaunch.Sqlite
            .With("CONNECTIONS_PER_IP_MAX", "1").With("TRUSTED_PROXIES", "127.0.0.1,::1").With("PROXY_PROTOCOL", "on"));

        using RawClient first = await server.ConnectRawAsync();
        await first.TrickleAsync(header + Health, untilAnswered: false);
        Assert.Equal(200, (await first.ReadResponseAsync()).Status);
        using RawClient second = await server.ConnectRawAsync();
        await second.SendAsync(sameClient + Health);
        Assert.Equal(429, (await second.ReadResponseAsync()).Status);
        using RawClient third = await server.ConnectRawAsync();
        await third.SendAsync(another + Health);
        Assert.Equal(200, (await third.ReadResponseAsync()).Status);
        using RawClient none = await server.ConnectRawAsync();
        await none.SendAsync(Health);
        Assert.Equal((400, "close"), await none.ReadResponseAsync() is var refusal ? (refusal.Status, refusal.Fields["Connection"]) : default);
        await none.IsClosedAsync();
    }

    [Theory]
    [InlineData("")]
    [InlineData("PROXY TCP4 192.0.2.1")]
    public async Task A_proxy_header_that_does_not_come_is_not_waited_for(string start)
    {
        await using RunningServer server = await RunningServer.StartAsync(ServerLaunch.Sqlite
            .With("TRUSTED_PROXIES", "127.0.0.1,::1").With("PROXY_PROTOCOL", "on").With("HTTP_HEAD_TIMEOUT_MS", "500"));
        using RawClient client = await server.ConnectRawAsync();
        await client.SendAsync(start);

        await client.IsClosedAsync();
    }

    [Fact]
    public async Task A_proxy_header_from_a_stranger_is_a_malformed_request()
    {
        await using RunningServer server = await RunningServer.StartAsync(ServerLaunch.Sqlite
            .With("TRUSTED_PROXIES", "192.0.2.1").With("PROXY_PROTOCOL", "on"));
        using RawClient client = await server.ConnectRawAsync();
        await client.SendAsync("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n" + Health);

        Assert.Equal(400, (await client.ReadResponseAsync()).Status);
        await client.IsClosedAsync();
        Assert.Equal(200, (await server.GetAsync("/healthz")).Status);
    }

    private static async Task<RawClient> OpenAsync(RunningServer server)
    {
        RawClient client = await server.ConnectRawAsync();
        await client.SendAsync(Health);
        Assert.Equal(200, (await client.ReadResponseAsync()).Status);
        return client;
    }

    /// <summary>A place is free a moment after the connection that had it: each try waits for the server's word.</summary>
    private static async Task<RawClient> OpenWhenThereIsRoomAsync(RunningServer server)
    {
        for (long startedAt = Environment.TickCount64; ;)
        {
            RawClient client = await server.ConnectRawAsync();
            string answer = "";
            try
            {
                await client.SendAsync(Health);
                RawResponse response = await client.ReadResponseAsync();
                if (response.Status == 200)
                {
                    return client;
                }

                answer = response.StatusLine;
            }
            catch (Xunit.Sdk.XunitException exception)
            {
                answer = exception.Message; // Closed before it could be read.
            }

            client.Dispose();
            Assert.True(Environment.TickCount64 - startedAt < Deadline.ForAnswer.TotalMilliseconds, answer);
        }
    }

    private static async Task<int> UpgradeAsync(RunningServer server, List<RawClient> clients, string token, string forwardedFor)
    {
        RawClient client = await server.ConnectRawAsync();
        clients.Add(client);
        await client.SendAsync(RawClient.Handshake($"/ws?token={token}").Replace("\r\n\r\n", $"\r\nX-Forwarded-For: {forwardedFor}\r\n\r\n", StringComparison.Ordinal));
        return (await client.ReadResponseAsync()).Status;
    }
}
