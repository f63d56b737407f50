using System.Collections.Concurrent;
using Chat.Protocol;
using Chat.Protocol.Messages;
using Chat.Protocol.WebSocket;
using Chat.Server.Settings;
using Chat.Storage;

namespace Chat.Server.Rooms;

/// <summary>
/// One room: its order, its ring, its members by shard, and its part of the message log.
/// In <see cref="DeliveryOrder.Immediate"/> an event is numbered by its place in the ring and fanned out at once; in
/// <see cref="DeliveryOrder.Committed"/> it is numbered here, and enters the ring when it is durable. Where several nodes write to the room, the database
/// numbers it, and what others wrote enters the ring as well (<see cref="Arrive"/>).
/// <para>Any thread, except what says otherwise.</para>
/// </summary>
internal sealed class Room
{
    /// <summary>A publisher waits this long for the readers of a full ring before the message is refused.</summary>
    public const int FullRingWaitMs = 250;

    /// <summary>And looks this often.</summary>
    public const int FullRingRetryMs = 1;

    [ThreadStatic]
    private static byte[]? _scratch;

    private readonly RoomServices _services;
    private readonly RoomMembers?[] _members;
    private readonly NonceWindow _nonces;
    private readonly EventOrder? _order;
    private readonly ConcurrentDictionary<long, bool> _knownMembers = new();
    private int _departures;
    private RoomRing _ring;
    private long _lastSeq;
    private int _reseating;
    private CompressedEvents? _compressed;
    private int _compressing;
    private RoomUses _uses;
    private long _lastPublishedMs;
    private long _lastRefusedSeq;

    /// <param name="record">The room's row.</param>
    /// <param name="lastSeq">Newest durable seq.</param>
    /// <param name="services">What all rooms share.</param>
    /// <param name="recent">The newest messages, ascending, from which the nonce window is warmed.</param>
    public Room(RoomRecord record, long lastSeq, RoomServices services, IReadOnlyList<MessageRecord> recent)
    {
        Id = record.Id;
        Name = record.Name;
        CreatedAt = record.CreatedAt;
        _services = services;
        _lastSeq = lastSeq;
        _members = new RoomMembers?[services.ShardCount];
        _ring = new RoomRing(0, lastSeq, 0, _members);
        _nonces = new NonceWindow(services.NonceWindowMs, services.NoncesPerRoomMax);
        _nonces.Warm(recent, services.NowMs);
        _order = services.Nodes is null ? null : new EventOrder(lastSeq, Deliver);
        Log = services.Log.OpenRoom(record.Id, lastSeq);
        _uses = new RoomUses(services.NowMs);
    }

    public long Id { get; }

    public string Name { get; }

    public DateTimeOffset CreatedAt { get; }

    public RoomLog Log { get; }

    public RoomRing Ring => Volatile.Read(ref _ring);

    /// <summary>What the ring may grow to.</summary>
    public int RingBytesMax => _services.RingBytesMax;

    public int Epoch => _services.Epoch;

    /// <summary>Seq of the newest event that members have been or are being sent.</summary>
    public long HeadSeq => Ring.HeadSeq;

    public int MemberCount
    {
        get
        {
            int count = 0;
            foreach (RoomMembers? group in _members)
            {
                count += group?.Count ?? 0;
            }

            return count;
        }
    }

    /// <summary>Somebody has just asked for it.</summary>
    public void Touch() => _uses.Touch(_services.NowMs);

    /// <summary>For a membership: false when the room is loaded no more, and has to be found again; else <see cref="EndUse"/> follows.</summary>
    public bool TryUse() => _uses.TryBegin();

    public void EndUse() => _uses.End(_services.NowMs);

    /// <summary>
    /// True when nobody has needed the room for so long, and the log has closed its part: nothing can be published here any more, and it is to be
    /// forgotten. One thread at a time.
    /// </summary>
    public bool TryRetire(long nowMs, int unusedMs)
    {
        if (!_uses.AreOver(nowMs, unusedMs) || !HasNothingLeft() || !_uses.TryRetire())
        {
            return false;
        }

        if (HasNothingLeft() && _services.Log.TryCloseRoom(Log))
        {
            return true;
        }

        _uses.Reopen();
        return false;

        // A nonce counts for its whole time; of those that are read from the store again, some would be missing.
        bool HasNothingLeft() => _nonces.Count == 0 && !HasGap;
    }

    /// <summary>
    /// The user is a member according to the store, as this server has seen. Saves the store a look at every connect. Nobody is known where they may leave by
    /// another node.
    /// </summary>
    public bool IsKnownMember(long userId) => _knownMembers.ContainsKey(userId);

