using System.Security.Cryptography.X509Certificates;
using Chat.Server.Connections;
using Chat.Server.Settings;
using Chat.Server.Tests.Auth;
using Chat.Server.Tests.EndToEnd;
using Chat.TestKit;

namespace Chat.Server.Tests.Connections;

public sealed class TlsCertificateTests : IDisposable
{
    private readonly TempFolder _folder = new();
    private readonly LogLines _log = new();
    private readonly ServerMetrics _metrics = new();

    private string CertFile => _folder.File("cert.pem");

    private string KeyFile => _folder.File("key.pem");

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(null)]
    [InlineData(TestCertificate.ForServers)]
    public void What_has_changed_is_shown_once_it_is_the_same_at_two_looks(string? usage)
    {
        TlsCertificate certificate = Open();
        string before = Shown(certificate);
        certificate.Look();
        TestCertificate.Write(CertFile, KeyFile, days: 5, usage).Dispose();

        certificate.Look();
        Assert.Equal(before, Shown(certificate));
        certificate.Look();

        using var renewed = X509Certificate2.CreateFromPem(File.ReadAllText(CertFile));
        Assert.Equal(renewed.Thumbprint, Shown(certificate));
        Assert.Single(certificate.Options.ServerCertificateContext!.IntermediateCertificates);
        Assert.Equal(new DateTimeOffset(renewed.NotAfter).ToUnixTimeSeconds(), _metrics.CertificateNotAfterSeconds);
    }

    [Theory]
    [MemberData(nameof(TestCertificate.Unusable), MemberType = typeof(TestCertificate))]
    public void What_cannot_be_used_is_told_once_and_the_one_before_stays(string what)
    {
        TlsCertificate certificate = Open();
        string before = Shown(certificate);
        TestCertificate.WriteUnusable(CertFile, KeyFile, what);

        for (int i = 0; i < 10; i++)
        {
            certificate.Look();
        }

        Assert.Equal(before, Shown(certificate));
        Assert.Single(_log.Lines, static line => line.StartsWith("Warning", StringComparison.Ordinal));
        TestCertificate.Write(CertFile, KeyFile).Dispose();
        certificate.Look();
        certificate.Look();
        Assert.NotEqual(before, Shown(certificate));
    }

    [Theory]
    [MemberData(nameof(TestCertificate.Unusable), MemberType = typeof(TestCertificate))]
    public void The_first_one_must_be_usable(string what)
    {
        TestCertificate.WriteUnusable(CertFile, KeyFile, what);

        Assert.StartsWith("TLS_CERT_FILE, TLS_KEY_FILE: ", Assert.Throws<StartException>(OpenAsItIs).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_key_stays_out_of_the_log()
    {
        TlsCertificate certificate = Open();
        string first = File.ReadAllLines(KeyFile)[1];
        TestCertificate.WriteUnusable(CertFile, KeyFile, "of another key");
        string second = File.ReadAllLines(KeyFile)[1];
        certificate.Look();
        certificate.Look();

        Assert.Equal(2, _log.Lines.Count); // Loaded, refused.
        Assert.DoesNotContain(_log.Lines, line => line.Contains(first, StringComparison.Ordinal) || line.Contains(second, StringComparison.Ordinal));
    }

    private TlsCertificate Open()
    {
        TestCertificate.Write(CertFile, KeyFile).Dispose();
        return OpenAsItIs();
    }

    private TlsCertificate OpenAsItIs() => new(new TlsFiles(CertFile, KeyFile), _metrics, _log);

    private static string Shown(TlsCertificate certificate) => certificate.Options.ServerCertificateContext!.TargetCertificate.Thumbprint;
}
