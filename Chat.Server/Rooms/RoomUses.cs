namespace Chat.Server.Rooms;

/// <summary>
/// Who needs a room as it is loaded: memberships, and messages until their publisher has been told. A room that nobody needs may be forgotten;
/// from <see cref="TryRetire"/> on nobody can need it. Any thread.
/// </summary>
internal struct RoomUses(long nowMs)
{
    private long _lastMs = nowMs;
    private int _count;
    private bool _isRetired;

    /// <summary>Somebody has asked for the room, or needed it until now.</summary>
    public void Touch(long nowMs) => Volatile.Write(ref _lastMs, nowMs);

    /// <summary>False when the room is loaded no more; otherwise <see cref="End"/> follows.</summary>
    public bool TryBegin()
    {
        Interlocked.Increment(ref _count); // A full barrier: either this sees the mark, or who sets it sees the use.
        if (!Volatile.Read(ref _isRetired))
        {
            return true;
        }

        Interlocked.Decrement(ref _count);
        return false;
    }

    public void End(long nowMs)
    {
        Touch(nowMs);
        Interlocked.Decrement(ref _count);
    }

    /// <summary>True when there is no use, and has been none for so long.</summary>
    public bool AreOver(long nowMs, int unusedMs) => Volatile.Read(ref _count) == 0 && nowMs - Volatile.Read(ref _lastMs) > unusedMs;

    /// <summary>True when there is no use now; there will be none. One thread at a time.</summary>
    public bool TryRetire()
    {
        Volatile.Write(ref _isRetired, true);
        Interlocked.MemoryBarrier(); // See TryBegin.
        if (Volatile.Read(ref _count) == 0)
        {
            return true;
        }

        Reopen();
        return false;
    }

    /// <summary>Takes that back; who came in between was refused, and comes again.</summary>
    public void Reopen() => Volatile.Write(ref _isRetired, false);
}
