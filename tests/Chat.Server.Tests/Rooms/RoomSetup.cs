using System.Text;
using Chat.Server.Connections;
using Chat.Server.Rooms;
using Chat.Server.Settings;
using Chat.Storage;
using Chat.TestKit;
using Microsoft.Extensions.Logging.Abstractions;

namespace Chat.Server.Tests.Rooms;

/// <summary>Rooms over a real message log and a real SQLite store in a folder of its own; shards as the test wants them.</summary>
internal sealed class RoomSetup : IAsyncDisposable
{
    public const long RoomId = 1;

    private readonly TempFolder _folder;
    private readonly bool _ownsFolder;

    private RoomSetup(TempFolder folder, bool ownsFolder)
    {
        _folder = folder;
        _ownsFolder = ownsFolder;
    }

    public required CountingStore Store { get; init; }

    public required MessageLog Log { get; init; }

    public required RoomDirectory Rooms { get; init; }

    public required Room Room { get; init; }

    public required SessionServices Services { get; init; }

    public required Sender Ann { get; init; }

    public required int Epoch { get; init; }

    public required RoomServices RoomServices { get; init; }

    /// <summary>Small enough that a test reaches each of them.</summary>
    public static SessionLimits Limits { get; } = new()
    {
        MessageBytesMax = 64 * 1024,
        ContentCharsMax = 4000,
        PingIntervalMs = 25_000,
        PongTimeoutMs = 20_000,
        CloseTimeoutMs = 5_000,
        SubscriptionsMax = 10,
        BacklogBytesMax = 16 * 1024,
        BacklogTimeMaxMs = 10_000,
        ResumeEventsMax = 100,
        ResumeBytesMax = 64 * 1024,
    };

    public static async Task<RoomSetup> OpenAsync(
        DeliveryOrder order = DeliveryOrder.Immediate,
        int shards = 1,
        int ringBytesMin = 4096,
        int ringBytesMax = 1 << 20,
        TempFolder? folder = null,
        RateLimits? rates = null,
        TimeProvider? time = null)
    {
        time ??= TimeProvider.System;
        TempFolder ownFolder = folder ?? new TempFolder();
        var store = new CountingStore(StoreFactory.Create(null, ownFolder.Path));
        await store.InitializeAsync(CancellationToken.None);
        StoreSession session = await store.BeginSessionAsync(CancellationToken.None);
        UserRecord ann = await store.FindUserByEmailAsync("ann@example.com", CancellationToken.None)
            ?? (await store.CreateUserAsync("ann@example.com", "Ann", "hash", CancellationToken.None))!;
        RoomDirectory rooms = null!;
        var log = new MessageLog(
            store,
            session,
            new MessageLogOptions(),
            batch => rooms.Committed(batch),
            (record, failure) => rooms.Failed(record, failure),
            TimeProvider.System,
            NullLogger.Instance);
        var services = new RoomServices(log, time, order, session.Epoch, shards)
        {
            NonceWindowMs = 600_000,
            NoncesPerRoomMax = 10_000,
            RingBytesMin = ringBytesMin,
            RingBytesMax = ringBytesMax,
        };
        rooms = new RoomDirectory(store, services);
        var resume = new Resume(new ReplayCache(log, store, TimeProvider.System), NullLogger<Resume>.Instance);
        return new RoomSetup(ownFolder, folder is null)
        {
            Store = store,
            Log = log,
            Rooms = rooms,
            RoomServices = services,
            Room = (await rooms.FindAsync(RoomId, CancellationToken.None))!,
            Services = new SessionServices(log, resume, new Subscriptions(rooms, store, NullLogger<Subscriptions>.Instance), new ServerMetrics(), rates),
            Ann = new Sender(ann.Id, ann.Username),
            Epoch = session.Epoch,
        };
    }

    /// <summary>A session with the room as its default; it enters with the next turn of its shard.</summary>
    public ChatSession Start(Shard shard, Outlet outlet, ResumePoint? resume = null)
    {
        var session = new ChatSession(shard, outlet, Ann, DateTimeOffset.MaxValue, Room, Services);
        session.Start(resume ?? ResumePoint.None);
        return session;
    }

    public OfferStatus Offer(string content, string nonce = "", IPublisher? publisher = null) =>
        Offer(Encoding.UTF8.GetBytes(content), nonce, publisher, out _);

    public OfferStatus Offer(byte[] content, string nonce, IPublisher? publisher, out long seq) =>
        Room.Offer(Ann, content, Encoding.UTF8.GetBytes(nonce), publisher ?? new TestPublisher(), out seq, out _);

    /// <summary>Publishes one message and waits until it is durable.</summary>
    public async Task<MessageRecord> CommitAsync(string content, string nonce = "")
    {
        var publisher = new TestPublisher();
        Assert.Equal(OfferStatus.Accepted, Offer(content, nonce, publisher));
        return (await publisher.Outcome).Record!;
    }

    public async Task<MessageRecord[]> HistoryAsync(int count) =>
        [.. (await Log.ReadHistoryAsync(Room.Log, null, 0, count, Room.HeadSeq, CancellationToken.None)).Messages];

    public async ValueTask DisposeAsync()
    {
        Assert.Equal(0, await Log.DrainAsync(TimeSpan.FromSeconds(30)));
        await Log.DisposeAsync();
        await Store.DisposeAsync();
        if (_ownsFolder)
        {
            _folder.Dispose();
        }
    }
}

/// <summary>Remembers what it was told.</summary>
internal sealed class TestPublisher : IPublisher
{
    private readonly TaskCompletionSource<(MessageRecord?, bool, string?)> _outcome = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _calls;

    /// <summary>The first thing it was told, within a time in which it must have been.</summary>
    public Task<(MessageRecord? Record, bool IsDuplicate, string? ErrorCode)> Outcome => _outcome.Task.WaitAsync(TimeSpan.FromSeconds(30));

    public int Calls => Volatile.Read(ref _calls);

    public void Committed(MessageRecord record, bool isDuplicate)
    {
        Interlocked.Increment(ref _calls);
        _outcome.TrySetResult((record, isDuplicate, null));
    }

    public void Failed(long roomId, string? nonce, string code)
    {
        Interlocked.Increment(ref _calls);
        _outcome.TrySetResult((null, false, code));
    }
}
