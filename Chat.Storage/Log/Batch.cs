namespace Chat.Storage;

/// <summary>
/// The rows a lane commits together: runs of rows of one room, ascending by seq. Remembers which rows turned out bad, so that what is
/// sent again has tombstones in their place. Reused for every batch; belongs to the lane's thread.
/// </summary>
internal sealed class Batch(int rowsMax)
{
    private readonly MessageRecord[] _rows = new MessageRecord[rowsMax];
    private readonly MessageRecord[] _selected = new MessageRecord[rowsMax];
    private readonly AppendFailure?[] _failures = new AppendFailure?[rowsMax];
    private readonly List<Run> _runs = [];
    private MessageRecord[] _numbered = [];
    private bool _hasFailures;

    /// <summary>Rows of one room from the previous run's end to <paramref name="End"/>, exclusive.</summary>
    private readonly record struct Run(RoomLog Room, int End);

    internal int Count { get; private set; }

    internal int ContentBytes { get; private set; }

    internal int Rooms => _runs.Count;

    internal bool IsFull => Count == _rows.Length;

    internal void Add(MessageRecord record)
    {
        _rows[Count++] = record;
        ContentBytes += record.Content.Length;
    }

    /// <summary>The rows added since the last run ended belong to <paramref name="room"/>.</summary>
    internal void EndRun(RoomLog room) => _runs.Add(new Run(room, Count));

    internal void Clear()
    {
        // The arrays live as long as the lane; they must not keep messages alive while it sleeps.
        Array.Clear(_rows, 0, Count);
        if (_hasFailures)
        {
            Array.Clear(_selected, 0, Count);
            Array.Clear(_failures, 0, Count);
            _hasFailures = false;
        }
        Array.Clear(_numbered);
        _runs.Clear();
        Count = 0;
        ContentBytes = 0;
    }

    internal MessageRecord this[int index] => _rows[index];

    internal AppendFailure? FailureOf(int index) => _failures[index];

    /// <summary>What goes to the database for a range: bad rows as tombstones, or left out when their room is missing too.</summary>
    /// <param name="indexes">The place in the batch of each row returned; empty when the range is returned as it is.</param>
    /// <param name="start">First row.</param>
    /// <param name="count">Rows.</param>
    internal ReadOnlySpan<MessageRecord> ToSend(int start, int count, List<int> indexes)
    {
        indexes.Clear();
        if (!_hasFailures)
            return _rows.AsSpan(start, count);
        for (var i = start; i < start + count; i++)
        {
            if (_failures[i] == AppendFailure.UnknownRoom)
                continue;
            _selected[indexes.Count] = _failures[i] is null ? _rows[i] : _rows[i].ToTombstone();
            indexes.Add(i);
        }
        return _selected.AsSpan(0, indexes.Count);
    }

    /// <summary>What the database made of the rows that <see cref="ToSend"/> returned last; nothing when they came numbered.</summary>
    internal void Number(ReadOnlySpan<MessageRecord> numbered, int start, List<int> indexes)
    {
        if (numbered.Length > 0 && _numbered.Length == 0)
            _numbered = new MessageRecord[_rows.Length];
        for (var i = 0; i < numbered.Length; i++)
            _numbered[indexes.Count == 0 ? start + i : indexes[i]] = numbered[i];
    }

    /// <summary>Rows that are stored, as they are stored. Valid until the next <see cref="Clear"/>.</summary>
    internal ReadOnlyMemory<MessageRecord> Rows(int start, int count) => (_numbered.Length > 0 ? _numbered : _rows).AsMemory(start, count);

    /// <summary>The database refuses this row; a tombstone only for want of its room, and is left out.</summary>
    internal void Refuse(int index, AppendFailure failure)
    {
        Invariant.Require(_failures[index] is null || (failure == AppendFailure.UnknownRoom && _failures[index] != failure));
        _failures[index] = failure;
        _hasFailures = true;
    }

    /// <summary>The row goes again as it was.</summary>
    internal void Forgive(int index) => _failures[index] = null;

    /// <summary>Tells the rooms of a range how far they are durable now.</summary>
    internal void CommitRooms(int start, int count)
    {
        var runStart = 0;
        foreach (var run in _runs)
        {
            var last = Math.Min(run.End, start + count) - 1;
            if (last >= Math.Max(runStart, start))
                run.Room.Commit(_rows[last].Seq);
            runStart = run.End;
        }
    }
}
