using Chat.Protocol.WebSocket;
using Chat.Server.Connections;
using Chat.Server.Rooms;

namespace Chat.Server.Tests.Rooms;

public sealed class ResumeTests
{
    private readonly TestShard _shard = new(0, RoomSetup.Limits, TimeProvider.System);
    private readonly TestOutlet _outlet = new();

    private static IEnumerable<long> Seqs(int from, int to) => Enumerable.Range(from, to - from + 1).Select(i => (long)i);

    private static async Task PublishAsync(RoomSetup setup, int count, int length = 20)
    {
        for (int i = 1; i < count; i++)
        {
            setup.Offer(new string('x', length));
        }

        await setup.CommitAsync("the last of them");
    }

    /// <summary>Resumes, with what the ring holds or without it; two events become live after the client asked.</summary>
    private async Task<SentFrame> ResumeAsync(RoomSetup setup, ResumePoint point, bool withRing = false)
    {
        if (!withRing)
        {
            setup.Room.Sweep(long.MaxValue / 2, 0);
        }

        setup.Start(_shard, _outlet, point);
        _shard.TurnAll();
        setup.Offer("live");
        _shard.TurnAll();
        await _shard.TurnUntilAsync(() => _outlet.Frames().Count > 0);
        setup.Offer("live");
        _shard.TurnAll();
        Assert.Equal("welcome", _outlet.Frames()[0].Type);
        Assert.Equal(["live", "live"], _outlet.Messages().TakeLast(2).Select(frame => frame.Content));
        return _outlet.Frames()[0];
    }

    [Fact]
    public async Task A_client_that_asks_for_nothing_gets_what_is_live()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        await PublishAsync(setup, 3);
        SentFrame welcome = await ResumeAsync(setup, ResumePoint.None, withRing: true);

        Assert.Equal(3, welcome.Seq);
        Assert.False(welcome["recovered"].GetBoolean());
        Assert.Equal([4L, 5L], _outlet.Seqs());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_was_missed_comes_from_the_ring_or_from_history_without_a_hole(bool withRing)
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        await PublishAsync(setup, 20);
        SentFrame welcome = await ResumeAsync(setup, new ResumePoint(5, setup.Epoch), withRing);

        Assert.True(welcome["recovered"].GetBoolean());
        Assert.False(welcome.Has("rolled_back_to"));
        Assert.Equal(Seqs(6, 22), _outlet.Seqs());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_client_that_missed_nothing_is_told_so(bool withRing)
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        await PublishAsync(setup, 20);
        SentFrame welcome = await ResumeAsync(setup, new ResumePoint(20, setup.Epoch), withRing);

