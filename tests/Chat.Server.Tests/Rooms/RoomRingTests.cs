using Chat.Protocol;
using Chat.Server.Rooms;
using CsCheck;

namespace Chat.Server.Tests.Rooms;

public sealed class RoomRingTests
{
    /// <summary>Where numbers and positions get longer, or where a shorter integer or a tag would go round.</summary>
    private static readonly long[] Starts =
        [0, 8, 98, 65_530, 65_536 * 3 - 2, int.MaxValue - 5L, (1L << 32) - 3, (1L << 40) - 777];

    private static PublishStatus Publish(RoomRing ring, int fillLength, out byte[] frame)
    {
        byte[] suffix = RingEvent.Suffix(1, 2, fillLength);
        PublishStatus status = ring.TryPublish(RingEvent.Prefix, suffix, out long seq);
        frame = status == PublishStatus.Published ? RingEvent.Frame(seq, suffix) : [];
        return status;
    }

    private static byte[] Read(RoomRing ring, RingCursor cursor, int bytesMax = int.MaxValue)
    {
        if (!ring.Published(cursor, bytesMax, out long seq, out long position))
        {
            return [];
        }

        ring.Range(cursor.Position, position, out ReadOnlySpan<byte> first, out ReadOnlySpan<byte> second);
        byte[] bytes = [.. first, .. second];
        cursor.MoveTo(seq, position);
        return bytes;
    }

    private static RingCursor ActiveAt(long seq, long position)
    {
        var cursor = new RingCursor();
        cursor.MoveTo(seq, position);
        return cursor;
    }

    /// <summary>The filling that makes the next event's frame take so many bytes.</summary>
    private static int FillFor(int frameBytes, long seq)
    {
        int rest = frameBytes - RingEvent.Frame(seq, RingEvent.Suffix(1, 2, 0)).Length;
        while (RingEvent.Frame(seq, RingEvent.Suffix(1, 2, rest)).Length > frameBytes)
        {
            rest--; // The header has grown.
        }

        return rest;
    }

    [Fact]
    public void An_event_takes_the_number_after_the_last_and_is_framed()
    {
        RingCursor cursor = ActiveAt(41, 1000);
        var ring = new RoomRing(1024, 41, 1000, [cursor]);

        Assert.Equal(PublishStatus.Published, Publish(ring, 0, out byte[] frame));

        Assert.Equal(42, ring.HeadSeq);
        Assert.Equal(RingEvent.Frame(42, RingEvent.Suffix(1, 2, 0)), frame);
        Assert.Equal(frame, Read(ring, cursor));
        Assert.Empty(Read(ring, cursor));
    }

    [Fact]
    public void A_ring_of_no_bytes_is_full_and_keeps_the_head()
    {
        var ring = new RoomRing(0, 7, 1000, []);

        Assert.Equal(PublishStatus.Full, Publish(ring, 0, out _));

        ring.GetHead(out long seq, out long position);
        Assert.Equal((7, 1000), (seq, position));
    }

    [Fact]
    public void An_event_of_exactly_the_capacity_fits_and_one_byte_more_changes_nothing()
    {
        RingCursor cursor = ActiveAt(0, 100);
        var ring = new RoomRing(256, 0, 100, [cursor]);
        int fill = FillFor(256, 1);

        Assert.Equal(PublishStatus.Full, Publish(ring, fill + 1, out _));
        Assert.Equal(0, ring.HeadSeq);
        Assert.Equal(PublishStatus.Published, Publish(ring, fill, out byte[] frame));
        Assert.Equal(256, frame.Length);
        Assert.Equal(frame, Read(ring, cursor));
        Assert.Equal(PublishStatus.Published, Publish(ring, fill, out frame));
        Assert.Equal(frame, Read(ring, cursor));
    }

    [Fact]
    public void The_slowest_active_reader_gates_until_it_moves()
    {
        RingCursor slow = ActiveAt(0, 0);
        RingCursor fast = ActiveAt(0, 0);
        var ring = new RoomRing(256, 0, 0, [fast, null, slow, new RingCursor()]);
        var published = new List<byte>();
        while (Publish(ring, 0, out byte[] frame) == PublishStatus.Published)
        {
            published.AddRange(frame);
        }

        Assert.Equal(published, Read(ring, fast));
        Assert.Equal(PublishStatus.Full, Publish(ring, 0, out _));
        Assert.Equal(published, Read(ring, slow));
        Assert.Equal(PublishStatus.Published, Publish(ring, 0, out _));
    }

    [Fact]
    public void Without_readers_the_head_is_the_only_gate()
    {
        var ring = new RoomRing(256, 0, 0, [new RingCursor()]);
        for (int i = 0; i < 1000; i++)
        {
            Assert.Equal(PublishStatus.Published, Publish(ring, i % 50, out _));
        }
    }

