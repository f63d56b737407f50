using System.Text;
using Chat.Server.Auth;
using Chat.Server.Settings;
using Microsoft.Extensions.Logging.Abstractions;
using IsopohArgon2 = Isopoh.Cryptography.Argon2;

namespace Chat.Bench;

/// <summary>
/// One login's worth of Argon2id (19 MiB, two passes, one lane): ours (libsodium, behind its gate and on a thread of its own), libsodium itself, and the
/// two managed libraries that one would take, of which we keep the quicker for what libsodium does not do.
/// </summary>
[MemoryDiagnoser]
public class PasswordBenchmarks
{
    private const string Password = "correct horse battery staple";
    private const int MemoryKib = 19_456;
    private const int Iterations = 2;

    private static readonly Argon2Cost Cost = new(MemoryKib, Iterations, Parallelism: 1);

    private readonly byte[] _password = Encoding.UTF8.GetBytes(Password);
    private readonly byte[] _salt = new byte[PasswordHash.SaltBytes];
    private readonly PasswordHasher _hasher = new(
        new Argon2Settings(MemoryKib, Iterations, Parallelism: 1, Concurrency: 1, QueueMax: 1),
        NullLogger<PasswordHasher>.Instance);

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
    public byte[] Konscious() => Argon2.DeriveManaged(_password, _salt, Cost, PasswordHash.TagBytes);

    [Benchmark]
    public byte[] Libsodium() => Argon2.DeriveBySodium(_password, _salt, Cost, PasswordHash.TagBytes);

    [Benchmark]
    public async Task<string?> PasswordHasher() => await _hasher.HashAsync(Password, CancellationToken.None);
}