        Assert.True(welcome["recovered"].GetBoolean());
        Assert.Equal([21L, 22L], _outlet.Seqs());
    }

    [Fact]
    public async Task A_replay_is_the_same_bytes_whether_from_the_ring_or_from_history()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        await setup.CommitAsync("plain", "with a \"nonce\"");
        await setup.CommitAsync("\"quoted\" \u0001 zoë 🎈 \\");
        var fromRing = new TestOutlet();
        setup.Start(_shard, fromRing, new ResumePoint(0, setup.Epoch));
        _shard.TurnAll();
        setup.Room.Sweep(long.MaxValue / 2, 0);
        setup.Start(_shard, _outlet, new ResumePoint(0, setup.Epoch));
        await _shard.TurnUntilAsync(() => _outlet.Frames().Count > 0);

        Assert.Equal(2, _outlet.Messages().Count);
        Assert.Equal(fromRing.Frames().Select(frame => frame.Payload), _outlet.Frames().Select(frame => frame.Payload));
    }

    [Fact]
    public async Task A_client_that_is_ahead_of_the_room_is_rolled_back()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        await PublishAsync(setup, 5);
        SentFrame welcome = await ResumeAsync(setup, new ResumePoint(9, setup.Epoch));

        Assert.Equal(5, welcome["rolled_back_to"].GetInt64());
        Assert.Equal([6L, 7L], _outlet.Seqs());
    }

    [Fact]
    public async Task A_gap_of_too_many_events_gives_the_newest_and_says_so()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        await PublishAsync(setup, 150);
        SentFrame welcome = await ResumeAsync(setup, new ResumePoint(1, setup.Epoch), withRing: true);

        Assert.False(welcome["recovered"].GetBoolean());
        Assert.Equal(Seqs(101, 152), _outlet.Seqs());
    }

    [Fact]
    public async Task A_gap_of_too_many_bytes_gives_the_newest_and_says_so()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        await PublishAsync(setup, 70, length: 1000);
        SentFrame welcome = await ResumeAsync(setup, new ResumePoint(1, setup.Epoch));

        Assert.False(welcome["recovered"].GetBoolean());
        Assert.Equal(Seqs(21, 72), _outlet.Seqs());
    }

    [Fact]
    public async Task A_gap_whose_newest_events_are_too_long_gives_fewer_of_them()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        await PublishAsync(setup, 60, length: 3000);
        await ResumeAsync(setup, new ResumePoint(1, setup.Epoch));

        Assert.Equal(Seqs(49, 62), _outlet.Seqs()); // 50 and 25 take more than RESUME_BYTES_MAX, 12 do not.
    }

    [Theory]
    [InlineData(3, 3, false)]
    [InlineData(4, 4, false)]
    [InlineData(7, 4, true)]
    public async Task A_client_of_an_older_epoch_drops_what_never_became_durable(int since, int replayAfter, bool isRolledBack)
    {
        using var folder = new TestKit.TempFolder();
        int oldEpoch;
        await using (RoomSetup before = await RoomSetup.OpenAsync(folder: folder))
        {
            oldEpoch = before.Epoch;
            await PublishAsync(before, 4);
        } // Without a word that the stop was clean: as after a crash.

        await using RoomSetup setup = await RoomSetup.OpenAsync(folder: folder);
        Assert.NotEqual(oldEpoch, setup.Epoch);
        await PublishAsync(setup, 4);
        SentFrame welcome = await ResumeAsync(setup, new ResumePoint(since, oldEpoch), withRing: true);

        Assert.Equal(isRolledBack, welcome.Has("rolled_back_to"));
        Assert.True(welcome["recovered"].GetBoolean());
        Assert.Equal(Seqs(replayAfter + 1, 10), _outlet.Seqs());
    }

    [Fact]
    public async Task An_epoch_from_elsewhere_is_told_to_start_over()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        await PublishAsync(setup, 4);
        SentFrame welcome = await ResumeAsync(setup, new ResumePoint(2, setup.Epoch + 5), withRing: true);

        Assert.Equal(0, welcome["rolled_back_to"].GetInt64());
        Assert.False(welcome["recovered"].GetBoolean());
        Assert.Equal(Seqs(1, 6), _outlet.Seqs());
    }

    [Fact]
    public async Task A_thousand_clients_that_resume_at_the_same_seq_cost_one_query()
    {
        const int Clients = 1000;
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        await PublishAsync(setup, 60);
        setup.Room.Sweep(long.MaxValue / 2, 0);
        int before = setup.Store.PagesRead;
        TestOutlet[] outlets = [.. Enumerable.Range(0, Clients).Select(_ => new TestOutlet())];
        foreach (TestOutlet outlet in outlets)
        {
            setup.Start(_shard, outlet, new ResumePoint(10, setup.Epoch));
        }

        _shard.TurnAll();
        await _shard.TurnUntilAsync(() => outlets.All(outlet => outlet.BytesWritten > 0));

        Assert.Equal(1, setup.Store.PagesRead - before);
        Assert.All(outlets, outlet => Assert.Equal(Seqs(11, 60), outlet.Seqs()));
    }

    [Fact]
    public async Task A_thousand_clients_of_an_older_epoch_cost_one_search_and_one_query()
    {
        const int Clients = 1000;
        using var folder = new TestKit.TempFolder();
        int oldEpoch;
        await using (RoomSetup before = await RoomSetup.OpenAsync(folder: folder))
        {
            oldEpoch = before.Epoch;
            await PublishAsync(before, 20);
        }

        await using RoomSetup setup = await RoomSetup.OpenAsync(folder: folder);
        await PublishAsync(setup, 10);
        TestOutlet[] outlets = [.. Enumerable.Range(0, Clients).Select(_ => new TestOutlet())];
        for (int i = 0; i < Clients; i++)
        {
            setup.Start(_shard, outlets[i], new ResumePoint(20 + (i % 5), oldEpoch)); // All but a fifth saw what was lost.
        }

        int searchesBefore = setup.Store.EpochsSearched;
        _shard.TurnAll();
        await _shard.TurnUntilAsync(() => outlets.All(outlet => outlet.BytesWritten > 0));

        Assert.Equal(1, setup.Store.EpochsSearched - searchesBefore);
        Assert.All(outlets, outlet => Assert.Equal(Seqs(21, 30), outlet.Seqs()));
    }

    [Fact]
    public async Task Clients_that_resume_in_full_flow_share_what_was_read_and_miss_nothing()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        await PublishAsync(setup, 30);
        var outlets = new List<TestOutlet>();
        int before = setup.Store.PagesRead;
        for (int i = 0; i < 50; i++)
        {
            setup.Room.Sweep(long.MaxValue / 2, 0);
            outlets.Add(new TestOutlet());
            setup.Start(_shard, outlets[i], new ResumePoint(10, setup.Epoch));
            _shard.TurnAll();
            await setup.CommitAsync("live");
            await _shard.TurnUntilAsync(() => outlets[i].BytesWritten > 0);
        }

        _shard.TurnAll();
        Assert.All(outlets, outlet => Assert.Equal(Seqs(11, 80), outlet.Seqs()));
        // Each asks for one event more than the last, and that one alone is read for it.
        Assert.InRange(setup.Store.PagesRead - before, 1, 50);
    }

    [Fact]
    public async Task A_session_that_left_while_its_replay_was_read_gets_nothing()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        await PublishAsync(setup, 20);
        setup.Room.Sweep(long.MaxValue / 2, 0);
        var mayRead = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        setup.Store.MayRead = mayRead.Task;
        ChatSession session = setup.Start(_shard, _outlet, new ResumePoint(5, setup.Epoch));
        session.Stop();
        _shard.TurnAll();
        Assert.False(setup.Room.MembersOn(_shard).IsActive);
        setup.Offer("live");
        await _shard.TurnWhenWokenAsync(); // By the start.
        mayRead.SetResult();
        await _shard.TurnWhenWokenAsync(); // By the replay: the shard was asleep when it came.

        Assert.Empty(_outlet.Frames());
    }

    [Fact]
    public async Task A_join_that_would_hold_more_than_a_backlog_ends_plainly_and_disturbs_nobody()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        await PublishAsync(setup, 20);
        setup.Room.Sweep(long.MaxValue / 2, 0);
        var mayRead = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        setup.Store.MayRead = mayRead.Task;
        var other = new TestOutlet();
        setup.Start(_shard, other);
        setup.Start(_shard, _outlet, new ResumePoint(5, setup.Epoch));
        _shard.TurnAll();
        for (int i = 0; i < 20; i++)
        {
            setup.Offer(new string('x', 1000));
        }

        _shard.TurnAll(); // They are live, and held, before the replay has been read.
        mayRead.SetResult();
        await _shard.TurnUntilAsync(() => _outlet.Frames().Count > 0);
        Assert.Equal(CloseCode.InternalError, Assert.Single(_outlet.Frames()).CloseCode);
        Assert.Equal(Seqs(21, 40), other.Seqs());
        Assert.Equal(1, setup.Room.MemberCount);
    }
}
