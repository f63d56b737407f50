namespace Chat.LoadTests.Clients;

/// <summary>What the clients of one loop counted since they began. Written by the loop's thread alone; others get copies.</summary>
internal sealed record Counters
{
    /// <summary>Connections that were welcomed, again after a reconnect.</summary>
    public long Opened { get; set; }

    /// <summary>Connections that never were.</summary>
    public long Failed { get; set; }

    /// <summary>Connections that ended although nobody here ended them.</summary>
    public long Closed { get; set; }

    /// <summary>Of those, the ones that the server closed as slow (4002).</summary>
    public long ClosedAsSlow { get; set; }

    public long Published { get; set; }

    /// <summary>Message events received; one message counts once for each member.</summary>
    public long Delivered { get; set; }

    public long Acked { get; set; }

    /// <summary>Commands that were answered with an error event.</summary>
    public long Refused { get; set; }

    /// <summary>Holes in the seqs that a connection saw.</summary>
    public long Lost { get; set; }

    /// <summary>A seq that a connection had as its last one already.</summary>
    public long Duplicates { get; set; }

    /// <summary>A seq below the last one, or a publisher's own messages in another order than it sent them.</summary>
    public long Reordered { get; set; }

    /// <summary>Message events of a room that the connection is not in.</summary>
    public long Misrouted { get; set; }

    /// <summary>Message events without a marker: somebody else talks in these rooms.</summary>
    public long Foreign { get; set; }

    /// <summary>Resumes that the server answered with "reload": the gap was too long.</summary>
    public long Reloads { get; set; }

    public long Pongs { get; set; }

    public long Reads { get; set; }

    public long ReceivedBytes { get; set; }

    /// <summary>REST calls that were answered as expected.</summary>
    public long Answered { get; set; }

    public static Counters operator +(Counters a, Counters b) => Combine(a, b, 1);

    public static Counters operator -(Counters a, Counters b) => Combine(a, b, -1);

    private static Counters Combine(Counters a, Counters b, int sign) => new()
    {
        Opened = a.Opened + sign * b.Opened,
        Failed = a.Failed + sign * b.Failed,
        Closed = a.Closed + sign * b.Closed,
        ClosedAsSlow = a.ClosedAsSlow + sign * b.ClosedAsSlow,
        Published = a.Published + sign * b.Published,
        Delivered = a.Delivered + sign * b.Delivered,
        Acked = a.Acked + sign * b.Acked,
        Refused = a.Refused + sign * b.Refused,
        Lost = a.Lost + sign * b.Lost,
        Duplicates = a.Duplicates + sign * b.Duplicates,
        Reordered = a.Reordered + sign * b.Reordered,
        Misrouted = a.Misrouted + sign * b.Misrouted,
        Foreign = a.Foreign + sign * b.Foreign,
        Reloads = a.Reloads + sign * b.Reloads,
        Pongs = a.Pongs + sign * b.Pongs,
        Reads = a.Reads + sign * b.Reads,
        ReceivedBytes = a.ReceivedBytes + sign * b.ReceivedBytes,
        Answered = a.Answered + sign * b.Answered,
    };
}
