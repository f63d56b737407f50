using System.Buffers;
using Chat.Protocol;
using Chat.Server.Connections;

namespace Chat.Server.Rooms;

/// <summary>One session in one room. Owned by the session's shard.</summary>
internal sealed class Membership(ChatSession session, RoomMembers group)
{
    public ChatSession Session { get; } = session;

    public RoomMembers Group { get; } = group;

    /// <summary>Where it stands in the group's list; -1 while it is not in it.</summary>
    public int Index { get; set; } = -1;

    /// <summary>Its replay is being read, and what becomes live is held for it.</summary>
    public bool IsJoining { get; set; }

    /// <summary>While it is joining: from where on.</summary>
    public HeldEvents.Place HeldSince { get; set; }

    /// <summary>More became live meanwhile than may be kept for one member; nothing is held any more.</summary>
    public bool HasOverflowed { get; set; }

    /// <summary>The session left the room: what a pending replay brings is dropped.</summary>
    public bool HasLeft { get; set; }

    /// <summary>Its session has been sent the room's welcome, which comes before everything else of the room.</summary>
    public bool IsWelcomed { get; private set; }

    /// <summary>Answers that wait for the welcome, which may wait for the database; null when there are none.</summary>
    public List<ShardWork>? Answers { get; set; }

    /// <summary>The welcome has been sent, and what comes right behind it: now the answers go.</summary>
    public void Welcomed()
    {
        IsWelcomed = true;
        List<ShardWork>? answers = Answers;
        Answers = null;
        foreach (ShardWork work in answers ?? [])
        {
            work.Run(work.Target, work.Argument);
        }
    }
}

/// <summary>
/// The members of one room whose sessions belong to one shard, with the one cursor that all of them share: fan-out
/// gives each the same range. Everything but the dirty mark is touched only by the shard's thread.
/// </summary>
internal sealed class RoomMembers(Room room, Shard shard) : RingCursor
{
    private Membership[] _members = [];
    private List<Membership>? _joining;
    private HeldEvents? _held; // Null when nobody is joining.
    private Queue<(long Seq, ShardWork Work)>? _whenServed; // Null when nothing waits.
    private FanOutShare _share = new();
    private FanOutGathering _gathering = new();
    private int _dirty;
    private int _preferred;

    public Room Room { get; } = room;

    public Shard Shard { get; } = shard;

    public int Count { get; private set; }

    /// <summary>How many of the members take compressed events.</summary>
    public int CompressingCount { get; private set; }

    /// <summary>
    /// A delivery is not carried out yet, so that its bytes are still needed and the cursor stays before them, even when
    /// the last member leaves. From <see cref="BeginDelivery"/> to <see cref="Arrive"/>.
    /// </summary>
    public bool IsDelivering { get; private set; }

    /// <summary>
    /// The ring whose bytes are being delivered: a queued send knows them by their address only, and a room that grows
    /// meanwhile drops its old ring. From <see cref="BeginDelivery"/> to <see cref="Arrive"/>.
    /// </summary>
    public RoomRing? Delivered { get; private set; }

    /// <summary>It stands among the rooms whose fan-out waits; its dirty mark stays. Set and ended by the shard.</summary>
    public bool IsHeldBack { get; set; }

    /// <summary>Since when its next fan-out waits, on the shard's clock; 0 when it does not. The shard's.</summary>
    public long HeldSinceMs { get; set; }

    /// <summary>How much one fan-out sends. The shard's.</summary>
    public ref FanOutShare Share => ref _share;

    /// <summary>Whether the next fan-out waits for more events. The shard's.</summary>
    public ref FanOutGathering Gathering => ref _gathering;

    public Membership this[int index] => _members[index];

    /// <summary>
    /// Keeps work of this thread until the members have been sent the event <paramref name="seq"/>, or there are none any more: after a
    /// fan-out of this turn or of a later one. In the order of the calls.
    /// </summary>
    public void WhenServed(long seq, ShardWork work)
    {
        (_whenServed ??= []).Enqueue((seq, work));
        Shard.MarkDirty(this); // Mostly it is. Who has published and not marked it yet may find nobody here when it comes to that.
    }

    /// <summary>There is work for <see cref="RunWhenServed"/>.</summary>
    public bool IsWaitedFor => _whenServed is not null;

    /// <summary>Runs what has waited for the cursor to come as far as it is now. The last fan-out has been settled.</summary>
    public void RunWhenServed()
    {
        while (_whenServed is { } waiting)
        {
            (long seq, ShardWork work) = waiting.Peek();
            if (IsActive && Seq < seq)
            {
                return;
            }

            waiting.Dequeue();
            if (waiting.Count == 0)
            {
                _whenServed = null;
            }

            work.Run(work.Target, work.Argument);
        }
    }

    /// <summary>True for the caller that has to tell the shard: the mark was not set. Any thread.</summary>
    public bool TryMarkDirty() => Volatile.Read(ref _dirty) == 0 && Interlocked.Exchange(ref _dirty, 1) == 0;

    /// <summary>
    /// Takes the mark off before the ring is read. The full barrier orders the two: without it the ring could be read
    /// first, a producer could commit and find the mark still set, and its event would wait for the next one.
    /// </summary>
    public void ClearDirty() => Interlocked.Exchange(ref _dirty, 0);

