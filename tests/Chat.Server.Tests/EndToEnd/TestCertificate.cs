using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>A certificate with those that vouch for it, as PEM files, and the clients' way to know it again.</summary>
internal static class TestCertificate
{
    private const string Subject = "CN=Chat end-to-end test";

    /// <summary>For clients that do not look further: the one certificate they trust.</summary>
    public static bool IsOurs(X509Certificate? certificate) => certificate?.Subject == Subject;

    /// <summary>Writes the certificate and the intermediate that has signed it, and the key. Returns the root, which nobody is sent.</summary>
    public static X509Certificate2 Write(string certFile, string keyFile)
    {
        using var rootKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var intermediateKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        DateTimeOffset from = DateTimeOffset.UtcNow.AddDays(-1);
        DateTimeOffset to = from.AddDays(2);
        using X509Certificate2 root = Request("CN=Root", rootKey, isAuthority: true).CreateSelfSigned(from, to);
        using X509Certificate2 intermediate = Request("CN=Intermediate", intermediateKey, isAuthority: true).Create(root, from, to, [1]);
        using X509Certificate2 signer = intermediate.CopyWithPrivateKey(intermediateKey);
        CertificateRequest request = Request(Subject, key, isAuthority: false);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        names.AddDnsName("localhost");
        request.CertificateExtensions.Add(names.Build());
        using X509Certificate2 certificate = request.Create(signer, from, to, [2]);
        File.WriteAllText(certFile, $"{certificate.ExportCertificatePem()}\n{intermediate.ExportCertificatePem()}\n");
        File.WriteAllText(keyFile, key.ExportPkcs8PrivateKeyPem());
        return X509CertificateLoader.LoadCertificate(root.RawData);
    }

    private static CertificateRequest Request(string subject, ECDsa key, bool isAuthority)
    {
        var request = new CertificateRequest(subject, key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(isAuthority, false, 0, critical: true));
        return request;
    }
}
