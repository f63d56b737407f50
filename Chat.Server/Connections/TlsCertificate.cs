using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Chat.Server.Settings;
using Microsoft.Extensions.Logging;

namespace Chat.Server.Connections;

/// <summary>
/// The certificate that is shown to clients, and shown anew when its files change: a renewal, every few weeks, must not cost everybody the connection.
/// The files are compared by what is in them, since renewals replace files, links or folders. A pair that cannot be used is told once, and the one
/// before it stays. Connections keep what they began with. Any thread reads, one task loads.
/// </summary>
internal sealed partial class TlsCertificate
{
    public const int LookMs = 1000;

    private const string ServerAuthentication = "1.3.6.1.5.5.7.3.1"; // id-kp-serverAuth, RFC 5280 section 4.2.1.12.

    private readonly TlsFiles _files;
    private readonly ServerMetrics _metrics;
    private readonly ILogger _logger;
    private volatile SslServerAuthenticationOptions _options;
    private Content _tried;
    private Content _seen;

    /// <param name="files">A chain, the certificate itself first, and its key, both as PEM.</param>
    /// <param name="metrics">Is told when the certificate ends.</param>
    /// <param name="logger">Is told of renewals.</param>
    /// <exception cref="StartException">They cannot be used.</exception>
    public TlsCertificate(TlsFiles files, ServerMetrics metrics, ILogger logger)
    {
        _files = files;
        _metrics = metrics;
        _logger = logger;
        _tried = Content.Read(files);
        try
        {
            _options = Load(_tried);
        }
        catch (Exception exception) when (IsUnusable(exception))
        {
            throw new StartException($"TLS_CERT_FILE, TLS_KEY_FILE: {exception.Message}", exception);
        }
    }

    /// <summary>What a handshake that begins now is to use.</summary>
    public SslServerAuthenticationOptions Options => _options;

    /// <summary>Looks at the files until it is told to stop.</summary>
    public async Task WatchAsync(TimeProvider time, CancellationToken stopping)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(LookMs), time);
        try
        {
            while (await timer.WaitForNextTickAsync(stopping))
            {
                Look();
            }
        }
        catch (OperationCanceledException)
        {
            // The server stops.
        }
    }

    /// <summary>Loads what has changed, once it was the same at two looks: files that are being written are not whole.</summary>
    public void Look()
    {
        var content = Content.Read(_files);
        bool isSettled = content == _seen;
        _seen = content;
        if (!isSettled || content == _tried)
        {
            return;
        }

        _tried = content;
        try
        {
            _options = Load(content);
        }
        catch (Exception exception) when (IsUnusable(exception))
        {
            Refused(_logger, exception.Message);
        }
    }

    private SslServerAuthenticationOptions Load(Content content)
    {
        if (content.Problem is not null)
        {
            throw new CryptographicException(content.Problem);
        }

        using X509Certificate2 pem = X509Certificate2.CreateFromPem(content.Chain, content.Key);
        if (pem.Extensions.OfType<X509EnhancedKeyUsageExtension>().FirstOrDefault() is { } usage && usage.EnhancedKeyUsages[ServerAuthentication] is null)
        {
            throw new CryptographicException("the certificate is not for servers (its extended key usage leaves out id-kp-serverAuth)");
        }

        // Through PKCS #12: Windows does not take a key that lives in memory only.
        X509Certificate2 certificate = X509CertificateLoader.LoadPkcs12(pem.Export(X509ContentType.Pkcs12), null);
        // With the intermediates, which no client has to know (RFC 8446 section 4.4.2). The first one is the certificate itself.
        X509Certificate2Collection chain = [];
        chain.ImportFromPem(content.Chain);
        chain[0].Dispose();
        chain.RemoveAt(0);
        // The one before is not disposed: handshakes under way still use it.
        var options = new SslServerAuthenticationOptions
        {
            ServerCertificateContext = SslStreamCertificateContext.Create(certificate, chain, offline: true),
            ApplicationProtocols = [], // Nothing is negotiated; Kestrel would fill in the same, in an object that handshakes share.
        };
        DateTimeOffset notAfter = certificate.NotAfter;
        _metrics.CertificateNotAfterSeconds = notAfter.ToUnixTimeSeconds();
        Loaded(_logger, certificate.Subject, notAfter);
        return options;
    }

    /// <summary>ArgumentException: the key of another certificate.</summary>
    private static bool IsUnusable(Exception exception) => exception is CryptographicException or ArgumentException;

    [LoggerMessage(Level = LogLevel.Information, Message = "TLS certificate of {Subject}, until {NotAfter:u}")]
    private static partial void Loaded(ILogger logger, string subject, DateTimeOffset notAfter);

    [LoggerMessage(Level = LogLevel.Warning, Message = "TLS_CERT_FILE, TLS_KEY_FILE have changed and cannot be used, the certificate from before stays: {Reason}")]
    private static partial void Refused(ILogger logger, string reason);

    /// <summary>What was in the two files, or why they could not be read.</summary>
    private readonly record struct Content(string Chain, string Key, string? Problem)
    {
        public static Content Read(TlsFiles files)
        {
            try
            {
                return new Content(File.ReadAllText(files.CertFile), File.ReadAllText(files.KeyFile), null);
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                return new Content("", "", exception.Message);
            }
        }
    }
}