    [Fact]
    public void A_read_takes_one_whole_event_however_few_bytes_it_may_take()
    {
        RingCursor cursor = ActiveAt(0, 0);
        var ring = new RoomRing(1024, 0, 0, [cursor]);
        Publish(ring, 10, out byte[] first);
        Publish(ring, 20, out byte[] second);
        Publish(ring, 30, out byte[] third);

        Assert.Equal(first, Read(ring, cursor, bytesMax: 1));
        Assert.Equal([.. second, .. third], Read(ring, cursor, bytesMax: second.Length + third.Length));
    }

    [Fact]
    public void A_sealed_ring_publishes_nothing_and_its_successor_goes_on()
    {
        RingCursor cursor = ActiveAt(9, 90);
        var old = new RoomRing(256, 9, 90, [cursor]);
        Publish(old, 0, out byte[] first);

        RoomRing ring = old.Reseat(1024);

        Assert.Equal(PublishStatus.Sealed, Publish(old, 0, out _));
        Assert.Equal(PublishStatus.Published, Publish(ring, 0, out byte[] second));
        Assert.Equal([.. first, .. second], Read(ring, cursor));
        Assert.Throws<InvariantException>(() => old.Reseat(1024));
    }

    [Fact]
    public void A_ring_gives_its_bytes_back_only_when_no_reader_lacks_any()
    {
        RingCursor cursor = ActiveAt(0, 0);
        var ring = new RoomRing(256, 0, 0, [cursor]);
        Publish(ring, 0, out byte[] frame);

        ring = ring.Reseat(0);
        Assert.Equal(256, ring.Capacity);
        Assert.Equal(frame, Read(ring, cursor));
        ring = ring.Reseat(0);
        Assert.Equal(0, ring.Capacity);
        Assert.Equal(PublishStatus.Full, Publish(ring, 0, out _));
        ring = ring.Reseat(256);
        Assert.Equal(PublishStatus.Published, Publish(ring, 0, out frame));
        Assert.Equal(frame, Read(ring, cursor));
    }

    [Fact]
    public void What_lies_behind_a_number_is_found_until_it_is_claimed_again()
    {
        var ring = new RoomRing(512, 0, 0, []);
        Publish(ring, 0, out _);
        Publish(ring, 0, out byte[] second);
        Assert.True(ring.TryGetStartAfter(1, out long start));
        byte[] copy = new byte[second.Length];
        Assert.True(ring.TryCopy(start, copy));
        Assert.Equal(second, copy);
        Assert.False(ring.TryGetStartAfter(3, out _));

        while (ring.HeadSeq < 20)
        {
            Publish(ring, 0, out _);
        }

        Assert.False(ring.TryGetStartAfter(1, out _));
        Assert.False(ring.TryCopy(start, copy));
    }

    [Theory]
    [InlineData(64 * 8)]
    [InlineData(RoomRing.CapacityMax)]
    public void A_number_65536_before_a_held_one_is_not_taken_for_it(int capacity)
    {
        long head = 3 * 65_536 + 17;
        var ring = new RoomRing(capacity, head, 1_000_000, []);
        Publish(ring, 0, out _);

        Assert.True(ring.TryGetStartAfter(head, out long start));
        Assert.Equal(1_000_000, start);
        Assert.False(ring.TryGetStartAfter(head - 65_536, out _));
        Assert.False(ring.TryGetStartAfter(head + 1 - (2 * 65_536), out _));
    }

    [Fact]
    public void The_largest_ring_goes_round_its_tags_and_loses_nothing()
    {
        RingCursor cursor = ActiveAt(65_536 - 1000, int.MaxValue - 100L);
        var ring = new RoomRing(RoomRing.CapacityMax, cursor.Seq, cursor.Position, [cursor]);
        for (int round = 0; round < 8; round++)
        {
            long from = cursor.Seq;
            while (Publish(ring, 0, out _) == PublishStatus.Published)
            {
            }

            ReadOnlySpan<byte> bytes = Read(ring, cursor);
            for (long seq = from + 1; seq <= cursor.Seq; seq++)
            {
                bytes = bytes[RingEvent.Take(bytes, seq, out _, out _)..];
            }

            Assert.True(bytes.IsEmpty);
            Assert.True(cursor.Seq - from > 20_000);
        }
    }

    [Theory]
    [InlineData(32)]
    [InlineData(96)]
    [InlineData(RoomRing.CapacityMax * 2)]
    public void A_capacity_that_is_no_power_of_two_or_out_of_range_is_refused(int capacity) =>
        Assert.Throws<InvariantException>(() => new RoomRing(capacity, 0, 0, []));

    private enum Step
    {
        Publish,
        Read,
        Activate,
        Deactivate,
        Reseat,
        Copy,
    }

