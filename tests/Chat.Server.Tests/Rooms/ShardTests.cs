using System.Diagnostics;
using System.Threading.Channels;
using Chat.Server.Connections;
using Chat.Server.Rooms;
using Chat.Storage;

namespace Chat.Server.Tests.Rooms;

public sealed class ShardTests
{
    private readonly TestShard _shard = new(0, RoomSetup.Limits, TimeProvider.System);

    [Fact]
    public async Task A_member_is_welcomed_and_then_gets_every_event_in_order()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        var outlet = new TestOutlet();
        setup.Start(_shard, outlet);
        _shard.TurnAll();
        for (int i = 1; i <= 100; i++)
        {
            setup.Offer($"text {i}");
            if (i % 7 == 0)
            {
                _shard.TurnAll();
            }
        }

        _shard.TurnAll();

        Assert.Equal("welcome", outlet.Frames()[0].Type);
        Assert.Equal(Enumerable.Range(1, 100).Select(i => $"text {i}"), outlet.Messages().Select(frame => frame.Content));
        Assert.Equal(Enumerable.Range(1, 100).Select(i => (long)i), outlet.Seqs());
    }

    [Fact]
    public async Task A_newcomer_starts_behind_its_welcome_without_a_hole()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        var outlets = new List<TestOutlet>();
        for (int i = 0; i < 20; i++)
        {
            setup.Offer("before the turn");
            outlets.Add(new TestOutlet());
            setup.Start(_shard, outlets[^1]);
            if (i % 3 == 0)
            {
                _shard.Turn();
            }
        }

        setup.Offer("the last");
        _shard.TurnAll();

        foreach (TestOutlet outlet in outlets)
        {
            long welcome = outlet.Frames()[0].Seq;
            Assert.Equal(Enumerable.Range((int)welcome + 1, 21 - (int)welcome).Select(i => (long)i), outlet.Seqs());
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(4)]
    [InlineData(9)]
    public async Task A_member_that_leaves_in_a_delivery_costs_the_others_nothing(int slow)
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        TestOutlet[] outlets = [.. Enumerable.Range(0, 10).Select(_ => new TestOutlet())];
        ChatSession[] sessions = Array.ConvertAll(outlets, outlet => setup.Start(_shard, outlet));
        _shard.TurnAll();
        outlets[slow].OnWrite = () => outlets[slow].Backlog = RoomSetup.Limits.BacklogBytesMax + 1;
        setup.Offer("one");
        _shard.TurnAll();
        outlets[slow].OnWrite = null;
        setup.Offer("two");
        _shard.TurnAll();

        for (int i = 0; i < outlets.Length; i++)
        {
            Assert.Equal(i == slow ? [1L] : [1L, 2L], outlets[i].Seqs());
        }

        Assert.False(sessions[slow].IsOpen);
        Assert.Equal(1, outlets[slow].Drops);
        Assert.Equal(4002, outlets[slow].Frames()[^1].CloseCode);
        Assert.Equal(9, setup.Room.MemberCount);
    }

    [Fact]
    public async Task All_members_may_leave_in_one_delivery()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        TestOutlet[] outlets = [.. Enumerable.Range(0, 10).Select(_ => new TestOutlet())];
        foreach (TestOutlet outlet in outlets)
        {
            setup.Start(_shard, outlet);
        }

        _shard.TurnAll();
        Array.ForEach(outlets, outlet => outlet.Backlog = RoomSetup.Limits.BacklogBytesMax + 1);
        setup.Offer("one");
        _shard.TurnAll();

        Assert.All(outlets, outlet => Assert.Equal([1L], outlet.Seqs()));
        Assert.False(setup.Room.MembersOn(_shard).IsActive);

        var late = new TestOutlet();
        setup.Start(_shard, late);
        _shard.TurnAll();
        setup.Offer("two");
        _shard.TurnAll();
        Assert.Equal([2L], late.Seqs());
    }

    [Fact]
    public async Task A_message_to_a_few_does_not_wait_for_one_to_many()
    {
        int[] members = [300, 100, 3, 200];
        var served = new List<int>();
        var setups = new List<RoomSetup>();
        foreach (int count in members)
        {
            RoomSetup setup = await RoomSetup.OpenAsync();
            setups.Add(setup);
            for (int i = 0; i < count; i++)
            {
                setup.Start(_shard, new TestOutlet { OnWrite = () => served.Add(count) });
            }
        }

        _shard.TurnAll();
        served.Clear(); // The welcomes.
        setups.ForEach(setup => setup.Offer("at the same time"));
        _shard.Turn();

        Assert.Equal(members.Order().SelectMany(count => Enumerable.Repeat(count, count)), served);
        foreach (RoomSetup setup in setups)
        {
            await setup.DisposeAsync();
        }
    }

    [Fact]
    public async Task A_large_room_whose_fan_out_took_long_sends_less_in_the_next_one()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        TestOutlet[] outlets = [.. Enumerable.Range(0, 100).Select(static _ => new TestOutlet())];
        Array.ForEach(outlets, outlet => setup.Start(_shard, outlet));
        _shard.TurnAll();
        for (int i = 0; i < 150; i++)
        {
            setup.Offer(new string('x', 1000));
        }

        Array.ForEach(outlets, static outlet => outlet.OnWrite = static () => BusyFor(TimeSpan.FromMilliseconds(1))); // A fifth of that would do.
        long before = outlets[0].BytesWritten;
        _shard.Turn();
        long first = outlets[0].BytesWritten - before;
        _shard.Turn();
        long second = outlets[0].BytesWritten - before - first;

        Assert.InRange(first, FanOutShare.BytesMax / 2, FanOutShare.BytesMax);
        Assert.InRange(second, 1, first / 4);
        Array.ForEach(outlets, static outlet => outlet.OnWrite = null);
        _shard.TurnAll();
        Assert.All(outlets, static outlet => Assert.Equal(150, outlet.Seqs().Length));
    }

    [Fact]
    public async Task Bytes_of_a_delivery_that_is_only_queued_are_kept_when_the_last_member_leaves()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        var shard = new QueueingShard();
        ChatSession session = setup.Start(shard, new TestOutlet());
        shard.TurnAll();
        RoomMembers group = setup.Room.MembersOn(shard);
        long start = group.Position;
        bool isKept = false;
        shard.OnSettle = () =>
        {
            session.Close(1001, "gone before it was carried out");
            isKept = group.Position == start;
        };
        setup.Offer("one");
        shard.TurnAll();

        Assert.True(isKept);
        Assert.False(group.IsActive);
    }

    [Fact]
    public async Task A_session_that_stopped_is_sent_nothing_and_may_be_posted_to()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        var outlet = new TestOutlet();
        ChatSession session = setup.Start(_shard, outlet);
        session.Stop(); // In the same turn as the start.
        MessageRecord record = await setup.CommitAsync("one");
        session.Committed(record, isDuplicate: false);
        _shard.Post((_, _) => session.Subscribe(setup.Room, ResumePoint.None), session);
        _shard.PostCloseAll(1001, "server is stopping");
        _shard.PostSweep();
        _shard.TurnAll();

        Assert.Empty(outlet.Messages());
        Assert.True(outlet.IsComplete);
        Assert.Equal((0, 0), (_shard.SessionCount, setup.Room.MemberCount));
        Assert.False(setup.Room.MembersOn(_shard).IsActive);
    }

    [Fact]
    public async Task A_session_that_comes_when_all_are_closed_is_closed_as_well()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        _shard.PostCloseAll(1001, "server is stopping");
        _shard.TurnAll();
        var outlet = new TestOutlet();
        ChatSession session = setup.Start(_shard, outlet);
        _shard.TurnAll();

        Assert.Equal(1001, Assert.Single(outlet.Frames()).CloseCode);
        session.Stop();
        _shard.TurnAll();
        Assert.Equal((0, 0), (_shard.SessionCount, setup.Room.MemberCount));
    }

    [Fact]
    public async Task A_turn_sends_a_limited_part_of_one_room()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        var outlet = new TestOutlet();
        setup.Start(_shard, outlet);
        _shard.TurnAll();
        for (int i = 0; i < 200; i++)
        {
            setup.Offer(new string('x', 1000));
        }

        _shard.Turn();
        int first = outlet.Messages().Count;
        _shard.TurnAll();

        Assert.InRange(first, 20, 64);
        Assert.Equal(200, outlet.Messages().Count);
    }

    [Fact]
    public async Task A_join_does_not_chase_a_room_that_never_pauses()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        var outlet = new TestOutlet();
        setup.Start(_shard, outlet);
        _shard.TurnAll();
        // As a publisher that is as fast as the fan-out: each delivery finds another event behind it.
        int offered = 0;
        outlet.OnWrite = () =>
        {
            if (offered++ < 10_000)
            {
                setup.Offer("more");
            }
        };
        setup.Offer("one");
        setup.Start(_shard, new TestOutlet());
        _shard.Turn();

        Assert.InRange(offered, 1, 10);
        outlet.OnWrite = null;
        _shard.TurnAll();
        Assert.Equal(Enumerable.Range(1, outlet.Messages().Count).Select(i => (long)i), outlet.Seqs());
        Assert.Equal(setup.Room.HeadSeq, outlet.Seqs()[^1]);
    }

    [Fact]
    public void Work_posted_by_work_runs_in_the_next_turn()
    {
        var order = new List<string>();
        _shard.Post((_, _) =>
        {
            order.Add("first");
            _shard.Post((_, _) => order.Add("second"), _shard);
        }, _shard);

        Assert.True(_shard.Turn());
        Assert.Equal(["first"], order);
        Assert.True(_shard.Turn());
        Assert.Equal(["first", "second"], order);
        Assert.False(_shard.Turn());
        Assert.False(_shard.IsCurrent);
    }

    [Fact]
    public void A_sleeping_shard_is_woken_once()
    {
        _shard.Post((_, _) => { }, _shard);
        _shard.Post((_, _) => { }, _shard);
        Assert.Equal(1, _shard.Wakes);
        _shard.TurnAll();
        _shard.Post((_, _) => { }, _shard);
        Assert.Equal(2, _shard.Wakes);
    }

    [Fact]
    public void An_outlet_written_to_twice_is_flushed_once_at_the_end_of_the_turn()
    {
        var outlet = new TestOutlet();
        _shard.Post((_, _) =>
        {
            _shard.FlushLater(outlet);
            _shard.FlushLater(outlet);
            Assert.Equal(0, outlet.Flushes);
        }, _shard);
        _shard.TurnAll();

        Assert.Equal(1, outlet.Flushes);
        Assert.False(outlet.IsFlushPending);
    }

    /// <summary>One event at a time, so that every one of them meets a shard on its way to sleep: a lost wake-up ends the test.</summary>
    [Fact]
    public async Task No_wake_up_is_lost_between_a_publisher_and_shards_that_go_to_sleep()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync(shards: 2);
        PipeShard[] shards = [new(0, RoomSetup.Limits, TimeProvider.System), new(1, RoomSetup.Limits, TimeProvider.System)];
        using var delivered = new SemaphoreSlim(0);
        foreach (PipeShard shard in shards)
        {
            setup.Start(shard, new TestOutlet { IsDiscarding = true, OnWrite = () => delivered.Release() });
            Assert.True(await delivered.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken)); // The welcome.
        }

        var random = new Random(1);
        for (int i = 0; i < 10_000; i++)
        {
            setup.Offer("one");
            for (int shard = 0; shard < shards.Length; shard++)
            {
                Assert.True(delivered.Wait(10_000, TestContext.Current.CancellationToken), $"event {i} was not delivered");
            }

            Thread.SpinWait(random.Next(200));
        }
    }

    [Fact]
    public async Task Many_publishers_reach_all_members_on_all_shards_in_one_order()
    {
        const int Publishers = 4;
        const int Each = 2000;
        // A ring of one page: publishers wait for the shards all the time.
        await using RoomSetup setup = await RoomSetup.OpenAsync(shards: 2, ringBytesMax: 4096);
        PipeShard[] shards = [new(0, RoomSetup.Limits, TimeProvider.System), new(1, RoomSetup.Limits, TimeProvider.System)];
        var flushed = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
        TestOutlet[] outlets = [.. Enumerable.Range(0, 6).Select(_ => new TestOutlet { OnFlush = () => flushed.Writer.TryWrite(true) })];
        for (int i = 0; i < outlets.Length; i++)
        {
            setup.Start(shards[i % 2], outlets[i]);
        }

        await Eventually(flushed, () => outlets.All(outlet => outlet.BytesWritten > 0));
        await Task.WhenAll(Enumerable.Range(0, Publishers).Select(publisher => Task.Run(async () =>
        {
            for (int i = 0; i < Each; i++)
            {
                while (setup.Offer($"{publisher}:{i}") != OfferStatus.Accepted)
                {
                    await Task.Yield(); // The shards' turns are the pool's as well.
                }
            }
        })));
        await Eventually(flushed, () => outlets.All(outlet => outlet.BytesWritten == outlets[0].BytesWritten)
            && outlets[0].Messages().Count == Publishers * Each);

        List<SentFrame> expected = outlets[0].Messages();
        Assert.Equal(Enumerable.Range(1, Publishers * Each).Select(i => (long)i), outlets[0].Seqs());
        foreach (TestOutlet outlet in outlets[1..])
        {
            Assert.Equal(expected.Select(frame => frame.Content), outlet.Messages().Select(frame => frame.Content));
        }

        for (int publisher = 0; publisher < Publishers; publisher++)
        {
            string mine = $"{publisher}:";
            Assert.Equal(
                Enumerable.Range(0, Each).Select(i => $"{mine}{i}"),
                expected.Select(frame => frame.Content).Where(content => content.StartsWith(mine, StringComparison.Ordinal)));
        }
    }

    [Fact]
    public async Task A_delivery_allocates_nothing()
    {
        const int Members = 1000;
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        TestOutlet[] outlets = [.. Enumerable.Range(0, Members).Select(_ => new TestOutlet { IsDiscarding = true })];
        foreach (TestOutlet outlet in outlets)
        {
            setup.Start(_shard, outlet);
        }

        _shard.TurnAll();
        int steady = 0;
        for (int round = 0; steady < 200 && round < 2000; round++) // Some allocate, until everything is compiled and grown.
        {
            setup.Offer("some words of usual length, to all of you");
            long before = GC.GetAllocatedBytesForCurrentThread();
            _shard.Turn();
            long after = GC.GetAllocatedBytesForCurrentThread();
            steady = after == before ? steady + 1 : 0;
        }

        Assert.Equal(200, steady);
        Assert.All(outlets, outlet => Assert.Equal(outlets[0].BytesWritten, outlet.BytesWritten));
    }

    /// <summary>Carries deliveries out at the end of the turn, as a way out that submits its sends together does.</summary>
    private sealed class QueueingShard() : TestShard(0, RoomSetup.Limits, TimeProvider.System)
    {
        private readonly List<(RoomMembers Group, long Seq, long Position)> _queued = [];

        public Action? OnSettle { get; set; }

        protected override void Deliver(RoomMembers group, ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, long seq, long position) =>
            _queued.Add((group, seq, position));

        protected override void Settle()
        {
            foreach ((RoomMembers group, long seq, long position) in _queued)
            {
                OnSettle?.Invoke();
                Arrive(group, seq, position);
            }

            _queued.Clear();
        }
    }

    /// <summary>Looks again after each flush; fails when nothing more comes.</summary>
    private static void BusyFor(TimeSpan time)
    {
        for (long start = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(start) < time;)
        {
        }
    }

    private static async Task Eventually(Channel<bool> flushed, Func<bool> condition)
    {
        while (!condition())
        {
            await flushed.Reader.ReadAsync(TestContext.Current.CancellationToken).AsTask().WaitAsync(TimeSpan.FromSeconds(30));
        }
    }
}
