using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>A certificate that signs itself, as PEM files, and the clients' way to know it again.</summary>
internal static class TestCertificate
{
    private const string Subject = "CN=Chat end-to-end test";

    /// <summary>For clients: the one certificate they trust.</summary>
    public static bool IsOurs(X509Certificate? certificate) => certificate?.Subject == Subject;

    public static void Write(string certFile, string keyFile)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(Subject, key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        DateTimeOffset now = DateTimeOffset.UtcNow;
        using X509Certificate2 certificate = request.CreateSelfSigned(now.AddDays(-1), now.AddDays(1));
        File.WriteAllText(certFile, certificate.ExportCertificatePem());
        File.WriteAllText(keyFile, key.ExportPkcs8PrivateKeyPem());
    }
}
