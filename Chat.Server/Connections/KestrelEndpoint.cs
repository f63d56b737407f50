using System.Net;
using System.Net.Sockets;
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

    /// <param name="settings">Host, port and deadlines.</param>
    /// <param name="certificate">For TLS; null for plain HTTP.</param>
    /// <param name="handler">The last middleware.</param>
    /// <param name="transport">What Kestrel binds through; null for its own.</param>
    /// <param name="loggers">Outlives this.</param>
    /// <exception cref="StartException">HOST is not found.</exception>
    public KestrelEndpoint(
        ServerSettings settings, TlsCertificate? certificate, ConnectionHandler handler, IConnectionListenerFactory? transport, ILoggerFactory loggers)
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
                if (certificate is not null)
                {
                    listen.UseHttps(new TlsHandshakeCallbackOptions
                    {
                        OnConnection = _ => new(certificate.Options),
                        // Its handshake stands before our own deadlines, and gets no more time than a head.
                        HandshakeTimeout = TimeSpan.FromMilliseconds(settings.Http.HeadTimeoutMs),
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

    /// <summary>Kestrel asks for an application; no connection ever reaches it.</summary>
    private sealed class NoApplication : IHttpApplication<object>
    {
        public object CreateContext(IFeatureCollection contextFeatures) => throw new NotSupportedException();

        public Task ProcessRequestAsync(object context) => throw new NotSupportedException();

        public void DisposeContext(object context, Exception? exception) => throw new NotSupportedException();
    }
}
