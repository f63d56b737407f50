using System.Threading.Channels;
using Chat.Protocol.WebSocket;
using Chat.Server.Rooms;

namespace Chat.Bench;

/// <summary>
/// Events of 200 bytes through a room's ring: 1 to 4 threads publish, this one reads ranges and copies them out. One
/// operation is one event. The baseline does the same with a bounded channel of byte arrays, without numbering them.
/// The ring under a lock is what its producers would cost if they took turns.
/// </summary>
[MemoryDiagnoser]
public class RoomRingBenchmarks : IDisposable
{
    private const int EventsPerInvoke = 1 << 16;
    private const int RingBytes = 1 << 20;
    private const int RangeBytesMax = 64 * 1024;
    private const int EventBytes = 200;

    private readonly byte[] _prefix = new byte[40];
    private readonly byte[] _suffix = new byte[150];
    private readonly byte[] _destination = new byte[RangeBytesMax];
    private readonly RingCursor _cursor = new();
    private readonly Lock _gate = new();
    private readonly Channel<byte[]> _channel = System.Threading.Channels.Channel.CreateBounded<byte[]>(
        new BoundedChannelOptions(RingBytes / EventBytes) { SingleReader = true });

    private RoomRing _ring = null!;
    private ProducerThreads _producers = null!;

    [Params(1, 2, 4)]
    public int Producers { get; set; }

    [GlobalSetup]
    public void SetUp()
    {
        _cursor.MoveTo(0, 0);
        _ring = new RoomRing(RingBytes, 0, 0, [_cursor]);
        _producers = new ProducerThreads(Producers);
    }

    [Benchmark(Baseline = true, OperationsPerInvoke = EventsPerInvoke)]
    public long Channel()
    {
        _producers.Start(WriteToChannel);
        long bytes = 0;
        var spin = new SpinWait();
        for (int left = EventsPerInvoke; left > 0;)
        {
            if (_channel.Reader.TryRead(out byte[]? frame))
            {
                frame.CopyTo(_destination, 0);
                bytes += frame.Length;
                left--;
            }
            else
            {
                spin.SpinOnce(sleep1Threshold: -1);
            }
        }

        return bytes;
    }

    [Benchmark(OperationsPerInvoke = EventsPerInvoke)]
    public long Ring() => Read(PublishToRing);

    [Benchmark(OperationsPerInvoke = EventsPerInvoke)]
    public long RingUnderLock() => Read(PublishUnderLock);

    [GlobalCleanup]
    public void Dispose()
    {
        _producers.Dispose();
        GC.SuppressFinalize(this);
    }

    private long Read(Action publish)
    {
        _producers.Start(publish);
        long start = _cursor.Position;
        long last = _cursor.Seq + EventsPerInvoke;
        var spin = new SpinWait();
        while (_cursor.Seq < last)
        {
            if (_ring.Published(_cursor, RangeBytesMax, out long seq, out long position))
            {
                _ring.Range(_cursor.Position, position, out ReadOnlySpan<byte> first, out ReadOnlySpan<byte> second);
                first.CopyTo(_destination);
                second.CopyTo(_destination.AsSpan(first.Length));
                _cursor.MoveTo(seq, position);
            }
            else
            {
                spin.SpinOnce(sleep1Threshold: -1);
            }
        }

        return _cursor.Position - start;
    }

    private void WriteToChannel()
    {
        var spin = new SpinWait();
        for (int i = EventsPerInvoke / Producers; i > 0; i--)
        {
            byte[] frame = GC.AllocateUninitializedArray<byte>(EventBytes);
            int header = FrameWriter.WriteHeader(frame, Opcode.Text, EventBytes - 4);
            _prefix.CopyTo(frame, header);
            _suffix.CopyTo(frame, header + _prefix.Length);
            while (!_channel.Writer.TryWrite(frame))
            {
                spin.SpinOnce(sleep1Threshold: -1);
            }
        }
    }

    private void PublishToRing()
    {
        var spin = new SpinWait();
        for (int i = EventsPerInvoke / Producers; i > 0; i--)
        {
            while (_ring.TryPublish(_prefix, _suffix, out _) != PublishStatus.Published)
            {
                spin.SpinOnce(sleep1Threshold: -1);
            }
        }
    }

    private void PublishUnderLock()
    {
        var spin = new SpinWait();
        for (int i = EventsPerInvoke / Producers; i > 0; i--)
        {
            while (!TryPublishUnderLock())
            {
                spin.SpinOnce(sleep1Threshold: -1);
            }
        }
    }

    private bool TryPublishUnderLock()
    {
        lock (_gate)
        {
            return _ring.TryPublish(_prefix, _suffix, out _) == PublishStatus.Published;
        }
    }
}