    /// <summary>
    /// Appends a member. The shard has fanned out what was pending, so the newcomer starts at a frame boundary.
    /// The first one makes the cursor gate the producers.
    /// </summary>
    public void Add(Membership membership)
    {
        Invariant.Require(membership.Index < 0 && membership.Group == this);
        if (Count == _members.Length)
        {
            Array.Resize(ref _members, Math.Max(4, Count * 2));
        }

        // At a random place: a fan-out serves them in the order of the list, and with a thousand members the last waits milliseconds.
        // Nobody should be last for having come first.
        int index = Random.Shared.Next(Count + 1);
        if (index < Count)
        {
            Place(_members[index], Count);
        }

        Place(membership, index);
        Count++;
        CountCompressing(membership, 1);
    }

    /// <summary>
    /// The next fan-out serves this member before all but those who were preferred since the last one. The members are served from the end of
    /// the list on, so that the preferred ones are its end. Who is not in the list has no place to change.
    /// </summary>
    public void Prefer(Membership membership)
    {
        int index = membership.Index;
        int place = Count - 1 - _preferred;
        if (index < 0 || index > place)
        {
            return;
        }

        Place(_members[place], index);
        Place(membership, place);
        _preferred++;
    }

    /// <summary>Begins to give the members a range of the ring; <see cref="Arrive"/> ends it.</summary>
    public void BeginDelivery(RoomRing ring)
    {
        IsDelivering = true;
        Delivered = ring;
        _preferred = 0;
    }

    /// <summary>
    /// Starts to hold back what becomes live for a member whose replay is being read: nothing overtakes the replay, and
    /// nothing falls between the two. The cursor gates the producers from now on.
    /// </summary>
    public void Join(Membership membership)
    {
        Invariant.Require(IsActive && !membership.IsJoining);
        membership.IsJoining = true;
        membership.HeldSince = (_held ??= new HeldEvents()).End;
        (_joining ??= []).Add(membership);
    }

    /// <summary>Ends the holding back, and gives what was held, in pieces of whole frames. <see cref="Add"/> comes next.</summary>
    public ReadOnlySequence<byte> EndJoin(Membership membership)
    {
        Invariant.Require(_joining!.Remove(membership));
        ReadOnlySequence<byte> held = _held!.Since(membership.HeldSince);
        membership.IsJoining = false;
        membership.HeldSince = default;
        if (_joining.Count == 0)
        {
            _held = null;
        }

        return held;
    }

    /// <summary>
    /// Keeps a live range for those whose replay is being read. As much as any member may have waiting, and no more: the
    /// replay waits for the database, which can take longer than the room takes to fill the memory.
    /// </summary>
    public void Hold(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second)
    {
        if (_held is null)
        {
            return;
        }

        _held.Append(first, second);
        long end = _held.End.Position;
        foreach (Membership membership in _joining!)
        {
            if (end - membership.HeldSince.Position > Shard.Limits.BacklogBytesMax)
            {
                membership.HasOverflowed = true;
                membership.HeldSince = default; // Still joining: the cursor stays, the memory goes.
            }
        }
    }

    /// <summary>Takes a member out, wherever it stands.</summary>
    public void Leave(Membership membership)
    {
        if (membership.IsJoining)
        {
            EndJoin(membership);
        }

        if (membership.Index >= 0)
        {
            Remove(membership);
        }

        DeactivateIfEmpty();
    }

    /// <summary>
    /// Moves the cursor behind what has been delivered; only now may the cursor of a group that became empty meanwhile
    /// let the producers have those bytes.
    /// </summary>
    public void Arrive(long seq, long position)
    {
        IsDelivering = false;
        Delivered = null;
        if (IsActive)
        {
            MoveTo(seq, position);
            DeactivateIfEmpty();
        }
    }

    private void DeactivateIfEmpty()
    {
        if (!IsDelivering && Count == 0 && (_joining is null || _joining.Count == 0))
        {
            _members = [];
            _joining = null;
            Deactivate();
            if (_whenServed is not null)
            {
                Shard.MarkDirty(this); // Nobody is sent anything any more: what waits for that runs without.
            }
        }
    }

    /// <summary>Removes a member by moving the last one into its place.</summary>
    private void Remove(Membership membership)
    {
        int index = membership.Index;
        Invariant.Require(index >= 0 && index < Count && _members[index] == membership);
        Membership last = _members[--Count];
        _members[Count] = null!;
        if (last != membership)
        {
            Place(last, index);
        }

        membership.Index = -1;
        CountCompressing(membership, -1);
        if (Count > 0 && Count <= _members.Length / 4)
        {
            Array.Resize(ref _members, _members.Length / 2);
        }
    }

    private void Place(Membership membership, int index)
    {
        _members[index] = membership;
        membership.Index = index;
    }

    private void CountCompressing(Membership membership, int change)
    {
        if (membership.Session.TakesCompressed)
        {
            CompressingCount += change;
            Room.CountCompressing(change);
        }
    }

    /// <summary>
    /// Makes the cursor gate the producers, from the head on. A producer that looked at the cursors before it could see
    /// ours may overwrite what lies before the head it saw. So: show the cursor, then a full barrier, then look at the
    /// head again: whoever missed our cursor looked before the barrier, at a head no later than this one.
    /// </summary>
    public void Activate()
    {
        if (IsActive)
        {
            return;
        }

        Room.Ring.GetHead(out long seq, out long position);
        MoveTo(seq, position);
        Interlocked.MemoryBarrier();
        Room.Ring.GetHead(out seq, out position);
        MoveTo(seq, position);
    }
}
