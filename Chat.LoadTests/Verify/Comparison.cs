namespace Chat.LoadTests.Verify;

/// <summary>A message as the history or the database has it.</summary>
internal readonly record struct StoredMessage(long Seq, long Id, string Nonce, string Content)
{
    /// <summary>The place of a message that the database refused.</summary>
    public bool IsTombstone => Nonce.Length == 0 && Content.Length == 0;
}

/// <summary>All messages of a room, as a source tells them.</summary>
/// <param name="Source">Where it was read, for the examples: "REST" or "the database".</param>
/// <param name="Room">The room's id.</param>
/// <param name="Messages">By seq.</param>
internal sealed record RoomHistory(string Source, long Room, IReadOnlyList<StoredMessage> Messages);

/// <summary>
/// Compares what clients were told with what there is, when everything is at rest: nothing is on its way, every client has caught up.
/// It knows nothing of sockets and databases.
/// </summary>
internal static class Comparison
{
    /// <summary>Compares one room with everything that any client was told about it.</summary>
    /// <param name="history">The room.</param>
    /// <param name="sent">The messages of all clients; those of other rooms are passed over.</param>
    /// <param name="views">The views of all clients; those of other rooms are passed over.</param>
    /// <param name="findings">Takes what is wrong.</param>
    public static void Compare(RoomHistory history, IEnumerable<SentMessage> sent, IEnumerable<RoomView> views, Findings findings)
    {
        CheckSeqs(history, findings);
        var ours = sent.Where(message => message.Room == history.Room).ToDictionary(message => message.Nonce);
        CheckNonces(history, ours, findings);
        CheckAcknowledged(history, ours.Values, findings);
        var seqs = new Dictionary<long, long>(history.Messages.Count);
        foreach (StoredMessage message in history.Messages)
        {
            seqs[message.Id] = message.Seq;
        }

        foreach (RoomView view in views.Where(view => view.Room == history.Room))
        {
            CheckView(history, seqs, view, findings);
        }
    }

    /// <summary>Compares the same room of two sources, message by message.</summary>
    public static void CompareSources(RoomHistory expected, RoomHistory actual, Findings findings)
    {
        var rest = actual.Messages.ToDictionary(message => message.Id);
        foreach (StoredMessage message in expected.Messages)
        {
            if (!rest.Remove(message.Id, out StoredMessage other))
            {
                findings.Add(Fault.Lost, $"{Name(message, expected)} is not in {actual.Source}");
            }
            else if (other.Seq != message.Seq)
            {
                findings.Add(Fault.Reordered, $"{Name(message, expected)} has seq {other.Seq} in {actual.Source}");
            }
            else if (other != message)
            {
                findings.Add(Fault.Altered, $"{Name(message, expected)} is another one in {actual.Source}");
            }
        }

        foreach (StoredMessage message in rest.Values)
        {
            findings.Add(Fault.Lost, $"{Name(message, actual)} is not in {expected.Source}");
        }
    }

    /// <summary>1, 2, 3, ... and no id twice.</summary>
    private static void CheckSeqs(RoomHistory history, Findings findings)
    {
        long last = 0;
        var ids = new HashSet<long>(history.Messages.Count);
        foreach (StoredMessage message in history.Messages)
        {
            if (message.Seq > last + 1)
            {
                findings.Add(Fault.Hole, $"in {history.Source} seq {last} of room {history.Room} is followed by {message.Seq}", message.Seq - last - 1);
            }
            else if (message.Seq <= last)
            {
                findings.Add(Fault.Reordered, $"in {history.Source} seq {last} of room {history.Room} is followed by {message.Seq}");
            }

            if (!ids.Add(message.Id))
            {
                findings.Add(Fault.Doubled, $"{Name(message, history)} has an id that is there before");
            }

            last = Math.Max(last, message.Seq);
        }
    }

    /// <summary>Each nonce is there once, with its content, in its sender's order.</summary>
    private static void CheckNonces(RoomHistory history, Dictionary<Nonce, SentMessage> ours, Findings findings)
    {
        var seen = new Dictionary<Nonce, long>(history.Messages.Count);
        var lastOfClient = new Dictionary<int, int>();
        foreach (StoredMessage message in history.Messages)
        {
            if (message.IsTombstone)
            {
                continue; // Its sender was told not_stored.
            }

            if (!Nonce.TryParse(message.Nonce, out Nonce nonce) || !ours.TryGetValue(nonce, out SentMessage? original)
                || message.Content != nonce.Content())
            {
                findings.Add(Fault.Altered, $"{Name(message, history)} is nothing that was sent: '{Shorten(message.Content)}'");
                continue;
            }

            if (!seen.TryAdd(nonce, message.Seq))
            {
                findings.Add(Fault.Doubled, $"{Name(message, history)} is at seq {seen[nonce]} already");
                continue;
            }

            if (original.WasPutOff)
            {
                continue;
            }

            if (lastOfClient.TryGetValue(nonce.Client, out int last) && nonce.Number < last)
            {
                findings.Add(Fault.Reordered, $"{Name(message, history)} was sent before {new Nonce(nonce.Client, last)} and stands behind it");
                continue;
            }

            lastOfClient[nonce.Client] = nonce.Number;
        }
    }

    private static void CheckAcknowledged(RoomHistory history, IEnumerable<SentMessage> ours, Findings findings)
    {
        var bySeq = new Dictionary<long, StoredMessage>(history.Messages.Count);
        foreach (StoredMessage message in history.Messages)
        {
            bySeq.TryAdd(message.Seq, message);
        }

        foreach (SentMessage message in ours)
        {
            if (message.IsAcknowledged
                && !(bySeq.TryGetValue(message.Seq, out StoredMessage stored) && stored.Id == message.Id && stored.Nonce == message.Nonce.ToString()))
            {
                string instead = stored.Seq == 0 ? "nothing" : $"{stored.Nonce} id {stored.Id}";
                findings.Add(
                    Fault.Lost,
                    $"{message.Nonce} was acknowledged as seq {message.Seq} id {message.Id} of room {history.Room}; {history.Source} has {instead} there");
            }
            else if (!message.IsAcknowledged && !message.IsRefused)
            {
                findings.Add(Fault.Unanswered, $"{message.Nonce} in room {history.Room} was never answered");
            }
        }
    }

    private static void CheckView(RoomHistory history, Dictionary<long, long> seqs, RoomView view, Findings findings)
    {
        IReadOnlyList<StoredMessage> messages = history.Messages;
        long head = messages.Count == 0 ? 0 : messages[^1].Seq;
        if (view.Seq < head)
        {
            findings.Add(
                Fault.Hole, $"client {view.Client} got room {view.Room} up to seq {view.Seq}; {history.Source} goes on to {head}", head - view.Seq);
        }

        for (long seq = 1; seq <= view.Seq; seq++)
        {
            long id = view.IdAt(seq);
            if (id == 0)
            {
                continue; // Counted when the gap was seen.
            }

            if (!seqs.TryGetValue(id, out long there))
            {
                findings.Add(
                    Fault.Phantom, $"client {view.Client} has seq {seq} id {id} of room {view.Room}, which is not in {history.Source}");
            }
            else if (there != seq)
            {
                findings.Add(
                    Fault.Reordered, $"client {view.Client} has id {id} of room {view.Room} as seq {seq}; {history.Source} has it as seq {there}");
            }
        }
    }

    private static string Name(StoredMessage message, RoomHistory history) =>
        $"in {history.Source} seq {message.Seq} id {message.Id} of room {history.Room} ({message.Nonce})";

    private static string Shorten(string text) => text.Length <= 40 ? text : $"{text[..40]}...";
}
