using System.Diagnostics;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;

namespace Chat.Storage;

/// <summary>
/// One writer of the message log: a thread, a connection, and the rooms that have rows for it. The channel carries rooms, not rows:
/// a room is in it at most once, however many rows it has ready, so rooms take turns and the channel cannot fill up
/// (a scheduled room has a reserved row). A batch is what became ready while the last one committed, and in a steady flow what became
/// ready within a millisecond.
/// </summary>
internal sealed class Lane
{
    /// <summary>The shortest sleep there is: the kernel rounds up.</summary>
    private static readonly TimeSpan OneMs = TimeSpan.FromMilliseconds(1);

    /// <summary>
    /// A transaction without an outcome for this long is said to hang, in the log and by <see cref="IsFailing"/>. Longer than the stores' own
    /// timeouts, which end what they know of.
    /// </summary>
    private static readonly TimeSpan HangsAfter = TimeSpan.FromSeconds(15);

    /// <summary>Timers count in coarser steps than the clock, and may be early by one.</summary>
    private static readonly TimeSpan TimerStep = TimeSpan.FromMilliseconds(50);

    private readonly MessageLog _log;
    private readonly int _index;
    private readonly IChatStore _store;
    private readonly MessageLogOptions _options;
    private readonly Action<ReadOnlyMemory<MessageRecord>> _committed;
    private readonly Action<MessageRecord, AppendFailure> _failed;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CancellationToken _stopping;
    private readonly Channel<RoomLog> _channel;
    private readonly TaskCompletionSource _stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Action _wakeUp;
    private readonly ITimer _watch;
    private readonly Batch _batch;
    private readonly List<int> _sentIndexes = [];
    private IMessageWriter? _writer;
    private long _committedAt;
    private int _rooms;
    private volatile int _failedAttempts;
    private long _sentAt;
    private long _rowsFailed;
    private long _rowsGivenUp;

