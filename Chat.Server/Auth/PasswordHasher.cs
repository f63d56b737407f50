using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;
using Chat.Server.Settings;
using Microsoft.Extensions.Logging;

namespace Chat.Server.Auth;

/// <summary>Argon2id as a function, so that tests can watch when it runs. Returns the tag; not on the caller's thread.</summary>
internal delegate Task<byte[]> Argon2Function(byte[] password, byte[] salt, Argon2Cost cost, int tagBytes);

/// <summary>What came of comparing a password with a stored hash.</summary>
internal enum PasswordVerdict
{
    Mismatch,
    Match,

    /// <summary>Right, but stored at another cost than today's: hash it again while the password is at hand.</summary>
    MatchNeedsRehash,

    /// <summary>The queue was full and nothing was computed: answer 429 with <see cref="PasswordHasher.RetryAfterSeconds"/>.</summary>
    Busy,
}

/// <summary>
/// Hashes and verifies passwords with Argon2id behind a gate. A hash takes about 15 ms of a core and 19 MB: ungated, 50 logins at once
/// would take a gigabyte. So at most <see cref="Argon2Settings.Concurrency"/> run at a time and at most
/// <see cref="Argon2Settings.QueueMax"/> wait; beyond that the answer is Busy, at once.
/// Thread-safe. The caller's thread never hashes: see <see cref="Argon2"/>.
/// </summary>
[SuppressMessage("Design", "CA1001",
    Justification = "A hash that was begun leaves the gate after the server has stopped; a semaphore without a wait handle holds nothing.")]
internal sealed class PasswordHasher
{
    // Measured for one hash at 19 MiB and 2 passes; only the estimate in Retry-After rests on it.
    private const double SecondsPerMibPass = 0.016 / (19 * 2);

    private readonly Argon2Cost _cost;
    private readonly Argon2Function _argon2;
    private readonly ILogger _logger;
    private readonly SemaphoreSlim _running;
    private readonly int _admittedMax;
    private int _admitted;
    private long _begun;

    /// <param name="settings">Cost and limits.</param>
    /// <param name="logger">Told of stored hashes that cannot be read; never given a password, hash or address.</param>
    /// <param name="argon2">Argon2id itself, unless a test says otherwise.</param>
    public PasswordHasher(Argon2Settings settings, ILogger<PasswordHasher> logger, Argon2Function? argon2 = null)
    {
        _cost = new Argon2Cost(settings.MemoryKib, settings.Iterations, settings.Parallelism);
        _argon2 = argon2 ?? Argon2.DeriveAsync;
        _logger = logger;
        _running = new SemaphoreSlim(settings.Concurrency);
        _admittedMax = settings.Concurrency + settings.QueueMax;
        RetryAfterSeconds = Math.Max(1, (int)Math.Ceiling(
            SecondsPerMibPass * settings.MemoryKib / 1024 * settings.Iterations * (settings.QueueMax + 1) / settings.Concurrency));
    }

    /// <summary>Seconds in which a full queue drains; at least 1.</summary>
    public int RetryAfterSeconds { get; }

    /// <summary>Hashes that run or wait now; for metrics.</summary>
    public int Pending => Volatile.Read(ref _admitted);

    /// <summary>Hashes that were begun; for metrics.</summary>
    public long Begun => Volatile.Read(ref _begun);

    /// <summary>The PHC string to store, of a fresh salt at today's cost; null when the queue was full (Busy).</summary>
    /// <exception cref="OperationCanceledException">Cancelled while it waited. Once started, a hash runs to its end.</exception>
    public async Task<string?> HashAsync(string password, CancellationToken cancellationToken)
    {
        var salt = RandomNumberGenerator.GetBytes(PasswordHash.SaltBytes);
        var tag = await DeriveAsync(password, salt, _cost, PasswordHash.TagBytes, cancellationToken).ConfigureAwait(false);
        return tag is null ? null : new PasswordHash(_cost, salt, tag).Format();
    }

    /// <summary>Compares in constant time, at the cost the stored hash names.</summary>
    /// <exception cref="OperationCanceledException">Cancelled while it waited.</exception>
    public async Task<PasswordVerdict> VerifyAsync(string password, string storedHash, CancellationToken cancellationToken)
    {
        if (!PasswordHash.TryParse(storedHash, out var hash))
        {
            _logger.StoredHashUnreadable();
            return await VerifyUnknownAsync(password, cancellationToken).ConfigureAwait(false);
        }
        var tag = await DeriveAsync(password, hash.Salt, hash.Cost, hash.Tag.Length, cancellationToken).ConfigureAwait(false);
        if (tag is null)
        {
            return PasswordVerdict.Busy;
        }
        if (!CryptographicOperations.FixedTimeEquals(tag, hash.Tag))
        {
            return PasswordVerdict.Mismatch;
        }
        return NeedsRehash(hash) ? PasswordVerdict.MatchNeedsRehash : PasswordVerdict.Match;
    }

    /// <summary>
    /// For an e-mail address that nobody has: the same gate and work as a wrong password, so that the time of an answer does not
    /// tell which addresses have accounts. <see cref="PasswordVerdict.Mismatch"/> or <see cref="PasswordVerdict.Busy"/>.
    /// </summary>
    /// <exception cref="OperationCanceledException">Cancelled while it waited.</exception>
    public async Task<PasswordVerdict> VerifyUnknownAsync(string password, CancellationToken cancellationToken)
    {
        var salt = RandomNumberGenerator.GetBytes(PasswordHash.SaltBytes);
        var tag = await DeriveAsync(password, salt, _cost, PasswordHash.TagBytes, cancellationToken).ConfigureAwait(false);
        return tag is null ? PasswordVerdict.Busy : PasswordVerdict.Mismatch;
    }

    private bool NeedsRehash(PasswordHash hash) =>
        hash.Cost != _cost || hash.Salt.Length < PasswordHash.SaltBytes || hash.Tag.Length < PasswordHash.TagBytes;

    /// <summary>The gate; null when the queue is full.</summary>
    private async Task<byte[]?> DeriveAsync(
        string password, byte[] salt, Argon2Cost cost, int tagBytes, CancellationToken cancellationToken)
    {
        // Counted before the wait: the semaphore by itself would let any number queue.
        if (Interlocked.Increment(ref _admitted) > _admittedMax)
        {
            Interlocked.Decrement(ref _admitted);
            return null;
        }
        try
        {
            await _running.WaitAsync(cancellationToken).ConfigureAwait(false);
            try
            {
                Interlocked.Increment(ref _begun);
                return await _argon2(Encoding.UTF8.GetBytes(password), salt, cost, tagBytes).ConfigureAwait(false);
            }
            finally
            {
                _running.Release();
            }
        }
        finally
        {
            Interlocked.Decrement(ref _admitted);
        }
    }
}
