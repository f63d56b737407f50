using System.Diagnostics;
using Chat.Server.Rooms;

namespace Chat.Server.Transport;

/// <summary>
/// Rooms whose next fan-out waits for more events, as <see cref="FanOutGathering"/> says. They are looked at again with each event that comes, and
/// when their time is over. Only the shard's thread.
/// </summary>
internal sealed class GatheringRooms
{
    private readonly List<RoomMembers> _rooms = [];
    private long _holds;

    public bool IsEmpty => _rooms.Count == 0;

    /// <summary>How many fan-outs have waited. Any thread.</summary>
    public long Holds => Volatile.Read(ref _holds);

    /// <summary>True when the room is to wait: for its next event, or for <see cref="TryRelease"/>. Asked before each fan-out of a large room.</summary>
    public bool TryHold(RoomMembers group, long now)
    {
        group.ClearDirty(); // Before the look at the ring: the next event marks the room again, and so has it looked at again.
        group.Room.Ring.GetHead(out long seq, out long position);
        bool isLong = position - group.Position >= Math.Min(group.Share.Bytes, group.Room.RingBytesMax / 2);
        bool wasWaiting = group.Gathering.Until != 0;
        bool isWaiting = group.Gathering.ShouldWait(isLong || seq == group.Seq ? long.MaxValue : seq - group.Seq, now);
        if (isWaiting && !wasWaiting)
        {
            _rooms.Add(group);
            Volatile.Write(ref _holds, _holds + 1);
        }
        else if (wasWaiting && !isWaiting)
        {
            _rooms.Remove(group); // Not there when its time was over.
        }

        return isWaiting;
    }

    /// <summary>A room whose time is over.</summary>
    public bool TryRelease(long now, out RoomMembers group)
    {
        for (int i = _rooms.Count - 1; i >= 0; i--)
        {
            group = _rooms[i];
            if (group.Gathering.Until <= now)
            {
                _rooms.RemoveAt(i);
                return true;
            }
        }

        group = null!;
        return false;
    }

    /// <summary>Milliseconds until the first room's time is over, to the nearest, and at least 1: a shard that waits does not spin.</summary>
    public int MsLeft(long now)
    {
        long until = long.MaxValue;
        foreach (RoomMembers group in _rooms)
        {
            until = Math.Min(until, group.Gathering.Until);
        }

        return (int)Math.Max(1, (((until - now) * 1000) + (Stopwatch.Frequency / 2)) / Stopwatch.Frequency);
    }
}
