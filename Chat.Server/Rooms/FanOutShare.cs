namespace Chat.Server.Rooms;

/// <summary>
/// How many bytes of a room one fan-out sends, by the time that the last ones took: a room in full flow lets the others of its shard have their
/// turn. Usually that is <see cref="BytesMax"/>. Members who are behind cost more than others, since what they are sent is copied to wait for them; a
/// thousand of them would take a quarter of a second. Only the shard's thread.
/// </summary>
internal struct FanOutShare()
{
    /// <summary>Some 250 messages: the cost of a send hardly grows up to there.</summary>
    public const int BytesMax = 64 * 1024;

    /// <summary>Some 30 messages: with less, sends would cost more than what they carry.</summary>
    public const int BytesMin = 8 * 1024;

    /// <summary>Of one fan-out. A thousand members who take all of it at once take less.</summary>
    public const int MsMax = 20;

    /// <summary>The most of the next one; one whole event is sent in any case.</summary>
    public int Bytes { get; private set; } = BytesMax;

    /// <summary>A fan-out sent so many bytes to each member, and took so long.</summary>
    public void Took(int bytes, double ms)
    {
        if (ms > MsMax)
        {
            Bytes = Math.Max(BytesMin, (int)(Math.Min(bytes, Bytes) * (MsMax / ms)));
        }
        else
        {
            Bytes = Math.Min(BytesMax, Bytes + (Bytes / 4)); // Soon forgotten, when it was another thread that had the core.
        }
    }
}