    /// <summary>How often somebody was forgotten: taken before a join is stored, for <see cref="RememberMember"/>.</summary>
    public int Departures => Volatile.Read(ref _departures);

    /// <summary>
    /// The store has this member; unless anybody left in the meantime, since that may have been this user, stored later than the join. Who is not
    /// remembered is stored once more with the next join.
    /// </summary>
    public void RememberMember(long userId, int departures)
    {
        lock (_knownMembers) // Or a leave could fall between the look and what follows from it.
        {
            if (_departures == departures && _order is null)
            {
                _knownMembers.TryAdd(userId, true);
            }
        }
    }

    /// <summary>The store may not have this member any more.</summary>
    public void ForgetMember(long userId)
    {
        lock (_knownMembers)
        {
            _departures++;
            _knownMembers.TryRemove(userId, out _);
        }
    }

    /// <summary>The members on one shard. Only that shard's thread.</summary>
    public RoomMembers MembersOn(Shard shard)
    {
        RoomMembers? group = _members[shard.Index];
        if (group is null)
        {
            group = new RoomMembers(this, shard);
            Volatile.Write(ref _members[shard.Index], group);
        }

        return group;
    }

    /// <summary>
    /// The newest message that was refused after its members had it, or 0: a ring that still has it must not be what a client resumes from. Any
    /// thread.
    /// </summary>
    public long LastRefusedSeq => Volatile.Read(ref _lastRefusedSeq);

    /// <summary>Events in compressed form; null until a member came that takes them. Any thread.</summary>
    public CompressedEvents? Compressed => Volatile.Read(ref _compressed);

    /// <summary>Counts members that take compressed events: without any, none is made. The thread of the member's shard.</summary>
    public void CountCompressing(int change)
    {
        if (_compressed is null)
        {
            Interlocked.CompareExchange(ref _compressed, new CompressedEvents(), null);
        }

        Interlocked.Add(ref _compressing, change);
    }

    /// <summary>
    /// Offers one message. The content has been validated; it is copied. On <see cref="OfferStatus.Accepted"/> and
    /// <see cref="OfferStatus.Pending"/> the publisher hears of the commit, possibly before this returns.
    /// </summary>
    /// <param name="sender">Who sends it.</param>
    /// <param name="content">UTF-8.</param>
    /// <param name="nonce">UTF-8; empty for none.</param>
    /// <param name="publisher">Who is told.</param>
    /// <param name="seq">For <see cref="OfferStatus.Duplicate"/>: the original's.</param>
    /// <param name="id">For <see cref="OfferStatus.Duplicate"/>: the original's.</param>
    public OfferStatus Offer(
        Sender sender, ReadOnlySpan<byte> content, ReadOnlySpan<byte> nonce, IPublisher publisher, out long seq, out long id)
    {
        seq = id = 0;
        if (!TryUse())
        {
            return OfferStatus.Overloaded; // It is sent again, and the room found again.
        }

        OfferStatus status = OfferUsed(sender, content, nonce, publisher, out seq, out id);
        if (status != OfferStatus.Accepted)
        {
            EndUse();
        }

        return status;
    }

    private OfferStatus OfferUsed(
        Sender sender, ReadOnlySpan<byte> content, ReadOnlySpan<byte> nonce, IPublisher publisher, out long seq, out long id)
    {
        seq = id = 0;
        byte[] copy = content.ToArray(); // Before anything is taken for it: there may be no memory.
        long knownSeq = HeadSeq; // Before the nonce: what comes in between may be its original, and the database looks there.
        // The log's place first: after this nothing may fail, or the room's numbers would have a hole.
        if (!_services.Log.TryReserve(content.Length))
        {
            return OfferStatus.Overloaded;
        }

        string? nonceText = nonce.IsEmpty ? null : System.Text.Encoding.UTF8.GetString(nonce);
        if (nonceText is not null)
        {
            switch (_nonces.Begin(sender.UserId, nonceText, publisher, _services.NowMs, out seq, out id))
            {
                case NonceStatus.Committed:
                    _services.Log.Release(content.Length);
                    return OfferStatus.Duplicate;
                case NonceStatus.Pending:
                    _services.Log.Release(content.Length);
                    return OfferStatus.Pending;
            }
        }

        id = _services.Log.NextMessageId();
        long createdAtUnixMs = _services.UtcNowUnixMs;
        if (_services.Order == DeliveryOrder.Committed)
        {
            seq = Interlocked.Increment(ref _lastSeq);
        }
        else if (!TryPublish(id, sender.UserId, sender.UsernameUtf8, content, nonce, createdAtUnixMs, mayWait: false, out seq))
        {
            _services.Log.Release(content.Length);
            if (nonceText is not null)
            {
                Refuse(_nonces.Forget(sender.UserId, nonceText), nonceText, ErrorCode.Overloaded);
            }

            return OfferStatus.Full;
        }

        _services.Log.Append(Log, new MessageRecord
        {
            Id = id,
            RoomId = Id,
            Seq = seq,
            Epoch = _services.Epoch,
            SenderId = sender.UserId,
            SenderName = sender.Username,
            Nonce = nonceText,
            Content = copy,
            CreatedAtUnixMs = createdAtUnixMs,
            KnownSeq = knownSeq,
            Origin = publisher,
        });
        return OfferStatus.Accepted;
    }

