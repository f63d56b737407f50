using Chat.Server.Rooms;
using Chat.Storage;

namespace Chat.Server.Tests.Rooms;

public sealed class NonceWindowTests
{
    private readonly NonceWindow _window = new(windowMs: 1000, countMax: 4);
    private readonly TestPublisher _publisher = new();

    private static MessageRecord Record(string? nonce, long seq, long senderId = 7) => new()
    {
        Id = seq + 100,
        RoomId = 1,
        Seq = seq,
        Epoch = 1,
        SenderId = senderId,
        SenderName = "Ann",
        Nonce = nonce,
        Content = default,
        CreatedAtUnixMs = 0,
    };

    private NonceStatus Begin(string nonce, long nowMs = 0, long senderId = 7, IPublisher? publisher = null) =>
        _window.Begin(senderId, nonce, publisher ?? _publisher, nowMs, out _, out _);

    private List<IPublisher>? Commit(MessageRecord record, long nowMs = 0) => _window.Commit(record, nowMs);

    [Fact]
    public void A_nonce_is_new_then_pending_then_committed()
    {
        Assert.Equal(NonceStatus.New, Begin("a"));
        Assert.Equal(NonceStatus.Pending, Begin("a"));
        Assert.Equal([_publisher], Commit(Record("a", 5))!);
        Assert.Equal(NonceStatus.Committed, _window.Begin(7, "a", _publisher, 0, out long seq, out long id));
        Assert.Equal((5, 105), (seq, id));
    }

    [Fact]
    public void A_nonce_that_another_node_has_committed_is_committed()
    {
        _window.Observe(Record("a", 5), 0);

        Assert.Equal(NonceStatus.Committed, _window.Begin(7, "a", _publisher, 0, out long seq, out long id));
        Assert.Equal((5, 105), (seq, id));
        Assert.Equal(NonceStatus.New, Begin("a", nowMs: 1001)); // It leaves like any other.
    }

    [Fact]
    public void A_nonce_on_its_way_stays_so_when_another_node_commits_it()
    {
        Begin("a");
        _window.Observe(Record("a", 5), 0);

        Assert.Equal(NonceStatus.Pending, Begin("a"));
        Assert.Equal([_publisher], Commit(Record("a", 5))!);
        Assert.Equal(NonceStatus.Committed, Begin("a"));
    }

    [Fact]
    public void Another_sender_may_use_the_same_nonce()
    {
        Assert.Equal(NonceStatus.New, Begin("a", senderId: 7));
        Assert.Equal(NonceStatus.New, Begin("a", senderId: 8));
        Assert.Null(Commit(Record("a", 1, senderId: 8)));
        Assert.Equal(NonceStatus.Pending, Begin("a", senderId: 7));
        Assert.Equal(NonceStatus.Committed, Begin("a", senderId: 8));
    }

    [Fact]
    public void A_publisher_that_repeats_itself_waits_once()
    {
        var other = new TestPublisher();
        Begin("a");
        Begin("a");
        Begin("a", publisher: other);
        Begin("a");

        Assert.Equal([_publisher, other], Commit(Record("a", 1))!);
    }

    [Fact]
    public void A_forgotten_nonce_is_new_again_and_those_who_wait_are_given_back()
    {
        var other = new TestPublisher();
        Begin("a");
        Begin("a", publisher: other);

        Assert.Equal([other], _window.Forget(7, "a")!);
        Assert.Null(_window.Forget(7, "a"));
        Assert.Equal(NonceStatus.New, Begin("a"));
        Assert.Null(Commit(Record("a", 1)));
        Assert.Equal(NonceStatus.Committed, Begin("a"));
    }

    [Fact]
    public void A_committed_nonce_is_forgotten_after_the_window_and_not_before()
    {
        Begin("a");
        Commit(Record("a", 1));

        Assert.Equal(NonceStatus.Committed, Begin("a", nowMs: 1000));
        Assert.Equal(NonceStatus.New, Begin("a", nowMs: 1001));
    }

    [Fact]
    public void The_window_begins_with_the_commit_however_long_it_took()
    {
        Begin("a");
        Commit(Record("a", 1), nowMs: 5000);

        Assert.Equal(NonceStatus.Committed, Begin("a", nowMs: 6000));
        Assert.Equal(NonceStatus.New, Begin("a", nowMs: 6001));
    }

    [Fact]
    public void The_oldest_committed_nonces_make_room_for_new_ones()
    {
        for (int i = 1; i <= 5; i++)
        {
            Assert.Equal(NonceStatus.New, Begin($"n{i}"));
            Commit(Record($"n{i}", i));
        }

        Assert.Equal(NonceStatus.Committed, Begin("n5"));
        Assert.Equal(NonceStatus.Committed, Begin("n2")); // The fourth, and all four are known.
        Assert.Equal(NonceStatus.New, Begin("n1"));
    }

    [Fact]
    public void A_pending_nonce_is_kept_however_old_and_however_many_there_are()
    {
        for (int i = 1; i <= 6; i++)
        {
            Assert.Equal(NonceStatus.New, Begin($"n{i}"));
        }

        Assert.Equal(NonceStatus.Pending, Begin("n1", nowMs: 100_000));
        Assert.NotNull(Commit(Record("n1", 1)));
    }

    [Fact]
    public void Messages_that_found_the_ring_full_push_no_committed_nonce_out()
    {
        Begin("a");
        Commit(Record("a", 1));
        for (int i = 0; i < 100; i++)
        {
            Assert.Equal(NonceStatus.New, Begin("parked"));
            _window.Forget(7, "parked");
        }

        Assert.Equal(NonceStatus.Committed, Begin("a"));
    }

    [Fact]
    public void Pending_nonces_push_no_committed_one_out()
    {
        Begin("a");
        Commit(Record("a", 1));
        for (int i = 0; i < 10; i++)
        {
            Begin($"pending{i}");
        }

        Assert.Equal(NonceStatus.Committed, Begin("a"));
    }

    [Fact]
    public void A_sweep_lets_go_of_what_is_too_old_and_of_nothing_else()
    {
        Begin("old");
        Commit(Record("old", 1));
        Begin("pending");
        Begin("young");
        Commit(Record("young", 2), nowMs: 500);

        _window.Sweep(nowMs: 1001);

        Assert.Equal(2, _window.Count);
        Assert.Equal(NonceStatus.Committed, Begin("young"));
        Assert.Equal(NonceStatus.Pending, Begin("pending"));
        Assert.Equal(NonceStatus.New, Begin("old"));
    }

    [Fact]
    public void A_nonce_begun_again_after_it_was_forgotten_outlives_its_first_entry()
    {
        Begin("a");
        _window.Forget(7, "a");
        Begin("a", nowMs: 900);
        Commit(Record("a", 1), nowMs: 900);

        Assert.Equal(NonceStatus.Committed, Begin("a", nowMs: 1500)); // The first entry ended at 1000.
        Assert.Equal(NonceStatus.New, Begin("a", nowMs: 1901));
    }

    [Fact]
    public void A_warmed_window_knows_the_originals_and_skips_messages_without_a_nonce()
    {
        _window.Warm([Record("a", 3), Record(null, 4), Record("", 5), Record("a", 6)], nowMs: 0);

        Assert.Equal(NonceStatus.Committed, _window.Begin(7, "a", _publisher, 0, out long seq, out long id));
        Assert.Equal((6, 106), (seq, id)); // The second time it was taken, the first had left the window.
        Assert.Equal(NonceStatus.New, Begin("a", nowMs: 1001));
    }
}
