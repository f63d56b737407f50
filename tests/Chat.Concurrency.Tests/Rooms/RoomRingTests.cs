using Chat.Server.Rooms;
using Chat.Server.Tests.Rooms;

namespace Chat.Concurrency.Tests.Rooms;

public sealed class RoomRingTests
{
    private const int Producers = 3;
    private const int EventsPerProducer = 2;
    private const int Events = Producers * EventsPerProducer;

    /// <summary>A ring of two events: it wraps, and producers wait for readers.</summary>
    private const int Capacity = 256;

    /// <summary>An event begins just before the end of the ring, and its number gets another digit on the way.</summary>
    private const long Position = (1 << 20) - 100;
    private const long Seq = 7;

    [Fact]
    public void Every_reader_sees_every_event_whole_and_in_order() => Exploration.Holds(ReadersKeepUp, 60);

    [Fact]
    public void Nothing_is_lost_when_the_ring_is_replaced_meanwhile() => Exploration.Holds(RingGrowsAndShrinks, 60);

    [Fact]
    public void A_copy_without_a_cursor_is_right_or_refused() => Exploration.Holds(CopyWithoutCursor, 60);

    [Theory]
    [InlineData(nameof(PlantedBug.CommittedBeforeWritten))]
    [InlineData(nameof(PlantedBug.ReadersDoNotGate))]
    [InlineData(nameof(PlantedBug.HeadLeftBehind))]
    [InlineData(nameof(PlantedBug.HeadOvertaken))]
    public void A_reader_that_sees_something_else_is_found(string bug) => Exploration.Finds(Enum.Parse<PlantedBug>(bug), ReadersKeepUp);

    [Fact]
    public void A_ring_replaced_too_early_is_found() => Exploration.Finds(PlantedBug.SealedBeforeReadable, RingGrowsAndShrinks);

    [Fact]
    public void A_torn_copy_is_found() => Exploration.Finds(PlantedBug.CopyNotLookedAtAgain, CopyWithoutCursor);

    private static async Task ReadersKeepUp()
    {
        var run = new Run(Capacity, readers: 2);
        Task[] tasks = [.. run.Produce(), .. run.ReadAll()];
        await Task.WhenAll(tasks);
        Assert.Equal(Seq + Events, run.Ring.HeadSeq);
    }

    private static async Task RingGrowsAndShrinks()
    {
        var run = new Run(0, readers: 1);
        Task reseats = Steered.Run(() =>
        {
            foreach (int capacity in (int[])[Capacity, 2 * Capacity, Capacity])
            {
                run.Ring = run.Ring.Reseat(capacity);
            }
        });
        Task[] tasks = [reseats, .. run.Produce(), .. run.ReadAll()];
        await Task.WhenAll(tasks);
        Assert.Equal(Seq + Events, run.Ring.HeadSeq);
    }

    private static async Task CopyWithoutCursor()
    {
        var run = new Run(Capacity, readers: 0);
        run.Publish(Producers, 2); // Full: what is copied is what the producers come round to.
        Task copies = Steered.Run(() =>
        {
            for (int i = 0; i < 4; i++)
            {
                run.Ring.GetHead(out long seq, out long position);
                if (run.Ring.TryGetStartAfter(seq - 1, out long start))
                {
                    byte[] copy = new byte[position - start];
                    if (run.Ring.TryCopy(start, copy))
                    {
                        Assert.Equal(copy.Length, RingEvent.Take(copy, seq, out _, out _));
                    }
                }
            }
        });
        Task[] tasks = [copies, .. run.Produce()];
        await Task.WhenAll(tasks);
    }

    /// <summary>Producers and readers of one room, without the room.</summary>
    private sealed class Run
    {
        private readonly RingCursor[] _cursors;
        private RoomRing _ring;

        public Run(int capacity, int readers)
        {
            _cursors = [.. Enumerable.Range(0, readers).Select(_ => new RingCursor())];
            _ring = new RoomRing(capacity, Seq, Position, _cursors);
            foreach (RingCursor cursor in _cursors)
            {
                cursor.MoveTo(Seq, Position);
            }
        }

        public RoomRing Ring
        {
            get => Volatile.Read(ref _ring);
            set => Volatile.Write(ref _ring, value);
        }

        public void Publish(int producer, int events)
        {
            for (int count = 0; count < events; count++)
            {
                byte[] suffix = RingEvent.Suffix(producer, count, 10 * producer);
                var spin = new SpinWait();
                while (Ring.TryPublish(RingEvent.Prefix, suffix, out _) != PublishStatus.Published)
                {
                    spin.SpinOnce();
                }
            }
        }

        public Task[] Produce() =>
            [.. Enumerable.Range(0, Producers).Select(producer => Steered.Run(() => Publish(producer, EventsPerProducer)))];

        public Task[] ReadAll() => [.. _cursors.Select(cursor => Steered.Run(() =>
        {
            int[] counts = new int[Producers];
            var spin = new SpinWait();
            while (cursor.Seq < Seq + Events)
            {
                if (!ReadSome(cursor, counts))
                {
                    spin.SpinOnce();
                }
            }

            Assert.All(counts, count => Assert.Equal(EventsPerProducer, count));
        }))];

        private bool ReadSome(RingCursor cursor, int[] counts)
        {
            RoomRing ring = Ring;
            if (!ring.Published(cursor, 1000, out long end, out long position))
            {
                return false;
            }

            Assert.True(end <= ring.HeadSeq, "a reader is ahead of the head");
            ring.Range(cursor.Position, position, out ReadOnlySpan<byte> first, out ReadOnlySpan<byte> second);
            ReadOnlySpan<byte> bytes = (byte[])[.. first, .. second];
            for (long seq = cursor.Seq + 1; seq <= end; seq++)
            {
                bytes = bytes[RingEvent.Take(bytes, seq, out int producer, out int count)..];
                Assert.Equal(counts[producer]++, count); // A producer's own events keep their order, and none is missing.
            }

            Assert.True(bytes.IsEmpty);
            cursor.MoveTo(end, position);
            return true;
        }
    }
}
