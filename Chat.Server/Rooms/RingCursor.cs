namespace Chat.Server.Rooms;

/// <summary>
/// How far one reader of a <see cref="RoomRing"/> has got. Written by the reader's thread alone; producers read
/// <see cref="Position"/> to know what they may overwrite (the gating sequence of the Disruptor paper, section 2.4).
/// </summary>
internal class RingCursor
{
    /// <summary>The position of a reader that reads nothing: it gates nobody.</summary>
    public const long Inactive = long.MaxValue;

    private long _position = Inactive;

    /// <summary>First byte not yet read; <see cref="Inactive"/> when this reader has no members.</summary>
    public long Position => Volatile.Read(ref _position);

    /// <summary>Sequence number of the last event read. Only for the reader's thread.</summary>
    public long Seq { get; private set; }

    public bool IsActive => Position != Inactive;

    /// <summary>
    /// Moves the cursor. The release orders every read of the ring's bytes before the new position is seen, so that a
    /// producer that sees it may overwrite them.
    /// </summary>
    public void MoveTo(long seq, long position)
    {
        Seq = seq;
        Volatile.Write(ref _position, position);
    }

    /// <summary>Stops gating the producers.</summary>
    public void Deactivate() => Volatile.Write(ref _position, Inactive);
}
