namespace Chat.Server.Connections;

/// <summary>
/// The three buckets of one connection, in 16 bytes that live in its session: what has been used and has not come back yet.
/// <c>default</c> is full. Only the input side's, so nothing here needs to be atomic.
/// <para>
/// What is refused is used up all the same. A client that waits as it is told pays for that once; one that goes on digs itself
/// in, and <see cref="IsExhausted"/> when it owes a whole burst.
/// </para>
/// </summary>
internal struct ConnectionRate
{
    private float _messages;
    private float _bytes;
    private float _commands;

    /// <summary>The clock's low 32 bits: 49 days, after which a silent connection may get less back than it should.</summary>
    private uint _countedMs;

    /// <summary>Uses a place of the connection's, and one of its user's if there was one. 0 when there were both, else the milliseconds until there will be.</summary>
    /// <param name="limits">Of every connection and user.</param>
    /// <param name="userId">Whose connection it is.</param>
    /// <param name="isMessage">Or any other command.</param>
    /// <param name="bytes">Length of the command.</param>
    /// <param name="nowMs">Of a clock that never steps.</param>
    public int Take(RateLimits limits, long userId, bool isMessage, int bytes, long nowMs)
    {
        int retryAfterMs = isMessage ? TakeMessage(limits, bytes, nowMs) : TakeCommand(limits, bytes, nowMs);
        if (retryAfterMs == 0)
        {
            retryAfterMs = isMessage ? limits.TakeMessage(userId, bytes, nowMs) : limits.TakeCommand(userId, bytes, nowMs);
            if (retryAfterMs > 0)
            {
                Charge(limits, isMessage, bytes);
            }
        }

        return retryAfterMs;
    }

    /// <summary>Uses a message's place. 0 when there was one, else the milliseconds until there will be.</summary>
    /// <param name="limits">Of every connection.</param>
    /// <param name="bytes">Length of the command.</param>
    /// <param name="nowMs">Of a clock that never steps.</param>
    public int TakeMessage(RateLimits limits, int bytes, long nowMs)
    {
        GiveBack(limits, nowMs);
        return Math.Max(
            Take(ref _messages, 1, limits.Connection.MessagesPerS, limits.BurstMs), Take(ref _bytes, bytes, limits.Connection.BytesPerS, limits.BurstMs));
    }

    /// <summary>The same for any other command.</summary>
    public int TakeCommand(RateLimits limits, int bytes, long nowMs)
    {
        GiveBack(limits, nowMs);
        return Math.Max(
            Take(ref _commands, 1, limits.Connection.CommandsPerS, limits.BurstMs), Take(ref _bytes, bytes, limits.Connection.BytesPerS, limits.BurstMs));
    }

    /// <summary>The same for the pieces of a message that is not whole yet: what they take on the wire, headers included.</summary>
    public int TakeBytes(RateLimits limits, int bytes, long nowMs)
    {
        GiveBack(limits, nowMs);
        return Take(ref _bytes, bytes, limits.Connection.BytesPerS, limits.BurstMs);
    }

    /// <summary>The user's buckets refused what this connection's had let through: it costs as much as a refusal here.</summary>
    public void Charge(RateLimits limits, bool isMessage, int bytes)
    {
        if (isMessage)
        {
            _messages++;
        }
        else
        {
            _commands++;
        }

        _bytes += limits.Connection.BytesPerS == 0 ? 0 : bytes;
    }

    /// <summary>It owes a burst beyond the burst that it may have: it does not listen to what it is told.</summary>
    public readonly bool IsExhausted(RateLimits limits) =>
        Owes(_messages, limits.Connection.MessagesPerS, limits.BurstMs)
        || Owes(_bytes, limits.Connection.BytesPerS, limits.BurstMs)
        || Owes(_commands, limits.Connection.CommandsPerS, limits.BurstMs);

    private static bool Owes(float used, int perS, int burstMs) => perS != 0 && used > 2 * Burst(perS, burstMs);

    private static int Take(ref float used, int count, int perS, int burstMs)
    {
        if (perS == 0)
        {
            return 0;
        }

        used += count;
        float over = used - Burst(perS, burstMs);
        return over <= 0 ? 0 : (int)((over + count) * 1000 / perS) + 1; // Then there is a place for the next attempt.
    }

    private static float Burst(int perS, int burstMs) => perS * (burstMs / 1000f);

    private void GiveBack(RateLimits limits, long nowMs)
    {
        uint elapsedMs = (uint)nowMs - _countedMs;
        if (elapsedMs == 0)
        {
            return;
        }

        _countedMs = (uint)nowMs;
        float seconds = elapsedMs / 1000f;
        _messages = Math.Max(0, _messages - (limits.Connection.MessagesPerS * seconds));
        _bytes = Math.Max(0, _bytes - (limits.Connection.BytesPerS * seconds));
        _commands = Math.Max(0, _commands - (limits.Connection.CommandsPerS * seconds));
    }
}
