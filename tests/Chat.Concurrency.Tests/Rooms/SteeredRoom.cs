using Chat.Concurrency.Tests.Log;
using Chat.Server;
using Chat.Server.Connections;
using Chat.Server.Rooms;
using Chat.Server.Settings;
using Chat.Storage;
using Microsoft.Coyote.Specifications;

namespace Chat.Concurrency.Tests.Rooms;

/// <summary>A room with its message log, portable shards, and publishers.</summary>
internal sealed class SteeredRoom : IAsyncDisposable
{
    private static readonly SessionLimits Limits = new()
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

    private readonly Sender _ann = new(1, "Ann");
    private readonly MessageLog _log;
    private readonly Room _room;
    private readonly SessionServices _services;
    private readonly PipeShard[] _shards;
    private readonly Counter _acknowledged = new();
    private int _published;

    /// <param name="shards">Shards among which members are dealt out.</param>
    /// <param name="stored">Events that history has and the ring has not.</param>
    /// <param name="ringBytesMax">512 holds three events: publishers wait for readers.</param>
    public SteeredRoom(int shards, int stored = 0, int ringBytesMax = 512)
    {
        var time = new FrozenTime();
        MemoryStore store = new MemoryStore().Seed(stored);
        _log = new MessageLog(store, new StoreSession(1, stored), new MessageLogOptions(), OnCommitted, OnFailed, time, new SilentLogger<MessageLog>());
        var services = new RoomServices(_log, time, DeliveryOrder.Immediate, 1, shards)
        {
            NonceWindowMs = 600_000,
            NoncesPerRoomMax = 1000,
            RingBytesMin = 256,
            RingBytesMax = ringBytesMax,
        };
        var resume = new Resume(new ReplayCache(_log, store, time), new SilentLogger<Resume>());
        var subscriptions = new Subscriptions(new RoomDirectory(store, services), store, new SilentLogger<Subscriptions>());
        _services = new SessionServices(_log, resume, subscriptions, new ServerMetrics(), null);
        _room = new Room(new RoomRecord(1, "room", stored, DateTimeOffset.UnixEpoch), stored, services, []);
        _shards = [.. Enumerable.Range(0, shards).Select(index => new PipeShard(index, Limits, time))];
    }

    /// <summary>A session enters the room; its shard does that in a turn of its own.</summary>
    public ChatSession Start(int shard, MemberOutlet outlet, long since = -1)
    {
        var session = new ChatSession(_shards[shard], outlet, _ann, DateTimeOffset.MaxValue, _room, _services);
        session.Start(since < 0 ? ResumePoint.None : new ResumePoint(since, -1));
        return session;
    }

    public async Task PublishAsync(int events)
    {
        for (int i = 0; i < events; i++)
        {
            OfferStatus status;
            while ((status = _room.Offer(_ann, "hello"u8, default, new TestPublisher(_acknowledged), out _, out _)) == OfferStatus.Full)
            {
                await Task.Yield();
            }

            Assert.Equal(OfferStatus.Accepted, status);
            Interlocked.Increment(ref _published);
        }
    }

    /// <summary>Ends the log; every message has been acknowledged once.</summary>
    public async ValueTask DisposeAsync()
    {
        Assert.Equal(0, await _log.DrainAsync(TimeSpan.FromDays(1)));
        Assert.True(_log.IsHealthy);
        Assert.Equal(_published, _acknowledged.Value);
    }

    private void OnCommitted(ReadOnlyMemory<MessageRecord> batch)
    {
        foreach (MessageRecord record in batch.Span)
        {
            _room.Committed(record);
        }
    }

    private void OnFailed(MessageRecord record, AppendFailure failure) => Specification.Assert(false, $"{record.Seq} failed: {failure}");

    private sealed class TestPublisher(Counter acknowledged) : IPublisher
    {
        public void Committed(MessageRecord record, bool isDuplicate) => acknowledged.Increment();

        public void Failed(long roomId, string? nonce, string code) => Specification.Assert(false, code);
    }

    private sealed class Counter
    {
        private int _value;

        public int Value => Volatile.Read(ref _value);

        public void Increment() => Interlocked.Increment(ref _value);
    }
}
