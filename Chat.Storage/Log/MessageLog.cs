using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace Chat.Storage;

/// <summary>
/// Makes accepted messages durable, many to a transaction, and says when. The server sees no batches: it reserves,
/// numbers, appends, and is called back.
///
///     TryReserve -> the room gives a seq -> Append -> ... -> committed or failed, exactly once a message
///
/// A message is never dropped in silence: refused before it has a seq (<see cref="TryReserve"/>), or called back. The database may be away
/// for as long as the limits last; the log sends the same rows again until they are durable. It gives up only where going on
/// would break the one order of a room: then <see cref="Completion"/> faults, and the process must stop.
/// </summary>
public sealed class MessageLog : IAsyncDisposable
{
    private const int RetryAfterMinMs = 100;
    private const int RetryAfterMaxMs = 10_000;

    /// <summary>How long a stop waits for a lane that is inside a commit; its thread is left behind after that.</summary>
    public static readonly TimeSpan LaneStopTimeout = TimeSpan.FromSeconds(1);

    private readonly MessageLogOptions _options;
    private readonly IChatStore _store;
    private readonly Lane[] _lanes;
    private readonly ConcurrentDictionary<long, RoomLog> _rooms = new();
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _drained = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _stopping = new();
    private readonly Lazy<Task> _lanesStop; // Once: who disposes after a drain does not wait again for a lane that is left behind.
    private readonly TimeProvider _time;
    private readonly MessageIds? _ids;
    private long _lastMessageId;
    private long _queuedRows;
    private long _queuedBytes;
    private volatile bool _refusing;
    private volatile bool _draining;

    /// <summary>Starts the lanes' threads; they connect when the first message comes.</summary>
    /// <param name="store">With a session begun. Outlives the log.</param>
    /// <param name="session">What <see cref="IChatStore.BeginSessionAsync"/> answered.</param>
    /// <param name="options">Limits.</param>
    /// <param name="committed">
    /// Called on a lane's thread after each commit, with messages of one or more rooms, each room's in seq order and every message once.
    /// The memory is the log's again when it returns. Must be short and must not throw: the lane commits nothing meanwhile.
    /// </param>
    /// <param name="failed">
    /// Called for a message that will not be acknowledged. A lane's thread calls it, after a stop the appending one as well. A refused row's seq
    /// holds a tombstone by then, if the room exists.
    /// </param>
    /// <param name="time">For the waits between attempts.</param>
    /// <param name="logger">One line for each failure that begins or ends, not for each attempt.</param>
    public MessageLog(
        IChatStore store, StoreSession session, MessageLogOptions options,
        Action<ReadOnlyMemory<MessageRecord>> committed, Action<MessageRecord, AppendFailure> failed,
        TimeProvider time, ILogger logger)
    {
        options.Check();
        _options = options;
        _store = store;
        _time = time;
        _lanesStop = new Lazy<Task>(StopLanesAsync);
        _lastMessageId = session.MaxMessageId;
        _ids = session.IsShared ? new MessageIds(session.MaxMessageId) : null;
        _lanes = new Lane[options.Lanes];
        for (var i = 0; i < _lanes.Length; i++)
            _lanes[i] = new Lane(this, i, store, options, committed, failed, time, logger, _stopping.Token);
        foreach (var lane in _lanes)
            lane.Start();
    }

    /// <summary>Faults when the log is broken for good (<see cref="AppendFailure.LogBroken"/>): stop the process. Otherwise completes with dispose.</summary>
    public Task Completion => _completion.Task;

    /// <summary>False while the log is broken or a lane fails to commit: new messages queue up without being acknowledged.</summary>
    public bool IsHealthy => !_completion.Task.IsFaulted && !Array.Exists(_lanes, lane => lane.IsFailing);

    /// <summary>When a refused client may try again, in milliseconds: about the time that what is queued now needs.</summary>
    public int RetryAfterMs
    {
        get
        {
            if (!IsHealthy)
                return (int)Math.Max(RetryAfterMinMs, _options.BackoffMax.TotalMilliseconds);
            double slowestMs = 0;
            foreach (var lane in _lanes)
                slowestMs = Math.Max(slowestMs, lane.MsPerRow);
            return (int)Math.Clamp(Interlocked.Read(ref _queuedRows) * slowestMs / _lanes.Length, RetryAfterMinMs, RetryAfterMaxMs);
        }
    }

