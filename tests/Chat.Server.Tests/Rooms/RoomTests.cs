using System.Text;
using Chat.Server.Rooms;
using Chat.Server.Settings;
using Chat.Storage;
using Chat.TestKit;

namespace Chat.Server.Tests.Rooms;

public sealed class RoomTests
{
    private readonly TestShard _shard = new(0, RoomSetup.Limits, TimeProvider.System);

    [Theory]
    [InlineData(nameof(DeliveryOrder.Immediate))]
    [InlineData(nameof(DeliveryOrder.Committed))]
    public async Task Concurrent_publishers_get_numbers_without_holes_and_ring_and_history_agree(string order)
    {
        const int Publishers = 4;
        const int Each = 500;
        await using RoomSetup setup = await RoomSetup.OpenAsync(Enum.Parse<DeliveryOrder>(order));
        var outlet = new TestOutlet();
        setup.Start(_shard, outlet);
        _shard.TurnAll();
        TestPublisher[][] told = [.. Enumerable.Range(0, Publishers).Select(_ => new TestPublisher[Each])];
        await Task.WhenAll(told.Select((publishers, number) => Task.Run(() =>
        {
            for (int i = 0; i < Each; i++)
            {
                publishers[i] = new TestPublisher();
                Assert.Equal(OfferStatus.Accepted, setup.Offer($"{number}:{i}", publisher: publishers[i]));
            }
        })));
        await _shard.TurnUntilAsync(() => outlet.BytesWritten > 0 && outlet.Messages().Count == Publishers * Each);

        MessageRecord[] history = await setup.HistoryAsync(10_000);
        Assert.Equal(Enumerable.Range(1, Publishers * Each).Select(i => (long)i), outlet.Seqs());
        Assert.Equal(
            history.Select(record => (record.Seq, record.Id, Encoding.UTF8.GetString(record.Content.Span))),
            outlet.Messages().Select(frame => (frame.Seq, frame["id"].GetInt64(), frame.Content)));
        for (int number = 0; number < Publishers; number++)
        {
            for (int i = 0; i < Each; i++)
            {
                MessageRecord record = (await told[number][i].Outcome).Record!;
                Assert.Equal($"{number}:{i}", Encoding.UTF8.GetString(history[record.Seq - 1].Content.Span));
                Assert.Equal(1, told[number][i].Calls);
            }
        }
    }

    [Theory]
    [InlineData(nameof(DeliveryOrder.Immediate))]
    [InlineData(nameof(DeliveryOrder.Committed))]
    public async Task A_message_sent_again_is_told_of_again_and_seen_once(string order)
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync(Enum.Parse<DeliveryOrder>(order));
        var outlet = new TestOutlet();
        setup.Start(_shard, outlet);
        _shard.TurnAll();
        MessageRecord original = await setup.CommitAsync("one", "n");
        // The publisher hears of it an instant before the nonce does.
        OfferStatus status;
        long seq;
        var again = new TestPublisher();
        while ((status = setup.Offer("one"u8.ToArray(), "n", again, out seq)) == OfferStatus.Pending)
        {
            await again.Outcome;
        }

