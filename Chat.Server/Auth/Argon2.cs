using System.Security.Cryptography;
using NSec.Cryptography;

namespace Chat.Server.Auth;

/// <summary>
/// Argon2id (RFC 9106, version 0x13) by libsodium: 15 ms for 19 MiB and two passes against 50 ms in managed code, and its memory is the
/// library's own, where the other's 19 MiB arrays made a full collection of nearly every hash. What libsodium does not do (several lanes,
/// another salt than 16 bytes, a system it has no binary for) the managed library does; both give the same tags.
/// </summary>
internal static class Argon2
{
    private const int SodiumSaltBytes = 16; // crypto_pwhash_argon2id_SALTBYTES
    private const int SodiumTagBytesMin = 16; // crypto_pwhash_argon2id_BYTES_MIN
    private const int StackBytes = 256 * 1024;

    private static readonly BackgroundThreads Threads = new("argon2", StackBytes, keep: TimeSpan.FromSeconds(10));
    private static readonly Lazy<bool> HasSodium = new(ProbeSodium);

    /// <summary>
    /// Runs on a thread that gives way to the others: a hash may take as long as the cores are wanted for chat, and a thread of the pool would be
    /// lowered for whatever it does next. <paramref name="password"/> is overwritten before the task ends. Any thread.
    /// </summary>
    public static Task<byte[]> DeriveAsync(byte[] password, byte[] salt, Argon2Cost cost, int tagBytes) =>
        Threads.RunAsync(() =>
        {
            try
            {
                return CanSodium(salt, cost, tagBytes) && HasSodium.Value
                    ? DeriveBySodium(password, salt, cost, tagBytes)
                    : DeriveManaged(password, salt, cost, tagBytes);
            }
            finally
            {
                CryptographicOperations.ZeroMemory(password); // Before anyone learns that the hash is done.
            }
        });

    /// <summary>Whether libsodium computes tags of these parameters.</summary>
    internal static bool CanSodium(byte[] salt, Argon2Cost cost, int tagBytes) =>
        cost.Parallelism == 1 && salt.Length == SodiumSaltBytes && tagBytes >= SodiumTagBytesMin;

    /// <exception cref="ArgumentException">Not <see cref="CanSodium"/>.</exception>
    internal static byte[] DeriveBySodium(byte[] password, byte[] salt, Argon2Cost cost, int tagBytes) =>
        PasswordBasedKeyDerivationAlgorithm
            .Argon2id(new Argon2Parameters { DegreeOfParallelism = 1, MemorySize = cost.MemoryKib, NumberOfPasses = cost.Iterations })
            .DeriveBytes(password, salt, tagBytes);

    internal static byte[] DeriveManaged(byte[] password, byte[] salt, Argon2Cost cost, int tagBytes)
    {
        using var argon2 = new Konscious.Security.Cryptography.Argon2id(password)
        {
            Salt = salt,
            MemorySize = cost.MemoryKib,
            Iterations = cost.Iterations,
            DegreeOfParallelism = cost.Parallelism,
        };
        return argon2.GetBytes(tagBytes);
    }

    private static bool ProbeSodium()
    {
        try
        {
            DeriveBySodium([], new byte[SodiumSaltBytes], new Argon2Cost(8, 1, 1), SodiumTagBytesMin);
            return true;
        }
        catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException or BadImageFormatException
            or PlatformNotSupportedException or TypeInitializationException)
        {
            return false;
        }
    }
}