    public MessageLogStatistics Statistics
    {
        get
        {
            long committed = 0, failed = 0, retries = 0;
            AppendErrorKind? lastError = null;
            foreach (var lane in _lanes)
            {
                committed += lane.RowsCommitted;
                failed += lane.RowsFailed;
                retries += lane.Retries;
                lastError = lane.LastError ?? lastError;
            }
            return new MessageLogStatistics(
                Interlocked.Read(ref _queuedRows), Interlocked.Read(ref _queuedBytes), committed, failed, retries,
                DurationHistogram.Sum(_lanes.Select(static lane => lane.Commits)), lastError);
        }
    }

    /// <summary>Rows reserved and not yet given back.</summary>
    internal long QueuedRows => Interlocked.Read(ref _queuedRows);

    /// <summary>
    /// An id for one message whose place is reserved: above all ids in the database, in a shared session one of those that are this server's. Any thread.
    /// </summary>
    public long NextMessageId() => _ids?.Next() ?? Interlocked.Increment(ref _lastMessageId);

    /// <summary>In a shared session: another block should be given to <see cref="AddMessageIds"/>, soon.</summary>
    public bool NeedsMessageIds => _ids is { NeedsBlock: true };

    /// <param name="before">One less than the first of a block of <see cref="MessageIds.BlockSize"/> that no other server uses.</param>
    public void AddMessageIds(long before) => _ids!.Add(before);

    /// <summary>
    /// Makes the token of a room that was loaded. A room has one token at a time.
    /// </summary>
    /// <param name="roomId">A room of the database.</param>
    /// <param name="lastSeq">Its last durable seq; the next message is <paramref name="lastSeq"/> + 1.</param>
    public RoomLog OpenRoom(long roomId, long lastSeq)
    {
        var room = new RoomLog(roomId, lastSeq);
        Invariant.Require(_rooms.TryAdd(roomId, room));
        return room;
    }

    /// <summary>Forgets a room that is unloaded.</summary>
    /// <returns>False when messages of it are not durable yet; nothing has changed then.</returns>
    public bool TryCloseRoom(RoomLog room) => room.IsEmpty && _rooms.TryRemove(new KeyValuePair<long, RoomLog>(room.RoomId, room));

    /// <summary>
    /// Takes the place of one message, before it gets its seq. Any thread, never blocks.
    /// </summary>
    /// <returns>False when the log is full, draining or broken: refuse the message as overloaded.</returns>
    public bool TryReserve(int contentBytes)
    {
        var rows = Interlocked.Increment(ref _queuedRows);
        var bytes = Interlocked.Add(ref _queuedBytes, contentBytes);
        // _refusing is read after the interlocked adds, and DrainAsync sets it before it reads the count: either this call
        // sees the drain, or the drain sees this row. The other order could drain to zero and then accept a row.
        if (rows <= _options.RowsMax && bytes <= _options.BytesMax && !_refusing)
        {
            // Each row that is counted takes one id, or has taken it.
            if (_ids is null || _ids.Left >= rows)
                return true;
        }
        Release(contentBytes);
        return false;
    }

    /// <summary>Gives a place back: the message was refused after all and has no seq.</summary>
    public void Release(int contentBytes) => Release(1, contentBytes);

    internal void Release(int rows, long contentBytes)
    {
        Interlocked.Add(ref _queuedBytes, -contentBytes);
        if (Interlocked.Add(ref _queuedRows, -rows) == 0 && _draining)
            _drained.TrySetResult();
    }

    /// <summary>
    /// Hands over a message whose place was reserved with the length of its content. Never blocks, never refuses. Any thread, and
    /// messages of one room in any order: one whose predecessor is missing waits for it, so every seq that was given must come.
    /// </summary>
    public void Append(RoomLog room, MessageRecord record)
    {
        Invariant.Require(record.RoomId == room.RoomId);
        if (room.Append(record))
            LaneOf(room).Schedule(room);
    }

