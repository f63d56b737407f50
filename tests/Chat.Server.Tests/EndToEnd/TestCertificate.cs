using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>A certificate with those that vouch for it, as PEM files, and the clients' way to know it again.</summary>
internal static class TestCertificate
{
    /// <summary>id-kp-clientAuth and id-kp-serverAuth, RFC 5280 section 4.2.1.12.</summary>
    public const string ForClients = "1.3.6.1.5.5.7.3.2";
    public const string ForServers = "1.3.6.1.5.5.7.3.1";

    private const string Subject = "CN=Chat end-to-end test";

    /// <summary>What <see cref="WriteUnusable"/> can write.</summary>
    public static TheoryData<string> Unusable => ["malformed", "of another key", "for clients", "missing"];

    /// <summary>For clients that do not look further: the one certificate they trust.</summary>
    public static bool IsOurs(X509Certificate? certificate) => certificate?.Subject == Subject;

    /// <summary>Writes the certificate and the intermediate that has signed it, and the key. Returns the root, which nobody is sent.</summary>
    /// <param name="certFile">Where to.</param>
    /// <param name="keyFile">Where to.</param>
    /// <param name="days">How long it is good from now on.</param>
    /// <param name="usage">An extended key usage that it is restricted to; null for none.</param>
    public static X509Certificate2 Write(string certFile, string keyFile, int days = 1, string? usage = null)
    {
        using var rootKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var intermediateKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        DateTimeOffset from = DateTimeOffset.UtcNow.AddDays(-1);
        DateTimeOffset to = from.AddDays(1 + days);
        using X509Certificate2 root = Request("CN=Root", rootKey, isAuthority: true).CreateSelfSigned(from, to);
        using X509Certificate2 intermediate = Request("CN=Intermediate", intermediateKey, isAuthority: true).Create(root, from, to, [1]);
        using X509Certificate2 signer = intermediate.CopyWithPrivateKey(intermediateKey);
        CertificateRequest request = Request(Subject, key, isAuthority: false);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        names.AddDnsName("localhost");
        request.CertificateExtensions.Add(names.Build());
        if (usage is not null)
        {
            request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(usage)], critical: false));
        }

        using X509Certificate2 certificate = request.Create(signer, from, to, [2]);
        File.WriteAllText(certFile, $"{certificate.ExportCertificatePem()}\n{intermediate.ExportCertificatePem()}\n");
        File.WriteAllText(keyFile, key.ExportPkcs8PrivateKeyPem());
        return X509CertificateLoader.LoadCertificate(root.RawData);
    }

    /// <summary>The same, so that no server can use it.</summary>
    public static void WriteUnusable(string certFile, string keyFile, string what)
    {
        Write(certFile, keyFile, usage: what == "for clients" ? ForClients : null).Dispose();
        switch (what)
        {
            case "malformed":
                File.WriteAllText(certFile, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
                break;
            case "of another key":
                using (var another = ECDsa.Create(ECCurve.NamedCurves.nistP256))
                {
                    File.WriteAllText(keyFile, another.ExportPkcs8PrivateKeyPem());
                }

                break;
            case "missing":
                File.Delete(certFile);
                break;
        }
    }

    private static CertificateRequest Request(string subject, ECDsa key, bool isAuthority)
    {
        var request = new CertificateRequest(subject, key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(isAuthority, false, 0, critical: true));
        return request;
    }
}
