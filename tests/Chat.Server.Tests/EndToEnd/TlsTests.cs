using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using Chat.TestKit;

namespace Chat.Server.Tests.EndToEnd;

public sealed class TlsTests(TlsTests.Fixture fixture) : IClassFixture<TlsTests.Fixture>
{
    private readonly RunningServer _server = fixture.Server;

    [Fact]
    public async Task Rest_and_sockets_work_over_tls()
    {
        Assert.Equal("https", _server.Url.Scheme);
        User user = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);
        using ChatSocket socket = await _server.EnterAsync(user, room);

        await _server.PublishAsync(user, room, new string('x', 4000));
        await socket.SayAsync("over wss");

        await socket.NextMessagesAsync(1, 2);
        await socket.NextAsync("ack");
        Assert.Equal(1000, await socket.CloseAsync());
    }

    [Fact]
    public async Task A_client_that_trusts_the_root_alone_is_sent_what_leads_there()
    {
        using var client = new TcpClient();
        await client.ConnectAsync(_server.Url.Host, _server.Url.Port, TestContext.Current.CancellationToken);
        await using var tls = new SslStream(client.GetStream());
        var policy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            DisableCertificateDownloads = true,
            RevocationMode = X509RevocationMode.NoCheck,
        };
        policy.CustomTrustStore.Add(fixture.Root);

        await tls.AuthenticateAsClientAsync(
            new SslClientAuthenticationOptions { TargetHost = "localhost", CertificateChainPolicy = policy }, TestContext.Current.CancellationToken);

        Assert.True(tls.IsAuthenticated);
    }

    [Fact]
    public async Task An_https_target_is_served_over_tls()
    {
        using var client = new TcpClient();
        await client.ConnectAsync(_server.Url.Host, _server.Url.Port, TestContext.Current.CancellationToken);
        await using var tls = new SslStream(client.GetStream(), leaveInnerStreamOpen: false, static (_, certificate, _, _) => TestCertificate.IsOurs(certificate));
        await tls.AuthenticateAsClientAsync("localhost");
        await tls.WriteAsync("GET https://a/healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"u8.ToArray(), TestContext.Current.CancellationToken);
        using var reader = new StreamReader(tls);

        Assert.Equal("HTTP/1.1 200 OK", await reader.ReadLineAsync(TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Plain_http_to_the_tls_port_is_refused_and_the_server_goes_on()
    {
        using RawClient client = await _server.ConnectRawAsync();
        await client.SendAsync("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");

        Assert.DoesNotContain("200", await client.ReadToEndAsync(), StringComparison.Ordinal);
        Assert.Equal(200, (await _server.GetAsync("/healthz")).Status);
    }

    [Theory]
    [InlineData("")]
    [InlineData("\u0016\u0003\u0001\u0002\0\u0001")]
    public async Task A_tls_handshake_that_is_not_finished_is_ended(string start)
    {
        await using RunningServer server = await RunningServer.StartAsync(fixture.Launch.With("HTTP_HEAD_TIMEOUT_MS", "500"));
        using RawClient client = await server.ConnectRawAsync();
        await client.SendAsync(start);

        await client.ReadToEndAsync(); // Kestrel may say so in an alert.
    }

    [Fact]
    public async Task A_client_that_vanishes_during_the_tls_handshake_is_forgotten()
    {
        for (int i = 0; i < 5; i++)
        {
            RawClient client = await _server.ConnectRawAsync();
            await client.SendAsync("\u0016\u0003\u0001\u0002\0\u0001");
            client.Reset();
        }

        Assert.Equal(200, (await _server.GetAsync("/healthz")).Status);
    }

    [Fact]
    public async Task A_renewed_certificate_is_shown_and_connections_go_on()
    {
        using var folder = new TempFolder();
        TestCertificate.Write(folder.File("cert.pem"), folder.File("key.pem")).Dispose();
        await using RunningServer server = await RunningServer.StartAsync(Launch(folder));
        User user = await server.RegisterAsync();
        using ChatSocket socket = await server.EnterAsync(user, await server.CreateRoomAsync(user));

        TestCertificate.Write(folder.File("cert.pem"), folder.File("key.pem"), days: 5).Dispose();

        using var renewed = X509Certificate2.CreateFromPem(await File.ReadAllTextAsync(folder.File("cert.pem"), TestContext.Current.CancellationToken));
        string shown = "";
        await server.AskUntilAsync(
            async () => (shown = await ShownAsync(server)) == renewed.Thumbprint, Deadline.ForAnswer, () => $"Shown is {shown}, not {renewed.Thumbprint}.");
        await socket.SayAsync("from before");
        await socket.NextMessagesAsync(1, 1);
        await socket.NextAsync("ack");
        Assert.Equal(
            new DateTimeOffset(renewed.NotAfter).ToUnixTimeSeconds(), await server.MetricAsync("chat_tls_certificate_not_after_seconds"));
    }

    private static ServerLaunch Launch(TempFolder folder) =>
        ServerLaunch.Sqlite.With("TLS_CERT_FILE", folder.File("cert.pem")).With("TLS_KEY_FILE", folder.File("key.pem"));

    private static async Task<string> ShownAsync(RunningServer server)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(server.Url.Host, server.Url.Port, TestContext.Current.CancellationToken);
        await using var tls = new SslStream(client.GetStream(), leaveInnerStreamOpen: false, static (_, certificate, _, _) => TestCertificate.IsOurs(certificate));
        await tls.AuthenticateAsClientAsync("localhost");
        return tls.RemoteCertificate!.GetCertHashString();
    }

    public sealed class Fixture : ServerFixture
    {
        private readonly TempFolder _folder;

        public Fixture()
            : this(new TempFolder())
        {
        }

        private Fixture(TempFolder folder)
            : base(TlsTests.Launch(folder))
        {
            _folder = folder;
            Root = TestCertificate.Write(folder.File("cert.pem"), folder.File("key.pem"));
        }

        /// <summary>Whom its clients trust.</summary>
        public X509Certificate2 Root { get; }

        public override async ValueTask DisposeAsync()
        {
            await base.DisposeAsync();
            Root.Dispose();
            _folder.Dispose();
        }
    }
}
