using System.Text;
using Chat.Server.Auth;
using Chat.Server.Settings;
using Microsoft.Extensions.Logging.Abstractions;
using NSec.Cryptography;
using IsopohArgon2 = Isopoh.Cryptography.Argon2;

namespace Chat.Bench;

/// <summary>
/// One login's worth of Argon2id (19 MiB, two passes, one lane): ours, behind its gate, and the two others that one would take, one of them native.
/// </summary>
[MemoryDiagnoser]
public class PasswordBenchmarks : IDisposable
{
    private const string Password = "correct horse battery staple";
    private const int MemoryKib = 19_456;
    private const int Iterations = 2;

    private readonly byte[] _password = Encoding.UTF8.GetBytes(Password);
    private readonly byte[] _salt = new byte[PasswordHash.SaltBytes];
    private readonly PasswordHasher _hasher = new(
        new Argon2Settings(MemoryKib, Iterations, Parallelism: 1, Concurrency: 1, QueueMax: 1),
        NullLogger<PasswordHasher>.Instance);

    private readonly Argon2id _sodium = PasswordBasedKeyDerivationAlgorithm.Argon2id(
        new Argon2Parameters { DegreeOfParallelism = 1, MemorySize = MemoryKib, NumberOfPasses = Iterations });

    [Benchmark(Baseline = true)]
    public byte[] Isopoh()
    {
        using var argon2 = new IsopohArgon2.Argon2(new IsopohArgon2.Argon2Config
        {
            Type = IsopohArgon2.Argon2Type.HybridAddressing,
            Password = _password,
            Salt = _salt,
            MemoryCost = MemoryKib,
            TimeCost = Iterations,
            Lanes = 1,
            Threads = 1,
            HashLength = PasswordHash.TagBytes,
        });
        using var tag = argon2.Hash();
        return [.. tag.Buffer];
    }

    [Benchmark]
    public byte[] Libsodium() => _sodium.DeriveBytes(_password, _salt, PasswordHash.TagBytes);

    [Benchmark]
    public async Task<string?> PasswordHasher() => await _hasher.HashAsync(Password, CancellationToken.None);

    [GlobalCleanup]
    public void Dispose()
    {
        _hasher.Dispose();
        GC.SuppressFinalize(this);
    }
}
