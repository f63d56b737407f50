using System.Collections.Concurrent;

namespace Chat.Server.Connections;

/// <summary>What one connection or one user may do on average, and at most at once. 0: without limit.</summary>
/// <param name="MessagesPerS">Messages a second.</param>
/// <param name="BytesPerS">Bytes of commands a second, of whatever kind.</param>
/// <param name="CommandsPerS">Commands other than messages, and REST calls, a second.</param>
internal sealed record Rate(int MessagesPerS, int BytesPerS, int CommandsPerS);

/// <summary>
/// Token buckets that keep one client from filling the message log for everybody: three for each connection
/// (<see cref="ConnectionRate"/>) and three for each user, whatever the number of their connections, tokens and REST calls.
/// <para>
/// Users are kept while their buckets are not full, which is a few seconds after they were last heard, and at most
/// <see cref="UsersMax"/>: an idle connection costs nothing here. Any thread; no lock, and no allocation but a user's first.
/// </para>
/// </summary>
internal sealed class RateLimits(Rate connection, Rate user, int burstMs, TimeProvider time)
{
    /// <summary>
    /// 19 MB at most. More users than that within seconds are beyond what one server carries; those who come then are held
    /// to the limits of their connections alone.
    /// </summary>
    public const int UsersMax = 100_000;

    private readonly ConcurrentDictionary<long, UserRate> _users = new();

    // ConcurrentDictionary.Count locks the whole table.
    private int _userCount;

    public Rate Connection { get; } = connection;

    public Rate User { get; } = user;

    /// <summary>What may come at once, in milliseconds of the average.</summary>
    public int BurstMs { get; } = burstMs;

    /// <summary>Milliseconds of a clock that never steps, the one of the shards.</summary>
    public long NowMs => time.GetTimestamp() / (time.TimestampFrequency / 1000);

    /// <summary>Users in the table; for tests.</summary>
    public int UserCount => Volatile.Read(ref _userCount);

    /// <summary>Takes a message's place from its sender. 0 when there is one, else the milliseconds until there will be.</summary>
    /// <param name="userId">The sender.</param>
    /// <param name="bytes">Length of the command.</param>
    /// <param name="nowMs"><see cref="NowMs"/>, which a session has read already.</param>
    public int TakeMessage(long userId, int bytes, long nowMs)
    {
        UserRate? rate = Find(userId);
        return rate is null
            ? 0
            : Math.Max(Take(ref rate.Messages, 1, User.MessagesPerS, nowMs), Take(ref rate.Bytes, bytes, User.BytesPerS, nowMs));
    }

    /// <summary>The same for any other command.</summary>
    public int TakeCommand(long userId, int bytes, long nowMs)
    {
        UserRate? rate = Find(userId);
        return rate is null
            ? 0
            : Math.Max(Take(ref rate.Commands, 1, User.CommandsPerS, nowMs), Take(ref rate.Bytes, bytes, User.BytesPerS, nowMs));
    }

    /// <summary>The same for the pieces of a message that is not whole yet.</summary>
    public int TakeBytes(long userId, int bytes, long nowMs) => Find(userId) is { } rate ? Take(ref rate.Bytes, bytes, User.BytesPerS, nowMs) : 0;

    /// <summary>
    /// Counts what was refused, on any connection of the user. True when they owe as much as their bucket holds: who comes back on a new connection,
    /// which owes nothing itself, is then ended with the first refusal. What is owed takes nothing from what they may do.
    /// </summary>
    /// <param name="userId">The sender.</param>
    /// <param name="messages">How many were refused.</param>
    /// <param name="commands">The same of other commands, pings included.</param>
    /// <param name="bytes">Length of all that.</param>
    /// <param name="nowMs"><see cref="NowMs"/>.</param>
    public bool Owe(long userId, int messages, int commands, int bytes, long nowMs) =>
        Find(userId) is { } rate
        && (Take(ref rate.OwedMessages, messages, User.MessagesPerS, nowMs) > 0
            | Take(ref rate.OwedCommands, commands, User.CommandsPerS, nowMs) > 0
            | Take(ref rate.OwedBytes, bytes, User.BytesPerS, nowMs) > 0);

    /// <summary>Forgets the users whose buckets are full again. Any thread, now and then.</summary>
    public void Sweep(long nowMs)
    {
        foreach (KeyValuePair<long, UserRate> entry in _users)
        {
            // Whoever holds this one and takes from it now goes uncounted for that once.
            if (entry.Value.IsFull(nowMs * 1000) && _users.TryRemove(entry))
            {
                Interlocked.Decrement(ref _userCount);
            }
        }
    }

    private UserRate? Find(long userId)
    {
        if (_users.TryGetValue(userId, out UserRate? rate))
        {
            return rate;
        }

        if (UserCount >= UsersMax)
        {
            return null;
        }

        rate = new UserRate();
        if (_users.TryAdd(userId, rate))
        {
            Interlocked.Increment(ref _userCount);
            return rate;
        }

        return _users.GetValueOrDefault(userId, rate);
    }

    /// <summary>
    /// The bucket is one number (the generic cell rate algorithm): when it will be full again, in microseconds. Taking moves it
    /// on, and it may be a burst ahead of now.
    /// </summary>
    private int Take(ref long fullAtUs, int count, int perS, long nowMs)
    {
        if (perS == 0)
        {
            return 0;
        }

        long nowUs = nowMs * 1000;
        long burstUs = BurstMs * 1000L;
        while (true)
        {
            long seen = Volatile.Read(ref fullAtUs);
            long next = Math.Max(seen, nowUs) + (count * 1_000_000L / perS);
            if (next - nowUs > burstUs)
            {
                return (int)Math.Min(int.MaxValue, ((next - nowUs - burstUs) / 1000) + 1);
            }

            if (Interlocked.CompareExchange(ref fullAtUs, next, seen) == seen)
            {
                return 0;
            }
        }
    }

    private sealed class UserRate
    {
        public long Messages;
        public long Bytes;
        public long Commands;
        public long OwedMessages;
        public long OwedBytes;
        public long OwedCommands;

        public bool IsFull(long nowUs) =>
            Volatile.Read(ref Messages) <= nowUs && Volatile.Read(ref Bytes) <= nowUs && Volatile.Read(ref Commands) <= nowUs
            && Volatile.Read(ref OwedMessages) <= nowUs && Volatile.Read(ref OwedBytes) <= nowUs && Volatile.Read(ref OwedCommands) <= nowUs;
    }
}
