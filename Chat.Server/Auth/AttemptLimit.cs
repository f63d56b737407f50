using System.Security.Cryptography;
using Chat.Protocol;

namespace Chat.Server.Auth;

/// <summary>
/// How often something may be tried, by key: a burst of <c>attemptsMax</c>, which comes back evenly over the period. The table
/// has a fixed size (1 MiB), whatever the number of keys: when a set of it is full, the key that has used least of its
/// attempts is forgotten. Thread-safe; for things that cost far more than a lock.
/// </summary>
/// <remarks>
/// A key is kept as one time, at which all of its attempts will be back (the generic cell rate algorithm): each attempt moves
/// it on by a share of the period, and none is left when it is a whole period away.
/// </remarks>
internal sealed class AttemptLimit
{
    private const int Sets = 8192;
    private const int Ways = 8;

    private readonly Lock _lock = new();
    private readonly Entry[] _entries;
    private readonly byte[] _secret = RandomNumberGenerator.GetBytes(32);
    private readonly TimeProvider _time;
    private readonly long _periodMs;
    private readonly long _attemptMs;
    private readonly long _startedAt;

    /// <param name="attemptsMax">0: no limit, and nothing is kept.</param>
    /// <param name="period">In which <paramref name="attemptsMax"/> attempts come back; at least a millisecond each.</param>
    /// <param name="time">The clock.</param>
    public AttemptLimit(int attemptsMax, TimeSpan period, TimeProvider time)
    {
        _entries = attemptsMax == 0 ? [] : new Entry[Sets * Ways];
        _time = time;
        _attemptMs = attemptsMax == 0 ? 0 : (long)period.TotalMilliseconds / attemptsMax;
        Invariant.Require(attemptsMax == 0 || _attemptMs > 0);
        _periodMs = _attemptMs * attemptsMax;
        _startedAt = time.GetTimestamp();
    }

    /// <summary>Takes an attempt. False when there is none: the next comes in so many seconds.</summary>
    public bool TryTake(ReadOnlySpan<byte> key, out int retryAfterSeconds)
    {
        retryAfterSeconds = 0;
        if (_entries.Length == 0)
        {
            return true;
        }

        UInt128 hash = Hash(key);
        long nowMs = NowMs;
        lock (_lock)
        {
            ref Entry entry = ref FindOrReplace(hash);
            long wholeAtMs = Math.Max(entry.WholeAtMs, nowMs) + _attemptMs;
            if (wholeAtMs - nowMs > _periodMs)
            {
                retryAfterSeconds = (int)((wholeAtMs - nowMs - _periodMs + 999) / 1000);
                return false;
            }

            entry.WholeAtMs = wholeAtMs;
            return true;
        }
    }

    /// <summary>Gives an attempt back that was none of those to be limited.</summary>
    public void GiveBack(ReadOnlySpan<byte> key)
    {
        if (_entries.Length == 0)
        {
            return;
        }

        UInt128 hash = Hash(key);
        lock (_lock)
        {
            FindOrReplace(hash).WholeAtMs -= _attemptMs; // Below now means the same as now.
        }
    }

    /// <summary>Since the limit was made, and 1 at least: 0 is an entry that nobody has.</summary>
    private long NowMs => (long)_time.GetElapsedTime(_startedAt).TotalMilliseconds + 1;

    /// <summary>Keyed, so that nobody can choose keys that fall into one set and push another key out of it.</summary>
    private UInt128 Hash(ReadOnlySpan<byte> key)
    {
        Span<byte> hash = stackalloc byte[HMACSHA256.HashSizeInBytes];
        HMACSHA256.HashData(_secret, key, hash);
        return System.Buffers.Binary.BinaryPrimitives.ReadUInt128LittleEndian(hash);
    }

    private ref Entry FindOrReplace(UInt128 hash)
    {
        Span<Entry> set = _entries.AsSpan((int)(uint)(hash % Sets) * Ways, Ways);
        ulong key = (ulong)(hash >> 64);
        int oldest = 0;
        for (int i = 0; i < Ways; i++)
        {
            if (set[i].Key == key)
            {
                return ref set[i];
            }

            oldest = set[i].WholeAtMs < set[oldest].WholeAtMs ? i : oldest;
        }

        set[oldest] = new Entry { Key = key };
        return ref set[oldest];
    }

    private struct Entry
    {
        public ulong Key;
        public long WholeAtMs;
    }
}
