using Chat.Server.Rooms;

namespace Chat.Server.Transport;

/// <summary>
/// Rooms whose next fan-out waits some milliseconds, because most of their members have not taken the last one: the kernel holds bytes that
/// the members' receive windows have no room for. More of them would make it no faster: each window then comes back as an acknowledgement
/// for which the kernel sends the next few KiB, on the time of the receiver's side, and all that waits is latency. Events go on being published
/// and numbered; they leave together. A few slow members hold nobody up, and neither do those who have taken nothing for long.
/// Only the shard's thread.
/// </summary>
internal sealed class CongestedRooms
{
    /// <summary>Smaller rooms are not looked at: a look costs as much as a send.</summary>
    private const int MembersMin = 64;

    private const int SampleMax = 16;

    /// <summary>Of one member. What a small window takes at once; a member with less is about to have taken it.</summary>
    private const int UnsentBytesMax = 8 * 1024;

    /// <summary>What waits longer than this leaves, taken or not: a room's latency rises by so much at most.</summary>
    private const int HoldMsMax = 40;

    /// <summary>More than a fan-out sends. Also less than half of what the ring may hold: publishers must not come to wait for us.</summary>
    private const int HoldBytesMax = 64 * 1024;

    /// <summary>Members who have been behind for longer are no measure of the room: they are on their way to a 4002.</summary>
    private const int BacklogMsMax = 2_000;

    private readonly List<RoomMembers> _held = [];
    private long _lookAtMs;
    private long _holds;

    /// <summary>Milliseconds from one look at the held rooms to the next.</summary>
    public const int LookMs = 1;

    public bool IsEmpty => _held.Count == 0;

    /// <summary>How many fan-outs have waited. Any thread.</summary>
    public long Holds => Volatile.Read(ref _holds);

    /// <summary>True when the room is to wait; it comes back from <see cref="TryRelease"/>. Asked before each fan-out.</summary>
    public bool TryHold(RoomMembers group, long nowMs)
    {
        if (group.IsHeldBack)
        {
            return true;
        }

        bool isFirst = group.HeldSinceMs == 0;
        if (group.Count < MembersMin || (!isFirst && nowMs - group.HeldSinceMs >= HoldMsMax) || IsLong(group) || !IsCongested(group, nowMs))
        {
            group.HeldSinceMs = 0;
            return false;
        }

        if (isFirst)
        {
            group.HeldSinceMs = nowMs;
            Volatile.Write(ref _holds, _holds + 1);
        }

        if (_held.Count == 0)
        {
            _lookAtMs = nowMs + LookMs;
        }

        group.IsHeldBack = true;
        _held.Add(group);
        return true;
    }

    /// <summary>The next room that has waited long enough to be looked at again.</summary>
    public bool TryRelease(long nowMs, out RoomMembers group)
    {
        group = null!;
        if (_held.Count == 0 || nowMs < _lookAtMs)
        {
            return false;
        }

        group = _held[^1];
        _held.RemoveAt(_held.Count - 1);
        group.IsHeldBack = false;
        return true;
    }

    private static bool IsLong(RoomMembers group)
    {
        group.Room.Ring.GetHead(out _, out long position);
        return position - group.Position > Math.Min(HoldBytesMax, group.Room.RingBytesMax / 2);
    }

    /// <summary>Most of some members, spread over the list: neighbours in it are served and read one after the other, and so are all alike.</summary>
    private static bool IsCongested(RoomMembers group, long nowMs)
    {
        int start = Random.Shared.Next(group.Count);
        int free = 0;
        for (int i = 0; i < SampleMax; i++)
        {
            var socket = (ShardSocket)group[(start + (i * group.Count / SampleMax)) % group.Count].Session.Outlet;
            bool isStuck = socket.BacklogSinceMs != 0 && nowMs - socket.BacklogSinceMs > BacklogMsMax;
            free += isStuck || socket.UnsentBytes <= UnsentBytesMax ? 1 : 0;
            if (free > SampleMax / 2)
            {
                return false;
            }
        }

        return true;
    }
}
