namespace Chat.LoadTests.Verify;

/// <summary>
/// Everything that one client knows, over all its connections: what it sent, what was acknowledged, what it saw. An app would keep the
/// same: unacknowledged messages in their order, and for each room where to resume. Any thread.
/// </summary>
internal sealed class ClientLedger
{
    private readonly Lock _gate = new();
    private readonly Findings _findings;
    private readonly Tally _tally;
    private readonly int _client;
    private readonly RoomState[] _rooms;
    private readonly Dictionary<string, SentMessage> _sent = [];
    private int _next;
    private long _pausedUntilMs;

    /// <param name="client">The client's number.</param>
    /// <param name="rooms">Its rooms, with the epoch of each; all of them empty.</param>
    /// <param name="findings">Takes what is wrong.</param>
    /// <param name="tally">Takes the counts.</param>
    public ClientLedger(int client, IEnumerable<(long Room, long Epoch)> rooms, Findings findings, Tally tally)
    {
        _client = client;
        _findings = findings;
        _tally = tally;
        _rooms = [.. rooms.Select(room => new RoomState(new RoomView(client, room.Room, room.Epoch, findings)))];
    }

    public IEnumerable<long> Rooms => _rooms.Select(state => state.View.Room);

    /// <summary>For the comparison at the end, when nothing runs any more.</summary>
    public IEnumerable<RoomView> Views => _rooms.Select(state => state.View);

    /// <summary>The same.</summary>
    public IEnumerable<SentMessage> Sent => _sent.Values;

    /// <summary>Messages that wait for their answer.</summary>
    public int Unanswered
    {
        get
        {
            lock (_gate)
            {
                return _rooms.Sum(state => state.Pending.Count);
            }
        }
    }

    /// <summary>A connection begins: nothing is entered, and everything unanswered has to be sent again.</summary>
    public void Connect()
    {
        lock (_gate)
        {
            foreach (RoomState state in _rooms)
            {
                state.IsEntered = false;
                state.SentHere = 0;
            }
        }
    }

    /// <summary>Where to resume a room.</summary>
    public (long Since, long Epoch) ResumePoint(long room)
    {
        lock (_gate)
        {
            RoomView view = Find(room).View;
            return (view.Seq, view.Epoch);
        }
    }

    /// <summary>Makes a message for one of the rooms that have been entered. False when there is none.</summary>
    public bool TryMake(Random random)
    {
        lock (_gate)
        {
            RoomState state = _rooms[random.Next(_rooms.Length)];
            if (!state.IsEntered)
            {
                return false;
            }

            var message = new SentMessage(new Nonce(_client, ++_next), state.View.Room);
            _sent.Add(message.Nonce.ToString(), message);
            state.Pending.Add(message);
            return true;
        }
    }

    /// <summary>The next message that has to go out on this connection: the oldest first in each room.</summary>
    public SentMessage? NextToSend(long nowMs)
    {
        lock (_gate)
        {
            if (nowMs < _pausedUntilMs)
            {
                return null;
            }

            foreach (RoomState state in _rooms)
            {
                if (state.IsEntered && state.SentHere < state.Pending.Count)
                {
                    return state.Pending[state.SentHere++];
                }
            }

            return null;
        }
    }

    /// <summary>Takes a welcome of a room. True when the gap has to be paged before the next event is looked at.</summary>
    public bool Welcome(in ServerEvent welcome)
    {
        lock (_gate)
        {
            RoomState state = Find(welcome.Room);
            state.View.Welcome(welcome.Epoch, welcome.RolledBackTo);
            state.IsEntered = welcome.Recovered;
            Interlocked.Increment(ref welcome.Recovered ? ref _tally.Resumed : ref _tally.Reloaded);
            if (welcome.RolledBackTo is not null)
            {
                Interlocked.Increment(ref _tally.Rollbacks);
            }

            return !welcome.Recovered;
        }
    }

    /// <summary>Takes a page that fills the gap. False when it is of another epoch than the welcome: resume anew.</summary>
    public bool AddPage(long room, HistoryPage page)
    {
        lock (_gate)
        {
            RoomState state = Find(room);
            if (page.Epoch != state.View.Epoch)
            {
                return false;
            }

            foreach (StoredMessage message in page.Messages)
            {
                state.View.AddPage(message.Seq, message.Id);
            }

            state.IsEntered = !page.HasMore;
            return true;
        }
    }

    /// <summary>Takes a message event.</summary>
    public void Message(in ServerEvent message)
    {
        lock (_gate)
        {
            Find(message.Room).View.Add(message.Seq, message.Id);
        }

        if (!Nonce.TryParse(message.Nonce, out Nonce nonce) || message.Content != nonce.Content())
        {
            _findings.Add(Fault.Altered, $"client {_client} got seq {message.Seq} of room {message.Room} with nonce '{message.Nonce}' and a text that is not its own");
        }
    }

    /// <summary>Takes an acknowledgement.</summary>
    public void Acknowledge(in ServerEvent ack)
    {
        lock (_gate)
        {
            if (!_sent.TryGetValue(ack.Nonce, out SentMessage? message) || message.Room != ack.Room)
            {
                _findings.Add(Fault.Altered, $"client {_client} got an ack of '{ack.Nonce}' in room {ack.Room}, which it never sent");
                return;
            }

            message.Acknowledge(ack.Seq, ack.Id, _findings);
            if (Remove(message))
            {
                Interlocked.Increment(ref _tally.Acknowledged);
            }

            if (ack.Duplicate)
            {
                Interlocked.Increment(ref _tally.Duplicates);
            }
        }
    }

    /// <summary>The message was not taken; it goes to the end of the row, to be sent again after a pause.</summary>
    public void PutOff(string nonce, long untilMs)
    {
        lock (_gate)
        {
            _pausedUntilMs = Math.Max(_pausedUntilMs, untilMs);
            if (_sent.TryGetValue(nonce, out SentMessage? message) && Remove(message))
            {
                message.WasPutOff = true;
                Find(message.Room).Pending.Add(message);
            }
        }
    }

    /// <summary>The message will never be stored.</summary>
    public void Refuse(string nonce)
    {
        lock (_gate)
        {
            if (_sent.TryGetValue(nonce, out SentMessage? message) && Remove(message))
            {
                message.IsRefused = true;
                Interlocked.Increment(ref _tally.Refused);
            }
        }
    }

    /// <summary>Whether every room is known up to these heads.</summary>
    public bool HasCaughtUp(IReadOnlyDictionary<long, long> heads)
    {
        lock (_gate)
        {
            return _rooms.All(state => state.View.Seq >= heads[state.View.Room]);
        }
    }

    private bool Remove(SentMessage message)
    {
        RoomState state = Find(message.Room);
        int index = state.Pending.IndexOf(message);
        if (index < 0)
        {
            return false;
        }

        state.Pending.RemoveAt(index);
        if (index < state.SentHere)
        {
            state.SentHere--;
        }

        return true;
    }

    private RoomState Find(long room) =>
        Array.Find(_rooms, state => state.View.Room == room)
            ?? throw new InvalidDataException($"client {_client} was sent an event of room {room}, which it did not enter");

    private sealed class RoomState(RoomView view)
    {
        public RoomView View { get; } = view;

        /// <summary>Unanswered, in the order in which they are sent.</summary>
        public List<SentMessage> Pending { get; } = [];

        /// <summary>How many of them have been sent on this connection.</summary>
        public int SentHere { get; set; }

        /// <summary>The welcome has been taken, and the gap is filled.</summary>
        public bool IsEntered { get; set; }
    }
}