    /// <summary>An event that is durable and may be new here, whichever node it is from, and in whatever order. Any thread.</summary>
    public void Arrive(MessageRecord record)
    {
        if (!_order!.Add(record))
        {
            _services.Nodes!.ReadMissing(this);
        }
    }

    /// <summary>An event that has arrived waits for one before it, which has not.</summary>
    public bool HasGap => _order is { IsWaiting: true };

    /// <summary>Where other nodes write to the room: waits for its events up to one that was seen elsewhere, if there is such a one.</summary>
    /// <exception cref="StoreUnavailableException">The database cannot be reached now.</exception>
    public Task CatchUpAsync(long seenSeq, CancellationToken cancellationToken) =>
        _services.Nodes is { } nodes && seenSeq > HeadSeq ? nodes.CatchUpAsync(this, seenSeq, cancellationToken) : Task.CompletedTask;

    /// <summary>A message of this room is durable. The log's thread, in the room's order.</summary>
    public void Committed(MessageRecord record)
    {
        if (_order is not null)
        {
            if (!record.IsDuplicate)
            {
                Arrive(record);
            }
        }
        else if (_services.Order == DeliveryOrder.Committed)
        {
            Publish(record);
        }

        // The nonce first: who resends after the acknowledgement finds the message committed, and is answered at once.
        List<IPublisher>? waiting = record.Nonce is null ? null : _nonces.Commit(record, _services.NowMs);
        (record.Origin as IPublisher)?.Committed(record, record.IsDuplicate);
        foreach (IPublisher publisher in waiting ?? [])
        {
            publisher.Committed(record, isDuplicate: true);
        }

        EndUse();
    }

    /// <summary>
    /// A message of this room can never be stored; its seq keeps its place as a tombstone. The log's thread, in the room's order.
    /// </summary>
    public void Failed(MessageRecord record, string code)
    {
        if (_services.Order == DeliveryOrder.Immediate)
        {
            Volatile.Write(ref _lastRefusedSeq, record.Seq);
        }
        else if (code != ErrorCode.Unavailable && _order is null)
        {
            // Its tombstone is durable, and so is all before it: members hear of it now, not with the next message.
            bool published = TryPublish(record.Id, 0, default, default, default, record.CreatedAtUnixMs, mayWait: true, out long seq);
            Invariant.Require(published && seq == record.Seq);
        }

        (record.Origin as IPublisher)?.Failed(Id, record.Nonce, code);
        if (record.Nonce is not null)
        {
            Refuse(_nonces.Forget(record.SenderId, record.Nonce), record.Nonce, code);
        }

        EndUse();
    }

    /// <summary>Gives the memory of ring and compressed forms back when the room has been quiet, and what is too old of its nonces. Any thread, now and then.</summary>
    public void Sweep(long nowMs, int idleMs)
    {
        _nonces.Sweep(nowMs);
        if (Ring.Capacity > 0 && nowMs - Volatile.Read(ref _lastPublishedMs) > idleMs)
        {
            Reseat(0);
            Compressed?.Clear();
        }
    }

    /// <summary>In the room's order.</summary>
    private void Deliver(MessageRecord record)
    {
        if (record.Nonce is not null)
        {
            _nonces.Observe(record, _services.NowMs); // Before the head moves: see Offer.
        }

        Publish(record);
    }

