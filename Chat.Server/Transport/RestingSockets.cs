using Chat.Server.Rooms;

namespace Chat.Server.Transport;

/// <summary>
/// Sockets that are left alone for some milliseconds: whose session has ended its input, and of which nothing is dropped meanwhile
/// (<see cref="Connections.Linger"/>), and whose last message has found its room's ring full. Only the shard's thread.
/// </summary>
internal sealed class RestingSockets
{
    private readonly PriorityQueue<ShardSocket, long> _lingering = new(); // By the end of their rest.
    private readonly PriorityQueue<ShardSocket, long> _parked = new(); // By since when.
    private long _parkedUntilMs; // All of them.

    public bool IsEmpty => _lingering.Count == 0 && _parked.Count == 0;

    /// <summary>A socket that does not rest yet.</summary>
    public void Add(ShardSocket socket, long untilMs) => _lingering.Enqueue(socket, untilMs);

    /// <summary>
    /// A socket that does not rest yet, and whose message has waited since then. They are woken together, who has waited longest first: a small ring
    /// has no room for all.
    /// </summary>
    public void Park(ShardSocket socket, long sinceMs, long nowMs)
    {
        if (_parked.Count == 0)
        {
            _parkedUntilMs = nowMs + Room.FullRingRetryMs;
        }

        _parked.Enqueue(socket, sinceMs);
    }

    /// <summary>The next socket whose time has come; it rests no more.</summary>
    public bool TryWake(long nowMs, out ShardSocket socket)
    {
        if (_lingering.TryPeek(out socket!, out long untilMs) && untilMs <= nowMs)
        {
            _lingering.Dequeue();
            return true;
        }

        return _parkedUntilMs <= nowMs && _parked.TryDequeue(out socket!, out _);
    }

    /// <summary>Milliseconds until there is one; not while it <see cref="IsEmpty"/>.</summary>
    public int MsLeft(long nowMs)
    {
        long untilMs = _parked.Count > 0 ? _parkedUntilMs : long.MaxValue;
        if (_lingering.TryPeek(out _, out long lingeringUntilMs))
        {
            untilMs = Math.Min(untilMs, lingeringUntilMs);
        }

        return (int)Math.Max(0, untilMs - nowMs);
    }
}
