using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Chat.Server.Settings;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Chat.Server.Connections;

/// <summary>
/// Kestrel as the layer below ours: it binds, accepts, speaks TLS, and hands each connection to our middleware. Its HTTP
/// stack is never entered. Started and stopped by hand, without a host: the composition root decides when.
/// </summary>
internal sealed class KestrelEndpoint : IAsyncDisposable
{
    private readonly WebApplication _services;
    private readonly IServer _server;
    private readonly ServerSettings _settings;

    /// <param name="settings">Host, port and TLS.</param>
    /// <param name="handler">The last middleware.</param>
    /// <param name="transport">What Kestrel binds through; null for its own.</param>
    /// <param name="loggers">Outlives this.</param>
    /// <exception cref="StartException">HOST is not found, or the certificate cannot be used.</exception>
    public KestrelEndpoint(
        ServerSettings settings, ConnectionHandler handler, IConnectionListenerFactory? transport, ILoggerFactory loggers)
    {
        _settings = settings;
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddSingleton(loggers);
        if (transport is not null)
        {
            builder.Services.AddSingleton(transport);
        }

        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel =>
        {
            void Configure(ListenOptions listen)
            {
                listen.Protocols = HttpProtocols.None; // Ours is the last middleware.
                if (settings.Tls is { } tls)
                {
                    // Its handshake stands before our own deadlines, and gets no more time than a head.
                    listen.UseHttps(https =>
                    {
                        LoadCertificate(tls, https);
                        https.HandshakeTimeout = TimeSpan.FromMilliseconds(settings.Http.HeadTimeoutMs);
                    });
                }

                listen.Run(handler.OnConnectedAsync);
            }

            Bind(kestrel, settings, Configure);
        });
        _services = builder.Build();
        _server = _services.Services.GetRequiredService<IServer>();
    }

    /// <summary>What clients type, with the ports that were really bound. After <see cref="StartAsync"/>.</summary>
    public IReadOnlyCollection<string> Urls => [.. _server.Features.GetRequiredFeature<IServerAddressesFeature>().Addresses];

    /// <exception cref="IOException">The port is in use.</exception>
    /// <exception cref="StartException">The address cannot be bound for another reason.</exception>
    public async Task StartAsync()
    {
        try
        {
            await _server.StartAsync(new NoApplication(), CancellationToken.None);
        }
        catch (SocketException exception)
        {
            throw HostException(_settings, exception);
        }
    }

    /// <summary>Stops accepting at once, and waits for the connections to end; when <paramref name="patience"/> ends, aborts them.</summary>
    public Task StopAsync(CancellationToken patience) => _server.StopAsync(patience);

    public async ValueTask DisposeAsync() => await _services.DisposeAsync();

    private static void Bind(KestrelServerOptions kestrel, ServerSettings settings, Action<ListenOptions> configure)
    {
        if (settings.Host.Equals("localhost", StringComparison.OrdinalIgnoreCase))
        {
            if (settings.Port == 0)
            {
                kestrel.Listen(IPAddress.Loopback, 0, configure); // One free port cannot be had on both loopbacks at once.
            }
            else
            {
                kestrel.ListenLocalhost(settings.Port, configure);
            }
        }
        else if (settings.Host is "*" or "+")
        {
            kestrel.ListenAnyIP(settings.Port, configure);
        }
        else
        {
            IPAddress address = IPAddress.TryParse(settings.Host, out IPAddress? parsed) ? parsed : FindHost(settings);
            kestrel.Listen(address, settings.Port, configure);
        }
    }

    private static IPAddress FindHost(ServerSettings settings)
    {
        try
        {
            return Dns.GetHostAddresses(settings.Host)[0];
        }
        catch (Exception exception) when (exception is SocketException or ArgumentException) // Or it is too long for a name.
        {
            throw HostException(settings, exception);
        }
    }

    private static StartException HostException(ServerSettings settings, Exception exception) =>
        new($"HOST: cannot listen at {settings.Host}, port {settings.Port}: {exception.Message}", exception);

    private static void LoadCertificate(TlsFiles files, HttpsConnectionAdapterOptions https)
    {
        try
        {
            using X509Certificate2 pem = X509Certificate2.CreateFromPemFile(files.CertFile, files.KeyFile);
            // Through PKCS #12: Windows does not take a key that lives in memory only.
            https.ServerCertificate = X509CertificateLoader.LoadPkcs12(pem.Export(X509ContentType.Pkcs12), null);
            // The intermediates, which no client has to know (RFC 8446 section 4.4.2). The first one is the certificate itself.
            https.ServerCertificateChain = [];
            https.ServerCertificateChain.ImportFromPemFile(files.CertFile);
            https.ServerCertificateChain[0].Dispose();
            https.ServerCertificateChain.RemoveAt(0);
        }
        catch (Exception exception) when (exception is CryptographicException or ArgumentException) // The latter for the key of another certificate.
        {
            throw new StartException($"TLS_CERT_FILE, TLS_KEY_FILE: {exception.Message}", exception);
        }
    }

    /// <summary>Kestrel asks for an application; no connection ever reaches it.</summary>
    private sealed class NoApplication : IHttpApplication<object>
    {
        public object CreateContext(IFeatureCollection contextFeatures) => throw new NotSupportedException();

        public Task ProcessRequestAsync(object context) => throw new NotSupportedException();

        public void DisposeContext(object context, Exception? exception) => throw new NotSupportedException();
    }
}
