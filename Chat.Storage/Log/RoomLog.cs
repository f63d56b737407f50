namespace Chat.Storage;

/// <summary>
/// One room's tail: what was appended and is not durable yet, in a ring indexed by seq. It serves two readers: the lane's
/// writer, which takes only rows whose predecessors are all there, and history, which shows them before they are durable.
///
///     durable | taken by the writer | ready | gap | parked
///             ^ _committedSeq       ^ _takenSeq   ^ _readySeq   ^ _highSeq
///
/// From <see cref="MessageLog.OpenRoom"/>; the server passes it back to <see cref="MessageLog"/> and calls nothing here. One lock, held
/// for a few instructions by each producer and for a copy of at most a batch or a page by the two readers.
/// </summary>
public sealed class RoomLog
{
    private const int CapacityMin = 8;

    /// <summary>A ring that grew beyond this is given back once empty, so that one burst does not cost memory for good.</summary>
    private const int CapacityKept = 1_024;

    private readonly Lock _gate = new();
    private MessageRecord?[] _ring = new MessageRecord?[CapacityMin];
    private long _committedSeq;
    private long _takenSeq;
    private long _readySeq;
    private long _highSeq;
    private bool _scheduled;
    private bool _isAbandoned;
    private TaskCompletionSource? _grown;

    internal RoomLog(long roomId, long lastSeq)
    {
        RoomId = roomId;
        _committedSeq = _takenSeq = _readySeq = _highSeq = lastSeq;
    }

    public long RoomId { get; }

    /// <summary>Every seq up to here is durable (or given up, its sender told).</summary>
    public long CommittedSeq
    {
        get
        {
            lock (_gate)
                return _committedSeq;
        }
    }

    internal bool IsEmpty
    {
        get
        {
            lock (_gate)
                return _committedSeq == _highSeq;
        }
    }

    /// <returns>True when the caller must put this room into its lane: rows became ready and it is not there already.
    /// After <see cref="TakeRest"/> always, so that the row is given up at once.</returns>
    internal bool Append(MessageRecord record)
    {
        lock (_gate)
        {
            Invariant.Require(record.Seq > _readySeq);
            Grow(record.Seq - _committedSeq);
            ref var slot = ref Slot(record.Seq);
            Invariant.Require(slot is null);
            slot = record;
            _highSeq = Math.Max(_highSeq, record.Seq);
            if (_isAbandoned)
                return true;
            if (record.Seq != _readySeq + 1)
                return false;
            do
                _readySeq++;
            while (_readySeq < _highSeq && Slot(_readySeq + 1) is not null);
            TellGrown();
            return !_scheduled && (_scheduled = true);
        }
    }

    /// <summary>
    /// Null when every row up to <paramref name="seq"/> has been appended, or none will be any more; else what completes with the next one: ask again.
    /// </summary>
    internal Task? WaitToReach(long seq)
    {
        lock (_gate)
        {
            if (_readySeq >= seq || _isAbandoned)
                return null;
            _grown ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return _grown.Task;
        }
    }

    /// <summary>Moves ready rows into the batch, in order, as far as it has room.</summary>
    /// <returns>True when ready rows are left: the room stays scheduled and goes back into the lane.</returns>
    internal bool Take(Batch batch, int contentBytesMax)
    {
        lock (_gate)
        {
            while (_takenSeq < _readySeq && !batch.IsFull)
            {
                var record = Slot(_takenSeq + 1)!;
                if (batch.Count > 0 && batch.ContentBytes + record.Content.Length > contentBytesMax)
                    break;
                batch.Add(record);
                _takenSeq++;
            }
            batch.EndRun(this);
            return _scheduled = _takenSeq < _readySeq;
        }
    }

    /// <summary>Empties the room of rows that no writer will take any more, parked ones included.</summary>
    internal List<MessageRecord> TakeRest()
    {
        var rest = new List<MessageRecord>();
        lock (_gate)
        {
            for (var seq = _takenSeq + 1; seq <= _highSeq; seq++)
            {
                ref var slot = ref Slot(seq);
                if (slot is not null)
                    rest.Add(slot);
                slot = null;
            }
            _readySeq = _takenSeq;
            _isAbandoned = true;
            TellGrown();
        }
        return rest;
    }

    /// <summary>The rows up to <paramref name="seq"/>, all taken before, are durable: history finds them in the store from now on.</summary>
    internal void Commit(long seq)
    {
        lock (_gate)
        {
            Invariant.Require(seq > _committedSeq && seq <= _takenSeq);
            while (_committedSeq < seq)
                Slot(++_committedSeq) = null;
            if (_committedSeq == _highSeq && _ring.Length > CapacityKept)
                _ring = new MessageRecord?[CapacityMin];
        }
    }

    /// <summary>
    /// The accepted rows with after &lt; seq &lt; before, ascending, at most <paramref name="limit"/>: the oldest when
    /// <paramref name="fromOldest"/>, else the newest. Parked rows are left out: nobody has seen them, and they would show a hole.
    /// </summary>
    internal MessageRecord[] Snapshot(long after, long before, int limit, bool fromOldest)
    {
        lock (_gate)
        {
            var last = Math.Min(before - 1, _readySeq);
            var start = Math.Max(after, _committedSeq); // Any number that a client asks for: the next one may not exist.
            if (last <= start)
                return [];
            var first = start + 1;
            if (last - first >= limit)
            {
                if (fromOldest)
                    last = first + limit - 1;
                else
                    first = last - limit + 1;
            }
            var rows = new MessageRecord[last - first + 1];
            for (var i = 0; i < rows.Length; i++)
                rows[i] = Slot(first + i)!;
            return rows;
        }
    }

    private void TellGrown()
    {
        _grown?.SetResult();
        _grown = null;
    }

    // The length is a power of two, so the low bits of a seq are its index.
    private ref MessageRecord? Slot(long seq) => ref _ring[seq & (_ring.Length - 1)];

    private void Grow(long rows)
    {
        if (rows <= _ring.Length)
            return;
        var old = _ring;
        _ring = new MessageRecord?[checked((int)System.Numerics.BitOperations.RoundUpToPowerOf2((ulong)rows))];
        foreach (var record in old)
        {
            if (record is not null)
                Slot(record.Seq) = record;
        }
    }
}
