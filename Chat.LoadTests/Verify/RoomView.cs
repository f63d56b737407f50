namespace Chat.LoadTests.Verify;

/// <summary>
/// What one client has of one room, kept as docs/protocol.md tells clients to ("Order, epochs and resume"). It notices at once what no
/// comparison at the end could: an event that comes twice, out of order, or after a gap. One thread at a time.
/// </summary>
internal sealed class RoomView(int client, long room, long epoch, Findings findings)
{
    // By seq - 1; 0 where a message is missing. Ids and nothing else: a long run sees millions of messages.
    private readonly List<long> _ids = [];
    private long _overlapUpTo;

    public int Client { get; } = client;

    public long Room { get; } = room;

    /// <summary>Of the last welcome. With <see cref="Seq"/> it is where to resume.</summary>
    public long Epoch { get; private set; } = epoch;

    /// <summary>The last seq that it has.</summary>
    public long Seq => _ids.Count;

    /// <summary>Messages that were seen, and taken back by a rollback notice.</summary>
    public long RolledBack { get; private set; }

    /// <summary>The id of the message at a seq from 1 to <see cref="Seq"/>; 0 when it never came.</summary>
    public long IdAt(long seq) => _ids[(int)(seq - 1)];

    /// <summary>
    /// A welcome that answers <see cref="Seq"/> and <see cref="Epoch"/>. When it did not recover, the client pages the gap
    /// (<see cref="AddPage"/>) before it looks at the events that follow.
    /// </summary>
    public void Welcome(long epoch, long? rolledBackTo)
    {
        _overlapUpTo = 0;
        if (rolledBackTo is { } last && last < Seq)
        {
            RolledBack += Seq - last;
            _ids.RemoveRange((int)last, (int)(Seq - last));
        }

        Epoch = epoch;
    }

    /// <summary>A message of a page that was read to fill the gap. The events on the socket may repeat it.</summary>
    public void AddPage(long seq, long id)
    {
        _overlapUpTo = Math.Max(_overlapUpTo, seq);
        Add(seq, id);
    }

    /// <summary>A message event of the socket.</summary>
    public void Add(long seq, long id)
    {
        if (seq == Seq + 1)
        {
            _ids.Add(id);
        }
        else if (seq > Seq)
        {
            findings.Add(Fault.Hole, $"client {Client} got seq {seq} of room {Room} after seq {Seq} (epoch {Epoch})", seq - Seq - 1);
            while (Seq < seq - 1)
            {
                _ids.Add(0);
            }

            _ids.Add(id);
        }
        else if (seq < 1 || IdAt(seq) != id)
        {
            findings.Add(
                Fault.Reordered,
                $"client {Client} got seq {seq} id {id} of room {Room} although it had {Seq} messages, with another one there (epoch {Epoch})");
        }
        else if (seq > _overlapUpTo)
        {
            findings.Add(Fault.Doubled, $"client {Client} got seq {seq} id {id} of room {Room} twice (epoch {Epoch})");
        }
    }
}