    /// <summary>
    /// A page of history, ascending: the oldest <paramref name="limit"/> messages above <paramref name="afterSeq"/> when that is given, else
    /// the newest below <paramref name="beforeSeq"/> (null: of all). It holds what is durable, and what is not yet durable up to
    /// <paramref name="seenSeq"/>. Whoever was sent a message may ask an instant before its row is appended: this waits for it.
    /// </summary>
    /// <param name="room">From <see cref="OpenRoom"/>.</param>
    /// <param name="beforeSeq">Exclusive.</param>
    /// <param name="afterSeq">Exclusive.</param>
    /// <param name="limit">Messages, at least 1.</param>
    /// <param name="seenSeq">The newest seq that the reader can have been sent: all up to it have been given, and so will be appended.</param>
    /// <param name="cancellationToken">Ends the wait and the query.</param>
    public async Task<HistoryPage> ReadHistoryAsync(
        RoomLog room, long? beforeSeq, long? afterSeq, int limit, long seenSeq, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(limit, 1);
        if (_ids is not null)
        {
            // What this server has sent and is not stored has no seq yet, and nobody has seen it.
            return await ReadDurableAsync(room.RoomId, beforeSeq, afterSeq, limit, cancellationToken).ConfigureAwait(false);
        }
        var before = Math.Min(beforeSeq ?? long.MaxValue, seenSeq + 1);
        while (room.WaitToReach(before - 1) is { } appended)
            await appended.WaitAsync(cancellationToken).ConfigureAwait(false);
        // One more than asked says whether there is more. The snapshot comes before the query: a row that commits in between is then in
        // both and merged by its seq. The other way round it would be in neither.
        var pending = room.Snapshot(afterSeq ?? 0, before, limit + 1, fromOldest: afterSeq is not null);
        if (afterSeq is null && pending.Length > limit)
            return HistoryPage.Merge([], pending, limit, fromOldest: false);
        var stored = await _store.ReadMessagesAsync(room.RoomId, beforeSeq, afterSeq, limit + 1, cancellationToken).ConfigureAwait(false);
        return HistoryPage.Merge(stored, pending, limit, fromOldest: afterSeq is not null);
    }

    /// <summary>The same of what is durable, which is all there is of a room that is not open.</summary>
    /// <param name="roomId">Any; the page is empty when there is no such room.</param>
    /// <param name="beforeSeq">Exclusive.</param>
    /// <param name="afterSeq">Exclusive.</param>
    /// <param name="limit">Messages, at least 1.</param>
    /// <param name="cancellationToken">Ends the query.</param>
    public async Task<HistoryPage> ReadDurableAsync(long roomId, long? beforeSeq, long? afterSeq, int limit, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(limit, 1);
        var all = await _store.ReadMessagesAsync(roomId, beforeSeq, afterSeq, limit + 1, cancellationToken).ConfigureAwait(false);
        return HistoryPage.Merge(all, [], limit, fromOldest: afterSeq is not null);
    }

    /// <summary>
    /// Refuses new reservations, waits until everything is durable, and stops the lanes. What was reserved before must still be
    /// appended or released. Takes at most <paramref name="deadline"/> and <see cref="LaneStopTimeout"/>.
    /// </summary>
    /// <returns>Rows that could not be saved before the deadline; none of them was or will be acknowledged. Zero allows
    /// <see cref="IChatStore.EndSessionAsync"/>.</returns>
    public async Task<long> DrainAsync(TimeSpan deadline)
    {
        _refusing = true;
        _draining = true;
        // A release that ended before _draining was set has not signalled; whoever ends later sees it set.
        Interlocked.MemoryBarrier();
        if (Interlocked.Read(ref _queuedRows) == 0)
            _drained.TrySetResult();
        await Task.WhenAny(_drained.Task, Task.Delay(deadline, _time)).ConfigureAwait(false);
        await _lanesStop.Value.ConfigureAwait(false);
        // Once drained, what is counted is a reservation on its way to being refused: it counts itself before it looks.
        var rowsLeft = _drained.Task.IsCompleted ? 0 : Interlocked.Read(ref _queuedRows);
        return rowsLeft + _lanes.Sum(lane => lane.RowsGivenUp);
    }

    /// <summary>Stops without draining; <see cref="DrainAsync"/> first, unless losing what is queued is the point.</summary>
    public async ValueTask DisposeAsync()
    {
        _refusing = true;
        await _lanesStop.Value.ConfigureAwait(false);
        _completion.TrySetResult();
    }

    private async Task StopLanesAsync()
    {
        await _stopping.CancelAsync().ConfigureAwait(false);
        foreach (var lane in _lanes)
            lane.Complete();
        var stopped = Task.WhenAll(Array.ConvertAll(_lanes, lane => lane.Stopped));
        await Task.WhenAny(stopped, Task.Delay(LaneStopTimeout, TimeProvider.System)).ConfigureAwait(false);
    }

    /// <summary>
    /// Another server has the database now (<see cref="IChatStore.HoldsSessionAsync"/>): nothing more is accepted, and <see cref="Completion"/>
    /// faults. Any thread.
    /// </summary>
    public void GiveUpSession() => Break(AppendException.SessionLost());

    internal void Break(Exception cause)
    {
        _refusing = true;
        _completion.TrySetException(cause);
    }

    internal IEnumerable<RoomLog> RoomsOf(Lane lane) => _rooms.Values.Where(room => LaneOf(room) == lane);

    internal bool IsBroken => _completion.Task.IsFaulted;

    private Lane LaneOf(RoomLog room) => _lanes[room.RoomId % _lanes.Length];
}
