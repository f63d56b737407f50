namespace Chat.Server.Connections;

/// <summary>
/// The way out of one connection, owned by its session's shard: every member but <see cref="Abort"/> is called on the
/// shard's thread. It takes whole frames, keeps what the peer does not take yet, and says how much that is; the session
/// decides when that is too much.
/// </summary>
internal abstract class Outlet
{
    /// <summary>The shard has noted it for a flush at the end of the turn. Only the shard's.</summary>
    public bool IsFlushPending { get; set; }

    /// <summary>The shard has noted it for a flush that may wait for a fan-out. Only the shard's.</summary>
    public bool IsFlushPostponed { get; set; }

    /// <summary>Bytes that the peer has not taken and that wait in memory of ours.</summary>
    public abstract int BacklogBytes { get; }

    /// <summary>The same, and what was written and has not been tried to be sent.</summary>
    public abstract int HeldBytes { get; }

    /// <summary>Since when there has been a backlog without a break (milliseconds of the shard's clock); 0 when there is none.</summary>
    public abstract long BacklogSinceMs { get; }

    /// <summary>Takes whole frames: copies them, or has sent them, before it returns. After <see cref="Complete"/>: nothing.</summary>
    public abstract void Write(ReadOnlySpan<byte> frames);

    /// <summary>Starts sending what was written.</summary>
    public abstract void Flush();

    /// <summary>Sends now, as far as the peer takes it, until no more than so many bytes are held.</summary>
    public abstract void SendDown(int heldBytesMax);

    /// <summary>Drops whole frames that wait in the backlog and have not begun to be sent.</summary>
    public abstract void DropBacklog();

    /// <summary>Nothing more will be written: the connection ends when what was written has been sent.</summary>
    public abstract void Complete();

    /// <summary>Ends the connection at once. Any thread, any number of times.</summary>
    public abstract void Abort();
}