        Assert.Equal((OfferStatus.Duplicate, original.Seq), (status, seq));
        await setup.CommitAsync("two", "m");
        await _shard.TurnUntilAsync(() => outlet.Messages().Count >= 2);
        Assert.Equal(["one", "two"], outlet.Messages().Select(frame => frame.Content));
        // What was reserved for the duplicate has been given back; the log gives back after it has told the publishers.
        // That wakes no shard, so there is nothing to wait for but the figure.
        Assert.True(SpinWait.SpinUntil(() => setup.Log.Statistics.QueuedRows == 0, TimeSpan.FromSeconds(30)));
    }

    [Fact]
    public async Task A_loaded_room_goes_on_and_knows_the_nonces_of_before()
    {
        using var folder = new TestKit.TempFolder();
        await using (RoomSetup before = await RoomSetup.OpenAsync(folder: folder))
        {
            await before.CommitAsync("one", "n");
            await before.CommitAsync("two");
        }

        await using RoomSetup setup = await RoomSetup.OpenAsync(folder: folder);
        Assert.Equal(OfferStatus.Duplicate, setup.Offer("one"u8.ToArray(), "n", null, out long seq));
        Assert.Equal(1, seq);
        Assert.Equal(3, (await setup.CommitAsync("three")).Seq);
    }

    [Theory]
    [InlineData(nameof(DeliveryOrder.Immediate))]
    [InlineData(nameof(DeliveryOrder.Committed))]
    public async Task A_refused_row_keeps_its_number_for_members_as_in_history(string order)
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync(Enum.Parse<DeliveryOrder>(order));
        var outlet = new TestOutlet();
        setup.Start(_shard, outlet);
        _shard.TurnAll();
        TestPublisher refused = new();
        var waiting = new TestPublisher();
        setup.Offer("one");
        setup.Offer([0xC3], "bad", refused, out _); // Half a character: what validation would not let through.
        OfferStatus again = setup.Offer([0xC3], "bad", waiting, out _);
        setup.Offer("three");
        Assert.Equal(ErrorCode.NotStored, (await refused.Outcome).ErrorCode);
        if (again == OfferStatus.Pending)
        {
            Assert.Equal(ErrorCode.NotStored, (await waiting.Outcome).ErrorCode);
        }

        MessageRecord last = await setup.CommitAsync("the last");
        await _shard.TurnUntilAsync(() => outlet.BytesWritten > 0 && setup.Room.HeadSeq == last.Seq && outlet.Seqs().LastOrDefault() == last.Seq);
        Assert.Equal(Enumerable.Range(1, (int)last.Seq).Select(i => (long)i), outlet.Seqs());
        MessageRecord[] history = await setup.HistoryAsync(100);
        Assert.Equal(outlet.Seqs(), history.Select(record => record.Seq));
        Assert.True(history[1].IsTombstone);
        if (order == nameof(DeliveryOrder.Committed))
        {
            Assert.Equal(history.Select(record => record.SenderId), outlet.Messages().Select(frame => frame["sender_id"].GetInt64()));
        }
    }

    [Fact]
    public async Task A_clock_that_steps_back_changes_neither_order_nor_nonces()
    {
        var time = new ManualTime(new DateTimeOffset(2026, 11, 22, 18, 0, 0, TimeSpan.Zero));
        using var folder = new TestKit.TempFolder();
        await using (RoomSetup before = await RoomSetup.OpenAsync(folder: folder, time: time))
        {
            await before.CommitAsync("one", "n1");
            time.Now -= TimeSpan.FromHours(1);
            Assert.Equal(OfferStatus.Duplicate, before.Offer("one"u8.ToArray(), "n1", null, out _));
            Assert.Equal(2, (await before.CommitAsync("two", "n2")).Seq);
        }

        time.Now -= TimeSpan.FromHours(1);
        await using RoomSetup setup = await RoomSetup.OpenAsync(folder: folder, time: time);
        Assert.Equal(OfferStatus.Duplicate, setup.Offer("one"u8.ToArray(), "n1", null, out long first));
        Assert.Equal(OfferStatus.Duplicate, setup.Offer("two"u8.ToArray(), "n2", null, out long second));
        Assert.Equal(3, (await setup.CommitAsync("three")).Seq);
        Assert.Equal((1, 2), (first, second));
        MessageRecord[] history = await setup.HistoryAsync(10);
        Assert.Equal(["one", "two", "three"], history.Select(record => Encoding.UTF8.GetString(record.Content.Span)));
        Assert.Equal(3_600_000, history[0].CreatedAtUnixMs - history[1].CreatedAtUnixMs); // As the clock said.
    }

    [Fact]
    public async Task In_committed_order_a_refused_row_is_told_to_members_at_once()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync(DeliveryOrder.Committed);
        var outlet = new TestOutlet();
        setup.Start(_shard, outlet);
        _shard.TurnAll();
        setup.Offer("one");
        TestPublisher refused = new();
        setup.Offer([0xC3], "bad", refused, out _);
        Assert.Equal(ErrorCode.NotStored, (await refused.Outcome).ErrorCode);
        await _shard.TurnUntilAsync(() => outlet.Messages().Count == 2);

        Assert.Equal(["one", ""], outlet.Messages().Select(frame => frame.Content)); // And nothing has been sent since.
        Assert.Equal([1L, 2L], outlet.Seqs());
    }

    [Fact]
    public async Task After_a_crash_the_nonces_of_a_busy_room_are_known_as_far_back_as_the_window_reaches()
    {
        const int Messages = 5000; // Several batches, and more than are read at once.
        using var folder = new TestKit.TempFolder();
        await using (RoomSetup before = await RoomSetup.OpenAsync(folder: folder))
        {
            for (int i = 1; i < Messages; i++)
            {
                before.Offer("x", $"n{i}");
            }

            await before.CommitAsync("x", $"n{Messages}");
        }

        await using RoomSetup setup = await RoomSetup.OpenAsync(folder: folder);
        Assert.Equal(OfferStatus.Duplicate, setup.Offer("x"u8.ToArray(), "n1", null, out long first));
        Assert.Equal(OfferStatus.Duplicate, setup.Offer("x"u8.ToArray(), $"n{Messages - 4321}", null, out long other));
        Assert.Equal((1, Messages - 4321), (first, other));
    }

    [Fact]
    public async Task A_full_ring_refuses_at_once_and_leaves_no_hole()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync(ringBytesMax: 4096);
        var outlet = new TestOutlet();
        setup.Start(_shard, outlet);
        _shard.TurnAll();
        OfferStatus status;
        do
        {
            status = setup.Offer(new string('x', 300), "n" + setup.Room.HeadSeq);
        }
        while (status == OfferStatus.Accepted);

        Assert.Equal(OfferStatus.Full, status);
        long head = setup.Room.HeadSeq;
        _shard.TurnAll();
        Assert.Equal(OfferStatus.Accepted, setup.Offer("the next", "n" + head)); // The nonce of the refused one is free.
        _shard.TurnAll();
        Assert.Equal(head + 1, outlet.Seqs()[^1]);
        Assert.Equal(outlet.Seqs().Length, outlet.Seqs()[^1]);
    }

    [Fact]
    public async Task An_idle_room_gives_its_ring_back_and_goes_on_with_the_next_number()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        var outlet = new TestOutlet();
        setup.Start(_shard, outlet);
        _shard.TurnAll();
        setup.Offer("one");
        _shard.TurnAll();
        Assert.Equal(4096, setup.Room.Ring.Capacity);

        setup.Room.Sweep(_shard.NowMs, idleMs: 60_000);
        Assert.Equal(4096, setup.Room.Ring.Capacity);
        setup.Room.Sweep(_shard.NowMs + 60_001, idleMs: 60_000);
        Assert.Equal(0, setup.Room.Ring.Capacity);
        Assert.Equal(1, setup.Room.HeadSeq);

        setup.Offer(new string('x', 3990));
        _shard.TurnAll();
        Assert.Equal(8192, setup.Room.Ring.Capacity); // The least that this event fits into.
        Assert.Equal([1L, 2L], outlet.Seqs());
    }
}