    internal Lane(
        MessageLog log, int index, IChatStore store, MessageLogOptions options, Action<ReadOnlyMemory<MessageRecord>> committed,
        Action<MessageRecord, AppendFailure> failed, TimeProvider time, ILogger logger, CancellationToken stopping)
    {
        _log = log;
        _index = index;
        _store = store;
        _options = options;
        _committed = committed;
        _failed = failed;
        _time = time;
        _logger = logger;
        _stopping = stopping;
        _batch = new Batch(options.BatchRowsMax);
        _wakeUp = WakeUp;
        _watch = time.CreateTimer(static lane => ((Lane)lane!).OnHang(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _channel = Channel.CreateBounded<RoomLog>(new BoundedChannelOptions(options.RowsMax)
        {
            SingleReader = true,
            // The one continuation sets the event that the lane's thread sleeps on. Run inline it wakes the lane at once; queued, it
            // would wait for a thread-pool thread first.
            AllowSynchronousContinuations = true,
        });
    }

    internal DurationHistogram Commits { get; } = new();
    internal long RowsCommitted { get; private set; }
    internal long RowsFailed => Interlocked.Read(ref _rowsFailed);

    /// <summary>Of those, the ones that failed for no fault of their own.</summary>
    internal long RowsGivenUp => Interlocked.Read(ref _rowsGivenUp);
    internal long Retries { get; private set; }
    internal AppendErrorKind? LastError { get; private set; }

    /// <summary>Smoothed over about the last ten batches.</summary>
    internal double MsPerRow { get; private set; }

    /// <summary>One failure is an ordinary deadlock or restart; a second in a row means that the database is away, and so does silence.</summary>
    internal bool IsFailing => _failedAttempts > 1 || IsHanging;

    /// <summary>Completes when the thread ended; no callback comes afterwards.</summary>
    internal Task Stopped => _stopped.Task;

    internal void Start() => new Thread(Run) { Name = $"message log {_index}", IsBackground = true }.Start();

    internal void Schedule(RoomLog room)
    {
        if (_channel.Writer.TryWrite(room))
            return;
        // The channel holds every room that can be scheduled, so it refuses only when completed.
        Invariant.Require(_stopping.IsCancellationRequested);
        GiveUpRest(room);
    }

    /// <summary>No more rooms come; the thread ends after those it has.</summary>
    internal void Complete() => _channel.Writer.TryComplete();

    private void Run()
    {
        while (WaitForRooms())
        {
            try
            {
                Pace();
                Collect();
                Commit(0, _batch.Count, resend: false);
            }
            catch (Exception e)
            {
                // Nothing that a database does comes here, only our own bugs (or a callback's), after which rows may be unaccounted for.
                // The loop goes on, to fail what still arrives instead of leaving its senders waiting.
                Break(e);
            }
            _rooms = _batch.Rooms;
            _batch.Clear();
        }
        CloseWriter();
        _watch.Dispose();
        foreach (var room in _log.RoomsOf(this))
            GiveUpRest(room);
        _stopped.SetResult();
    }

    /// <summary>After the stop: what the lane did not take, parked rows included, is told to its senders. Each row once: the room hands it out once.</summary>
    private void GiveUpRest(RoomLog room)
    {
        foreach (var record in room.TakeRest())
            GiveUp(record, _log.IsBroken ? AppendFailure.LogBroken : AppendFailure.ShutDown);
    }

    private bool WaitForRooms()
    {
        var wait = _channel.Reader.WaitToReadAsync(CancellationToken.None);
        if (wait.IsCompletedSuccessfully)
            return wait.Result;
        // Task.Wait would spin before it sleeps, with time that the shards could use. A monitor sleeps at once.
        var task = wait.AsTask();
        task.ConfigureAwait(false).GetAwaiter().UnsafeOnCompleted(_wakeUp);
        lock (_wakeUp)
        {
            while (!task.IsCompleted)
                Monitor.Wait(_wakeUp);
        }
        return task.GetAwaiter().GetResult();
    }

    /// <summary>
    /// Keeps commits apart. Sleeping is right here: the thread is the lane's own, and a timer would only wake it. When more
    /// rows wait than a batch holds there is nothing to gain, and when less is left than half of what a sleep takes at least, it would overshoot:
    /// a commit of 0.9 ms began every 2 ms, and half of the messages waited for that.
    /// </summary>
    private void Pace()
    {
        var left = (_options.CommitIntervalMin ?? _store.CommitIntervalMin(_rooms)) - Stopwatch.GetElapsedTime(_committedAt);
        if (left > OneMs / 2 && _log.QueuedRows < _options.BatchRowsMax && !_stopping.IsCancellationRequested)
            Thread.Sleep(left < OneMs ? OneMs : left);
        _committedAt = Stopwatch.GetTimestamp();
    }

    private void WakeUp()
    {
        lock (_wakeUp)
            Monitor.Pulse(_wakeUp);
    }

    private void Collect()
    {
        while (!_batch.IsFull && _batch.ContentBytes < _options.BatchBytesMax && _channel.Reader.TryRead(out var room))
        {
            if (!room.Take(_batch, _options.BatchBytesMax))
                continue;
            // The batch has no room for its next row. Without the break a room whose next row is too long for the bytes left would be
            // read and scheduled for ever.
            Schedule(room);
            break;
        }
    }

    /// <summary>Makes a range of the batch durable, however long it takes, and calls back; splits the range to corner a bad row.</summary>
    private void Commit(int start, int count, bool resend)
    {
        var backoff = new Backoff(_options.BackoffMin, _options.BackoffMax);
        while (!_stopping.IsCancellationRequested && !_log.IsBroken)
        {
            try
            {
                Send(start, count, resend);
                Committed(start, count);
                return;
            }
            catch (AppendException e)
            {
                LastError = e.Kind;
                CloseWriter();
                switch (e.Kind)
                {
                    case AppendErrorKind.BadRows when e.BadRows.Count == 0 && count == 1 && _batch.FailureOf(start) is not null:
                        // A tombstone, and its room is there: without it the room would have a hole. Somebody allows less in the table than we store,
                        // and may have refused the row for the same reason.
                        _batch.Forgive(start);
                        goto case AppendErrorKind.Transient;
                    case AppendErrorKind.Transient:
                        Retries++;
                        if (++_failedAttempts == 2)
                            LaneLog.CannotCommit(_logger, _index, count, e.Message);
                        resend = true;
                        Wait(backoff.Next());
                        break;
                    case AppendErrorKind.BadRows when e.BadRows.Count > 0 || count == 1:
                        Refuse(start, e.BadRows);
                        break;
                    case AppendErrorKind.BadRows:
                        Commit(start, count / 2, resend);
                        Commit(start + count / 2, count - count / 2, resend);
                        return;
                    default:
                        Break(e);
                        break;
                }
            }
        }
        for (var i = start; i < start + count; i++)
            GiveUp(_batch[i], _log.IsBroken ? AppendFailure.LogBroken : AppendFailure.ShutDown);
    }

    private void Send(int start, int count, bool resend)
    {
        var rows = _batch.ToSend(start, count, _sentIndexes);
        if (rows.IsEmpty)
            return;
        var startedAt = Stopwatch.GetTimestamp();
        Volatile.Write(ref _sentAt, startedAt);
        _watch.Change(HangsAfter + TimerStep, Timeout.InfiniteTimeSpan);
        try
        {
            _writer ??= _store.OpenWriter();
            _writer.Append(rows, resend);
            _batch.Number(_writer.Numbered, start, _sentIndexes);
        }
        finally
        {
            _watch.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            if (IsHanging)
                _failedAttempts++; // Counts for two: the lane was failing meanwhile, and is until one comes through.
            Volatile.Write(ref _sentAt, 0);
        }
        var endedAt = Stopwatch.GetTimestamp();
        Commits.Record(endedAt - startedAt);
        MsPerRow += (Stopwatch.GetElapsedTime(startedAt, endedAt).TotalMilliseconds / rows.Length - MsPerRow) / 10;
        if (_failedAttempts > 1)
            LaneLog.CommitsAgain(_logger, _index, _failedAttempts);
        _failedAttempts = 0;
    }

    /// <summary>Asked of the clock, and not a mark that the timer sets: it could be set just after the outcome had come.</summary>
    private bool IsHanging => Volatile.Read(ref _sentAt) is not 0 and var sentAt && Stopwatch.GetElapsedTime(sentAt) >= HangsAfter;

    private void OnHang()
    {
        if (!IsHanging)
            return;
        LaneLog.CannotCommit(_logger, _index, _batch.Count, $"no answer for {HangsAfter.TotalSeconds} s");
    }

    /// <summary>The database named the rows at fault, or there is only one it can be.</summary>
    private void Refuse(int start, IReadOnlyList<BadRow> badRows)
    {
        if (badRows.Count == 0)
            _batch.Refuse(start, AppendFailure.InvalidRow);
        foreach (var badRow in badRows)
            _batch.Refuse(_sentIndexes.Count == 0 ? start + badRow.Index : _sentIndexes[badRow.Index], badRow.Failure);
    }

    private void Committed(int start, int count)
    {
        _batch.CommitRooms(start, count);
        var stored = start; // Where the rows begin that are stored as they are, and not told of yet.
        long contentBytes = 0;
        for (var i = start; i < start + count; i++)
        {
            var record = _batch[i];
            contentBytes += record.Content.Length;
            if (_batch.FailureOf(i) is not { } failure)
                continue;
            TellStored(stored, i);
            stored = i + 1;
            Interlocked.Increment(ref _rowsFailed);
            LaneLog.RowRefused(_logger, _index, record.RoomId, record.Seq, record.Id, failure);
            _failed(record, failure);
        }
        TellStored(stored, start + count);
        // Last, so that a log that drained to zero has made its callbacks.
        _log.Release(count, contentBytes);
    }

    private void TellStored(int start, int end)
    {
        RowsCommitted += end - start;
        if (end > start)
            _committed(_batch.Rows(start, end - start));
    }

    private void GiveUp(MessageRecord record, AppendFailure failure)
    {
        Interlocked.Increment(ref _rowsFailed);
        Interlocked.Increment(ref _rowsGivenUp);
        _failed(record, failure);
        _log.Release(1, record.Content.Length);
    }

    private void Wait(TimeSpan time)
    {
        try
        {
            Task.Delay(time, _time, _stopping).GetAwaiter().GetResult();
        }
        catch (OperationCanceledException)
        {
            // The loop asks the token.
        }
    }

    private void CloseWriter()
    {
        _writer?.Dispose();
        _writer = null;
    }

    private void Break(Exception cause)
    {
        CloseWriter();
        LaneLog.Broken(_logger, _index, cause);
        _log.Break(cause);
    }
}
