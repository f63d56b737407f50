namespace Chat.Server.Transport;

/// <summary>
/// Sockets whose session has ended its input, and of which nothing is dropped for some milliseconds (<see cref="Connections.Linger"/>). Only the
/// shard's thread.
/// </summary>
internal sealed class RestingSockets
{
    private readonly PriorityQueue<ShardSocket, long> _sockets = new();

    public bool IsEmpty => _sockets.Count == 0;

    /// <summary>A socket that does not rest yet.</summary>
    public void Add(ShardSocket socket, long untilMs) => _sockets.Enqueue(socket, untilMs);

    /// <summary>The next socket whose time has come; it rests no more.</summary>
    public bool TryWake(long nowMs, out ShardSocket socket)
    {
        if (!_sockets.TryPeek(out socket!, out long untilMs) || untilMs > nowMs)
        {
            return false;
        }

        _sockets.Dequeue();
        return true;
    }

    /// <summary>Milliseconds until there is one; not while it <see cref="IsEmpty"/>.</summary>
    public int MsLeft(long nowMs)
    {
        _sockets.TryPeek(out _, out long untilMs);
        return (int)Math.Max(0, untilMs - nowMs);
    }
}
