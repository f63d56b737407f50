namespace Chat.LoadTests.Verify;

/// <summary>What a client knows of a message that it sent.</summary>
internal sealed class SentMessage(Nonce nonce, long room)
{
    public Nonce Nonce { get; } = nonce;

    public long Room { get; } = room;

    /// <summary>From the acknowledgement; 0 before.</summary>
    public long Seq { get; private set; }

    public long Id { get; private set; }

    public bool IsAcknowledged => Seq != 0;

    /// <summary>The server said that it will never store it.</summary>
    public bool IsRefused { get; set; }

    /// <summary>The server once said "overloaded": it was sent again after later ones, so that it may stand after them.</summary>
    public bool WasPutOff { get; set; }

    /// <summary>Takes an acknowledgement; each one after the first must say the same.</summary>
    public void Acknowledge(long seq, long id, Findings findings)
    {
        if (IsAcknowledged && (seq, id) != (Seq, Id))
        {
            findings.Add(Fault.Doubled, $"{Nonce} in room {Room} was acknowledged as seq {Seq} id {Id}, then as seq {seq} id {id}");
            return;
        }

        (Seq, Id) = (seq, id);
    }
}
