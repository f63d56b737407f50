using Chat.Server.Rooms;
using Chat.Storage;
using CsCheck;

namespace Chat.Server.Tests.Rooms;

public sealed class EventOrderTests
{
    private readonly List<long> _delivered = [];

    private EventOrder NewOrder(long lastSeq = 0) => new(lastSeq, record => _delivered.Add(record.Seq));

    private static MessageRecord Event(long seq) => new()
    {
        Id = seq,
        RoomId = 1,
        Seq = seq,
        Epoch = 1,
        SenderId = 7,
        SenderName = "Ann",
        Content = default,
        CreatedAtUnixMs = 0,
    };

    [Fact]
    public void Events_in_any_order_and_some_twice_are_delivered_in_order_and_once()
    {
        Gen<int[]> arrivals = Gen.Int[1, 60].SelectMany(count => Gen.Shuffle(Enumerable.Range(1, count).Concat(Enumerable.Range(1, count / 2)).ToArray()));

        arrivals.Sample(seqs =>
        {
            _delivered.Clear();
            EventOrder order = NewOrder();
            bool isComplete = true;
            foreach (int seq in seqs)
            {
                isComplete = order.Add(Event(seq));
                Assert.Equal(Enumerable.Range(1, _delivered.Count).Select(i => (long)i), _delivered);
                Assert.Equal(isComplete, !order.IsWaiting);
            }

            Assert.True(isComplete);
            Assert.Equal(seqs.Max(), _delivered.Count);
        }, threads: 1);
    }

    [Fact]
    public void What_is_not_after_the_start_is_old()
    {
        EventOrder order = NewOrder(lastSeq: 5);

        Assert.True(order.Add(Event(5)));
        Assert.False(order.Add(Event(7)));
        Assert.True(order.Add(Event(6)));

        Assert.Equal([6, 7], _delivered);
    }

    [Fact]
    public void What_is_too_early_by_far_is_dropped_and_may_come_again()
    {
        EventOrder order = NewOrder();
        for (int seq = 2; seq <= EventOrder.EarlyMax + 10; seq++)
        {
            Assert.False(order.Add(Event(seq)));
        }

        Assert.True(order.Add(Event(1)));
        Assert.Equal(EventOrder.EarlyMax + 1, _delivered.Count);
        Assert.True(order.Add(Event(EventOrder.EarlyMax + 2)));
    }

    [Fact]
    public void Threads_that_bring_the_same_events_deliver_each_once_and_in_order()
    {
        const int Events = 20_000;
        EventOrder order = NewOrder();
        Thread[] threads = [.. Enumerable.Range(0, 3).Select(offset => new Thread(() =>
        {
            for (int seq = 1; seq <= Events; seq++)
            {
                order.Add(Event(((seq + (offset * 7)) % Events) + 1));
            }
        }))];

        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        for (int seq = 1; seq <= Events; seq++)
        {
            order.Add(Event(seq)); // What one of them brought when too much was waiting.
        }

        Assert.Equal(Enumerable.Range(1, Events).Select(seq => (long)seq), _delivered);
    }
}
