using Chat.Storage;
using Microsoft.Coyote.Specifications;
using Microsoft.Extensions.Logging.Abstractions;

namespace Chat.Concurrency.Tests.Log;

/// <summary>A message log with one room, and what it told of every message.</summary>
internal sealed class SteeredLog
{
    private readonly Lock _gate = new();
    private readonly HashSet<long> _told = [];
    private readonly TaskCompletionSource _allTold = new();
    private readonly RoomLog _room;
    private readonly MemoryStore _store;
    private long _lastSeq;
    private long _lastCommitted;
    private int _awaited = int.MaxValue;
    private int _failed;
    private int _sent;

    public SteeredLog(MemoryStore store)
    {
        _store = store;
        Log = new MessageLog(store, new StoreSession(1, 0), new MessageLogOptions(), OnCommitted, OnFailed, new FrozenTime(), NullLogger.Instance);
        _room = Log.OpenRoom(1, 0);
    }

    public MessageLog Log { get; }

    /// <summary>Messages that were reserved, numbered and appended.</summary>
    public int Sent => Volatile.Read(ref _sent);

    public int Told
    {
        get
        {
            lock (_gate)
            {
                return _told.Count;
            }
        }
    }

    /// <summary>Senders that reserve, number and append, as rooms do: numbers are taken in order and appended in any.</summary>
    public async Task SendAll(int senders, int messages)
    {
        Task[] tasks = new Task[senders];
        for (int i = 0; i < senders; i++)
        {
            tasks[i] = Steered.Run(() => Send(messages));
        }

        await Task.WhenAll(tasks);
    }

    /// <summary>Waits for the outcome of so many messages.</summary>
    public Task AllTold(int messages)
    {
        lock (_gate)
        {
            _awaited = messages;
            Check();
        }

        return _allTold.Task;
    }

    public async Task DrainAsync() => Assert.Equal(0, await Log.DrainAsync(TimeSpan.FromDays(1)));

    /// <summary>Reads all that has been numbered so far, as a client does that saw it live.</summary>
    public async Task CheckHistoryAsync()
    {
        long seen = Interlocked.Read(ref _lastSeq);
        HistoryPage page = await ReadAsync(seen);
        for (int i = 0; i < page.Messages.Count; i++)
        {
            Specification.Assert(page.Messages[i].Seq == i + 1, $"{page.Messages[i].Seq} is in the place of {i + 1}");
        }

        Specification.Assert(page.Messages.Count >= seen, $"{seen} were seen, and {page.Messages.Count} are in the history");
    }

    public Task<HistoryPage> ReadAsync(long seenSeq) => Log.ReadHistoryAsync(_room, null, 0, 100, seenSeq, CancellationToken.None);

    public void CheckOutcomes(int messages, int? failed)
    {
        Assert.True(Log.IsHealthy);
        Assert.Equal(0, Log.QueuedRows);
        Assert.Equal(messages, Told);
        Assert.Equal(failed ?? _failed, _failed);
        Assert.Equal(messages - _failed, _store.Rows.Count(row => !row.IsTombstone));
    }

    private void Send(int messages)
    {
        for (int i = 0; i < messages && Log.TryReserve(5); i++)
        {
            Interlocked.Increment(ref _sent);
            long seq = Interlocked.Increment(ref _lastSeq);
            Log.Append(_room, new MessageRecord
            {
                Id = Log.NextMessageId(),
                RoomId = 1,
                Seq = seq,
                Epoch = 1,
                SenderId = 1,
                SenderName = "Ann",
                Content = "hello"u8.ToArray(),
                CreatedAtUnixMs = 0,
            });
        }
    }

    private void OnCommitted(ReadOnlyMemory<MessageRecord> batch)
    {
        lock (_gate)
        {
            foreach (MessageRecord record in batch.Span)
            {
                Specification.Assert(record.Seq > _lastCommitted, $"{record.Seq} is committed after {_lastCommitted}");
                _lastCommitted = record.Seq;
                Tell(record);
            }

            Check();
        }
    }

    private void OnFailed(MessageRecord record, AppendFailure failure)
    {
        lock (_gate)
        {
            _failed++;
            Tell(record);
            Check();
        }
    }

    private void Tell(MessageRecord record) => Specification.Assert(_told.Add(record.Id), $"{record.Seq} is told of twice");

    private void Check()
    {
        if (_told.Count == _awaited)
        {
            _allTold.TrySetResult();
        }
    }
}
