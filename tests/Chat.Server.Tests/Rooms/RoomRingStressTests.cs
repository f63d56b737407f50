using Chat.Server.Rooms;

namespace Chat.Server.Tests.Rooms;

/// <summary>Real threads on one ring. Bounded by count; a hole, a torn event or a lost head shows as a failure or as a test that does not end.</summary>
public sealed class RoomRingStressTests
{
    private const int Producers = 3;
    private const int Readers = 3;
    private const int EventsPerProducer = 10_000;
    private const int EventsInAll = Producers * EventsPerProducer;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly RingCursor[] _cursors = [.. Enumerable.Range(0, Readers).Select(_ => new RingCursor())];
    private volatile RoomRing _ring;
    private volatile bool _failed;

    public RoomRingStressTests() => _ring = new RoomRing(0, 65_000, (1L << 31) - 4000, _cursors);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Every_reader_sees_every_event_whole_and_in_order(bool withReseating)
    {
        long first = _ring.HeadSeq;
        foreach (RingCursor cursor in _cursors)
        {
            Activate(cursor);
        }

        Task[] tasks =
        [
            .. Enumerable.Range(0, Producers).Select(producer => Start(() => Produce(producer))),
            .. _cursors.Select(cursor => Start(() => ReadAll(cursor, first + EventsInAll))),
        ];
        Task work = Task.WhenAll(tasks);
        await Start(() => Reseat(work, withReseating));
        await work.WaitAsync(Patience, TestContext.Current.CancellationToken);
        Assert.Equal(first + EventsInAll, _ring.HeadSeq);
    }

    [Fact]
    public async Task A_reader_that_comes_and_goes_sees_no_torn_event_from_where_it_came_in()
    {
        long end = _ring.HeadSeq + EventsInAll;
        Task[] tasks =
        [
            .. Enumerable.Range(0, Producers).Select(producer => Start(() => Produce(producer))),
            .. _cursors.Select(cursor => Start(() => ComeAndGo(cursor, end))),
        ];
        Task work = Task.WhenAll(tasks);
        await Start(() => Reseat(work, withShrinking: true));
        await work.WaitAsync(Patience, TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task A_copy_without_a_cursor_is_right_or_refused()
    {
        _ring = new RoomRing(4096, 0, 0, _cursors);
        int copies = 0;
        Task[] producers = [.. Enumerable.Range(0, Producers).Select(producer => Start(() =>
        {
            while (Volatile.Read(ref copies) < 300 && !_failed)
            {
                Produce(producer);
            }
        }))];
        Task work = Task.WhenAll(producers);
        await Start(() =>
        {
            byte[] copy = new byte[4096];
            while (!work.IsCompleted)
            {
                RoomRing ring = _ring;
                ring.GetHead(out long seq, out long position);
                long since = Math.Max(0, seq - 8);
                if (ring.TryGetStartAfter(since, out long start) && position > start && ring.TryCopy(start, copy.AsSpan(0, (int)(position - start))))
                {
                    Check(copy.AsSpan(0, (int)(position - start)), since, seq, null);
                    Interlocked.Increment(ref copies);
                }
            }
        });
        await work.WaitAsync(Patience, TestContext.Current.CancellationToken);
    }

    private Task Start(Action run) => Task.Factory.StartNew(
        () =>
        {
            try
            {
                run();
            }
            catch
            {
                _failed = true; // The others stop waiting for this thread.
                throw;
            }
        },
        CancellationToken.None,
        TaskCreationOptions.LongRunning,
        TaskScheduler.Default);

    private void Produce(int producer)
    {
        var random = new Random(producer);
        for (int count = 0; count < EventsPerProducer && !_failed; count++)
        {
            byte[] suffix = RingEvent.Suffix(producer, count, random.Next(200));
            var spin = new SpinWait();
            while (_ring.TryPublish(RingEvent.Prefix, suffix, out _) != PublishStatus.Published && !_failed)
            {
                spin.SpinOnce();
            }
        }
    }

    private void Reseat(Task work, bool withShrinking)
    {
        int[] capacities = withShrinking ? [4096, 0, 512, 16_384, 1024, 8192] : [4096];
        for (int i = 0; !work.IsCompleted && !_failed; i++)
        {
            if (withShrinking || _ring.Capacity == 0)
            {
                _ring = _ring.Reseat(capacities[i % capacities.Length]);
            }

            Thread.Yield();
        }
    }

    /// <summary>As a room's members do it: show the cursor, then look at the head again.</summary>
    private void Activate(RingCursor cursor)
    {
        _ring.GetHead(out long seq, out long position);
        cursor.MoveTo(seq, position);
        Interlocked.MemoryBarrier();
        _ring.GetHead(out seq, out position);
        cursor.MoveTo(seq, position);
    }

    private void ReadAll(RingCursor cursor, long end)
    {
        int[] counts = new int[Producers];
        var spin = new SpinWait();
        while (cursor.Seq < end && !_failed)
        {
            if (!ReadSome(cursor, counts))
            {
                spin.SpinOnce();
            }
        }

        Assert.All(counts, count => Assert.Equal(EventsPerProducer, count));
    }

    private void ComeAndGo(RingCursor cursor, long end)
    {
        var random = new Random(1);
        while (_ring.HeadSeq < end && !_failed)
        {
            Activate(cursor);
            for (int reads = random.Next(4); reads > 0; reads--)
            {
                ReadSome(cursor, null);
            }

            cursor.Deactivate();
            if (random.Next(8) == 0)
            {
                Thread.Yield();
            }
        }
    }

    private bool ReadSome(RingCursor cursor, int[]? counts)
    {
        RoomRing ring = _ring;
        if (!ring.Published(cursor, 1000, out long seq, out long position))
        {
            return false;
        }

        ring.Range(cursor.Position, position, out ReadOnlySpan<byte> first, out ReadOnlySpan<byte> second);
        byte[] bytes = [.. first, .. second];
        Check(bytes, cursor.Seq, seq, counts);
        cursor.MoveTo(seq, position);
        return true;
    }

    private static void Check(ReadOnlySpan<byte> bytes, long after, long upTo, int[]? counts)
    {
        for (long seq = after + 1; seq <= upTo; seq++)
        {
            bytes = bytes[RingEvent.Take(bytes, seq, out int producer, out int count)..];
            if (counts is not null)
            {
                Assert.Equal(counts[producer]++, count); // A producer's own events keep their order, and none is missing.
            }
        }

        Assert.True(bytes.IsEmpty);
    }
}
