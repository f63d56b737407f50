using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Chat.Server.Auth;

/// <summary>
/// Remembers validated tokens, so that a client which reconnects costs one SHA-256 instead of a full validation. Only valid tokens enter:
/// a stranger can neither fill it nor push others out. Keyed by digest, so that a memory dump holds no usable token.
/// Bounded by two generations: what is found in the old one moves to the young one, and a full young one replaces the
/// old, which forgets what was not used for a while at no cost per lookup.
/// Thread-safe: lookups take no lock; two threads that rotate at once would only forget early, so that rotation has one.
/// </summary>
internal sealed class TokenCache(int capacity)
{
    private readonly int _generationMax = Math.Max(1, capacity / 2);
    private readonly Lock _rotation = new();
    private volatile ConcurrentDictionary<TokenDigest, TokenIdentity> _young = new();
    private volatile ConcurrentDictionary<TokenDigest, TokenIdentity> _old = new();

    // ConcurrentDictionary.Count locks the whole table; this counts the insertions into the young generation.
    private int _youngCount;

    /// <summary>Entries held; at most the capacity, give or take one a thread. For tests.</summary>
    public int Count => _young.Count + _old.Count;

    /// <summary>False when unknown. The caller checks the expiry: only it has the time.</summary>
    public bool TryGet(in TokenDigest digest, out TokenIdentity? identity)
    {
        if (_young.TryGetValue(digest, out identity))
        {
            return true;
        }
        if (!_old.TryGetValue(digest, out identity))
        {
            return false;
        }
        Add(digest, identity);
        return true;
    }

    public void Add(in TokenDigest digest, TokenIdentity identity)
    {
        if (_young.TryAdd(digest, identity) && Interlocked.Increment(ref _youngCount) >= _generationMax)
        {
            Rotate();
        }
    }

    private void Rotate()
    {
        lock (_rotation)
        {
            if (Volatile.Read(ref _youngCount) < _generationMax)
            {
                return;
            }
            _old = _young;
            _young = new();
            Volatile.Write(ref _youngCount, 0);
        }
    }
}

/// <summary>SHA-256 of a token.</summary>
internal readonly record struct TokenDigest(ulong A, ulong B, ulong C, ulong D)
{
    public static TokenDigest Of(ReadOnlySpan<byte> token)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(token, hash);
        return MemoryMarshal.Read<TokenDigest>(hash);
    }

    // Any part of a SHA-256 is as good as a hash of the whole.
    public override int GetHashCode() => (int)A;
}