    [Fact]
    public void Any_sequence_of_calls_gives_what_a_list_of_events_would()
    {
        Gen<(Step, int, int)> step = Gen.Select(
            Gen.Frequency(
                (8, Gen.Const(Step.Publish)),
                (5, Gen.Const(Step.Read)),
                (2, Gen.Const(Step.Activate)),
                (1, Gen.Const(Step.Deactivate)),
                (1, Gen.Const(Step.Reseat)),
                (2, Gen.Const(Step.Copy))),
            Gen.Int[0, 2],
            Gen.Int[0, 400]);
        Gen.Select(Gen.Int[0, Starts.Length - 1].Select(i => Starts[i]), Gen.Int[0, Starts.Length - 1].Select(i => Starts[i]), step.Array[0, 200])
            .Sample((seq, position, steps) => new Model(seq, position).Run(steps), iter: 1000, threads: 1);
    }

    /// <summary>The slow and obvious ring: every frame that was ever published, and where it starts.</summary>
    private sealed class Model
    {
        private static readonly int[] Capacities = [0, 128, 512, 1024, 4096];

        private readonly RingCursor[] _cursors = [new(), new(), new()];
        private readonly List<byte[]> _frames = [];
        private readonly List<long> _starts = [];
        private readonly long _firstSeq;
        private RoomRing _ring;
        private int _count;

        public Model(long seq, long position)
        {
            _firstSeq = seq;
            _starts.Add(position);
            _ring = new RoomRing(512, seq, position, _cursors);
        }

        private long HeadSeq => _firstSeq + _frames.Count;

        private long HeadPosition => _starts[^1];

        public void Run((Step Step, int Reader, int Size)[] steps)
        {
            foreach ((Step step, int reader, int size) in steps)
            {
                RingCursor cursor = _cursors[reader];
                switch (step)
                {
                    case Step.Publish:
                        Publish(reader, size);
                        break;
                    case Step.Read when cursor.IsActive:
                        Read(cursor, size * 4);
                        break;
                    case Step.Activate when !cursor.IsActive:
                        _ring.GetHead(out long seq, out long position);
                        Assert.Equal((HeadSeq, HeadPosition), (seq, position));
                        cursor.MoveTo(seq, position);
                        break;
                    case Step.Deactivate:
                        cursor.Deactivate();
                        break;
                    case Step.Reseat:
                        Reseat(Capacities[size % Capacities.Length]);
                        break;
                    case Step.Copy:
                        Copy(HeadSeq - (size % 12));
                        break;
                }
            }
        }

        private void Publish(int producer, int size)
        {
            byte[] suffix = RingEvent.Suffix(producer, _count++, size);
            byte[] frame = RingEvent.Frame(HeadSeq + 1, suffix);
            long gate = _cursors.Min(cursor => Math.Min(cursor.Position, HeadPosition));
            bool fits = HeadPosition + frame.Length - gate <= _ring.Capacity;

            PublishStatus status = _ring.TryPublish(RingEvent.Prefix, suffix, out long seq);

            Assert.Equal(fits ? PublishStatus.Published : PublishStatus.Full, status);
            if (fits)
            {
                Assert.Equal(HeadSeq + 1, seq);
                _frames.Add(frame);
                _starts.Add(HeadPosition + frame.Length);
            }

            Assert.Equal(HeadSeq, _ring.HeadSeq);
        }

        private void Read(RingCursor cursor, int bytesMax)
        {
            int next = (int)(cursor.Seq - _firstSeq);
            int end = next;
            while (end < _frames.Count && (end == next || _starts[end + 1] - _starts[next] <= bytesMax))
            {
                end++;
            }

            Assert.True(Joined(next, end).SequenceEqual(RoomRingTests.Read(_ring, cursor, bytesMax)));
            Assert.Equal((_firstSeq + end, _starts[end]), (cursor.Seq, cursor.Position));
        }

        private void Reseat(int capacity)
        {
            bool isLacking = _cursors.Any(cursor => cursor.IsActive && cursor.Position < HeadPosition);
            int expected = capacity < _ring.Capacity && isLacking ? _ring.Capacity : capacity;
            _ring = _ring.Reseat(capacity);
            Assert.Equal(expected, _ring.Capacity);
            Assert.Equal(HeadSeq, _ring.HeadSeq);
        }

        /// <summary>What a replay from the ring does: it may fail, but it may not lie.</summary>
        private void Copy(long since)
        {
            bool isFound = _ring.TryGetStartAfter(since, out long start);
            if (since < _firstSeq)
            {
                Assert.False(isFound);
                return;
            }

            int index = (int)(since - _firstSeq);
            if (_cursors.Any(cursor => cursor.IsActive && cursor.Seq <= since))
            {
                Assert.True(isFound); // A reader lacks it, so it has to be there.
            }

            if (isFound)
            {
                Assert.Equal(_starts[index], start);
                byte[] copy = new byte[HeadPosition - start];
                Assert.True(_ring.TryCopy(start, copy));
                Assert.True(Joined(index, _frames.Count).SequenceEqual(copy));
            }
        }

        private ReadOnlySpan<byte> Joined(int from, int to) => _frames[from..to].SelectMany(frame => frame).ToArray();
    }
}
