using System.Threading.Channels;
using Chat.Protocol;
using Chat.Protocol.WebSocket;
using Chat.Server;
using Chat.Server.Connections;
using Chat.Server.Rooms;
using Chat.Server.Settings;
using Chat.Storage;
using Microsoft.Extensions.Logging.Abstractions;

namespace Chat.Bench;

/// <summary>
/// One event published and given to all members of a room, in memory: what fan-out costs before the kernel does its part.
/// Every member copies the event into a buffer. The baseline is the design that most servers start with, a channel for
/// each member, which the event is put into and taken out of.
/// </summary>
[MemoryDiagnoser]
public class FanOutBenchmarks : IDisposable
{
    private const int EventBytes = 200;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("chat-bench-");
    private readonly byte[] _prefix = new byte[40];
    private readonly byte[] _suffix = new byte[150];
    private readonly byte[] _destination = new byte[64 * 1024];
    private IChatStore _store = null!;
    private MessageLog _log = null!;
    private ManualShard _shard = null!;
    private Room _room = null!;
    private Channel<byte[]>[] _channels = [];

    [Params(10, 1000)]
    public int Members { get; set; }

    [GlobalSetup]
    public async Task SetUp()
    {
        _store = StoreFactory.Create(null, _folder.FullName);
        await _store.InitializeAsync(CancellationToken.None);
        StoreSession storeSession = await _store.BeginSessionAsync(CancellationToken.None);
        UserRecord user = (await _store.CreateUserAsync("ann@example.com", "Ann", "hash", CancellationToken.None))!;
        RoomDirectory rooms = null!;
        _log = new MessageLog(
            _store, storeSession, new MessageLogOptions(), batch => rooms.Committed(batch),
            (record, failure) => rooms.Failed(record, failure), TimeProvider.System, NullLogger.Instance);
        rooms = new RoomDirectory(_store, new RoomServices(_log, TimeProvider.System, DeliveryOrder.Immediate, storeSession.Epoch, 1)
        {
            NonceWindowMs = 600_000,
            NoncesPerRoomMax = 10_000,
            RingBytesMin = 1 << 20,
            RingBytesMax = 1 << 20,
        });
        _room = (await rooms.FindAsync(1, CancellationToken.None))!;
        _shard = new ManualShard();
        var services = new SessionServices(
            _log, new Resume(new ReplayCache(_log, _store, TimeProvider.System), NullLogger<Resume>.Instance),
            new Subscriptions(rooms, _store, NullLogger<Subscriptions>.Instance), new ServerMetrics(), Rates: null);
        var sender = new Sender(user.Id, user.Username);
        for (int i = 0; i < Members; i++)
        {
            var session = new ChatSession(_shard, new CopyingOutlet(_destination), sender, DateTimeOffset.MaxValue, _room, services);
            session.Start(ResumePoint.None);
        }

        _shard.Turn();
        // A room's first message makes its ring. The later ones go past the log: they are not what is measured.
        Invariant.Require(_room.Offer(sender, "x"u8, default, new NoPublisher(), out _, out _) == OfferStatus.Accepted);
        _shard.Turn();
        _channels = [.. Enumerable.Range(0, Members).Select(static _ => Channel.CreateBounded<byte[]>(64))];
    }

    [Benchmark(Baseline = true)]
    public void ChannelPerMember()
    {
        byte[] frame = GC.AllocateUninitializedArray<byte>(EventBytes);
        int header = FrameWriter.WriteHeader(frame, Opcode.Text, EventBytes - 4);
        _prefix.CopyTo(frame, header);
        _suffix.CopyTo(frame, header + _prefix.Length);
        foreach (Channel<byte[]> channel in _channels)
        {
            Invariant.Require(channel.Writer.TryWrite(frame));
        }

        foreach (Channel<byte[]> channel in _channels)
        {
            Invariant.Require(channel.Reader.TryRead(out byte[]? taken));
            taken!.CopyTo(_destination, 0);
        }
    }

    [Benchmark]
    public void Round()
    {
        Invariant.Require(_room.Ring.TryPublish(_prefix, _suffix, out _) == PublishStatus.Published);
        _shard.MarkDirty(_room.MembersOn(_shard));
        _shard.Turn();
    }

    [GlobalCleanup]
    public void Dispose()
    {
        _log.DisposeAsync().AsTask().GetAwaiter().GetResult();
        _store.DisposeAsync().AsTask().GetAwaiter().GetResult();
        _folder.Delete(recursive: true);
        GC.SuppressFinalize(this);
    }

    private sealed class ManualShard() : Shard(0, BenchLimits, TimeProvider.System)
    {
        private static readonly SessionLimits BenchLimits = new()
        {
            MessageBytesMax = 64 * 1024,
            ContentCharsMax = 4000,
            PingIntervalMs = 25_000,
            PongTimeoutMs = 20_000,
            CloseTimeoutMs = 5_000,
            SubscriptionsMax = 10,
            BacklogBytesMax = 1 << 20,
            BacklogTimeMaxMs = 10_000,
            ResumeEventsMax = 500,
            ResumeBytesMax = 1 << 20,
        };

        public void Turn()
        {
            while (RunTurn())
            {
            }
        }

        protected override void Wake()
        {
        }
    }

    private sealed class CopyingOutlet(byte[] destination) : Outlet
    {
        public override int BacklogBytes => 0;

        public override int HeldBytes => 0;

        public override long BacklogSinceMs => 0;

        public override void Write(ReadOnlySpan<byte> frames) => frames.CopyTo(destination);

        public override void Flush()
        {
        }

        public override void SendDown(int heldBytesMax)
        {
        }

        public override void DropBacklog()
        {
        }

        public override void Complete()
        {
        }

        public override void Abort()
        {
        }
    }

    private sealed class NoPublisher : IPublisher
    {
        public void Committed(MessageRecord record, bool isDuplicate)
        {
        }

        public void Failed(long roomId, string? nonce, string code)
        {
        }
    }
}
