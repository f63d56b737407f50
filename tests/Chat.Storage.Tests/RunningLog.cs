using System.Collections.Concurrent;
using System.Text;
using Microsoft.Extensions.Logging;

namespace Chat.Storage.Tests;

/// <summary>A store with a session and a message log, and what the log called back.</summary>
internal sealed class RunningLog : IAsyncDisposable, ILogger
{
    private readonly ConcurrentDictionary<long, TaskCompletionSource<AppendFailure?>> _outcomes = new();

    private volatile TaskCompletionSource _cannotCommit = new();

    private RunningLog(IChatStore store, StoreSession session, MessageLogOptions options)
    {
        Store = store;
        Session = session;
        Log = new MessageLog(store, session, options, OnCommitted, OnFailed, TimeProvider.System, this);
    }

    public IChatStore Store { get; }
    public StoreSession Session { get; }
    public MessageLog Log { get; }
    public UserRecord Sender { get; private set; } = null!;

    /// <summary>In the order of the callbacks.</summary>
    public ConcurrentQueue<MessageRecord> Committed { get; } = new();

    /// <summary>Runs on the lane's thread before the outcome is told; a test may hold the lane here.</summary>
    public Action? BeforeCallback { get; set; }

    /// <summary>Completes when the log next says that it cannot commit.</summary>
    public Task NextCannotCommit()
    {
        _cannotCommit = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        return _cannotCommit.Task;
    }

    public static async Task<RunningLog> StartAsync(TestDatabase database, MessageLogOptions? options = null)
    {
        var store = database.NewStore();
        await store.InitializeAsync(default);
        var running = new RunningLog(store, await store.BeginSessionAsync(default), options ?? new MessageLogOptions());
        running.Sender = await store.FindUserByEmailAsync("sender@example.org", default)
            ?? (await store.CreateUserAsync("sender@example.org", "Sender", "hash", default))!;
        return running;
    }

    public MessageRecord Message(long roomId, long seq, string content = "hello", long? senderId = null) =>
        Message(roomId, seq, Encoding.UTF8.GetBytes(content), senderId);

    public MessageRecord Message(long roomId, long seq, byte[] content, long? senderId = null, string? nonce = null) => new()
    {
        Id = Log.NextMessageId(),
        RoomId = roomId,
        Seq = seq,
        Epoch = Session.Epoch,
        SenderId = senderId ?? Sender.Id,
        SenderName = "Sender",
        Nonce = nonce ?? $"n{seq}",
        Content = content,
        CreatedAtUnixMs = 1_790_000_000_123 + seq,
    };

    /// <returns>Completes with null when committed, else with the failure.</returns>
    public Task<AppendFailure?> Append(RoomLog room, MessageRecord record)
    {
        Assert.True(Log.TryReserve(record.Content.Length));
        var outcome = _outcomes.GetOrAdd(record.Id, _ => new(TaskCreationOptions.RunContinuationsAsynchronously));
        Log.Append(room, record);
        return outcome.Task;
    }

    /// <summary>The outcome of <paramref name="sentId"/> will be told as that of <paramref name="storedId"/>, whose duplicate it is.</summary>
    public void Expect(long storedId, long sentId) =>
        _outcomes[storedId] = _outcomes.GetOrAdd(sentId, _ => new(TaskCreationOptions.RunContinuationsAsynchronously));

    private void OnCommitted(ReadOnlyMemory<MessageRecord> records)
    {
        BeforeCallback?.Invoke();
        foreach (var record in records.Span)
        {
            Committed.Enqueue(record);
            // A second outcome of one message throws, which breaks the log and fails the test.
            _outcomes[record.Id].SetResult(null);
        }
    }

    private void OnFailed(MessageRecord record, AppendFailure failure) => _outcomes[record.Id].SetResult(failure);

    public async Task StopCleanlyAsync()
    {
        Assert.Equal(0, await Log.DrainAsync(TimeSpan.FromSeconds(30)));
        await Store.EndSessionAsync(default);
        await DisposeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await Log.DisposeAsync();
        await Store.DisposeAsync();
    }

    IDisposable? ILogger.BeginScope<TState>(TState state) => null;

    bool ILogger.IsEnabled(LogLevel logLevel) => true;

    void ILogger.Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        TestContext.Current.TestOutputHelper?.WriteLine(formatter(state, exception));
        if (eventId.Name == nameof(LaneLog.CannotCommit))
            _cannotCommit.TrySetResult();
    }
}