    /// <summary>Durable and numbered: it has to reach the members, so this waits for the readers as long as it takes.</summary>
    private void Publish(MessageRecord record)
    {
        byte[] nonce = record.Nonce is null ? [] : System.Text.Encoding.UTF8.GetBytes(record.Nonce);
        byte[] username = System.Text.Encoding.UTF8.GetBytes(record.SenderName);
        bool published = TryPublish(
            record.Id, record.SenderId, username, record.Content.Span, nonce, record.CreatedAtUnixMs, mayWait: true, out long seq);
        Invariant.Require(published && seq == record.Seq);
    }

    /// <summary>False when the ring is full and the caller, which is then a shard or a thread that others need as well, may not wait.</summary>
    private bool TryPublish(
        long id,
        long senderId,
        ReadOnlySpan<byte> username,
        ReadOnlySpan<byte> content,
        ReadOnlySpan<byte> nonce,
        long createdAtUnixMs,
        bool mayWait,
        out long seq)
    {
        int scratchBytes = MessageEvent.PrefixBytesMax
            + MessageEvent.SuffixBytesMax(username.Length, content.Length, nonce.Length);
        byte[] scratch = _scratch is { } kept && kept.Length >= scratchBytes ? kept : _scratch = new byte[Math.Max(4096, scratchBytes)];
        int prefixLength = MessageEvent.WritePrefix(scratch, Id);
        int suffixLength = MessageEvent.WriteSuffix(
            scratch.AsSpan(prefixLength), id, senderId, username, content, nonce, createdAtUnixMs);
        ReadOnlySpan<byte> prefix = scratch.AsSpan(0, prefixLength);
        ReadOnlySpan<byte> suffix = scratch.AsSpan(prefixLength, suffixLength);

        PublishStatus status = Ring.TryPublish(prefix, suffix, out seq);
        if (status != PublishStatus.Published && !TryPublishAgain(prefix, suffix, mayWait, out seq))
        {
            return false;
        }

        Volatile.Write(ref _lastPublishedMs, _services.NowMs);
        if (prefixLength + suffixLength >= _services.DeflateBytesMin && Volatile.Read(ref _compressing) > 0)
        {
            try
            {
                Compressed!.Add(seq, prefix, suffix); // Before the shards are told; one that comes by itself has the ring's bytes.
            }
            catch (OutOfMemoryException)
            {
                // Everybody has the ring's bytes. The event has its number: it has to reach the log.
            }
        }

        foreach (RoomMembers? group in _members)
        {
            // The commit's barrier stands between the event and this look: either we see the members, or the shard that
            // is adding the first one sees the event (RoomMembers.Activate).
            if (group is not null && group.IsActive)
            {
                group.Shard.MarkDirty(group);
            }
        }

        return true;
    }

    /// <summary>The ring was full, or being replaced: lets it grow, and waits for the readers if that is allowed.</summary>
    private bool TryPublishAgain(ReadOnlySpan<byte> prefix, ReadOnlySpan<byte> suffix, bool mayWait, out long seq)
    {
        int eventBytes = FrameWriter.HeaderBytesMax + prefix.Length + MessageEvent.SeqBytesMax + suffix.Length;
        Invariant.Require(eventBytes <= _services.RingBytesMax); // SettingRelations: it would wait for room that cannot be.
        var spin = new SpinWait();
        while (true)
        {
            RoomRing ring = Ring;
            PublishStatus status = ring.TryPublish(prefix, suffix, out seq);
            if (status == PublishStatus.Published)
            {
                return true;
            }

            if (status == PublishStatus.Full)
            {
                int wanted = Math.Max(Math.Max(_services.RingBytesMin, ring.Capacity * 2), (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)eventBytes));
                if (wanted <= _services.RingBytesMax)
                {
                    Reseat(wanted);
                    continue;
                }

                if (!mayWait)
                {
                    return false;
                }
            }

            spin.SpinOnce();
        }
    }

    private void Reseat(int capacity)
    {
        if (Interlocked.CompareExchange(ref _reseating, 1, 0) != 0)
        {
            return; // Somebody is at it; the callers look again.
        }

        try
        {
            RoomRing ring = _ring;
            if (capacity == 0 || capacity > ring.Capacity)
            {
                Volatile.Write(ref _ring, ring.Reseat(capacity));
            }
        }
        catch (OutOfMemoryException exception)
        {
            // The old ring is sealed: whoever publishes would wait for a new one for ever.
            Environment.FailFast("no memory for a room's ring", exception);
        }
        finally
        {
            Volatile.Write(ref _reseating, 0);
        }
    }

    private void Refuse(List<IPublisher>? waiting, string nonce, string code)
    {
        foreach (IPublisher publisher in waiting ?? [])
        {
            publisher.Failed(Id, nonce, code);
        }
    }
}
