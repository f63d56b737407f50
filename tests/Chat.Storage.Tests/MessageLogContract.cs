using System.Text;

namespace Chat.Storage.Tests;

/// <summary>What the message log promises over each store.</summary>
public abstract class MessageLogContract : IAsyncLifetime
{
    protected TestDatabase Database { get; private set; } = null!;

    protected abstract Task<TestDatabase> CreateDatabaseAsync();

    protected static CancellationToken Stop => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => Database = await CreateDatabaseAsync();

    public async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        if (Database is not null)
            await Database.DisposeAsync();
    }

    [Fact]
    public async Task Rows_appended_out_of_order_are_committed_in_order()
    {
        await using var running = await RunningLog.StartAsync(Database, new MessageLogOptions { BatchRowsMax = 7 });
        var rooms = new[] { running.Log.OpenRoom(1, 0), running.Log.OpenRoom(2, 0), running.Log.OpenRoom(3, 0) };
        var seed = Random.Shared.Next();
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}");
        var rows = rooms.SelectMany(room => Enumerable.Range(1, 300).Select(seq => (room, seq))).ToArray();
        new Random(seed).Shuffle(rows);

        var outcomes = await Task.WhenAll(rows.Chunk(150).Select(chunk => Task.Run(
            () => Task.WhenAll(chunk.Select(row => running.Append(row.room, running.Message(row.room.RoomId, row.seq)))), Stop)));

        Assert.All(outcomes.SelectMany(o => o), Assert.Null);
        foreach (var room in rooms)
        {
            Assert.Equal(Enumerable.Range(1, 300).Select(i => (long)i), running.Committed.Where(r => r.RoomId == room.RoomId).Select(r => r.Seq));
            Assert.Equal(300, await running.Store.LastSeqAsync(room.RoomId, Stop));
        }
        Assert.Equal(900, running.Log.Statistics.RowsCommitted);
    }

    [Fact]
    public async Task A_row_whose_predecessor_is_missing_waits_for_it()
    {
        await using var running = await RunningLog.StartAsync(Database);
        var room = running.Log.OpenRoom(1, 0);
        var other = running.Log.OpenRoom(2, 0);
        var second = running.Append(room, running.Message(1, 2));
        Assert.Null(await running.Append(other, running.Message(2, 1)));
        Assert.False(second.IsCompleted);
        Assert.Empty((await running.Log.ReadHistoryAsync(room, null, null, 10, seenSeq: 0, Stop)).Messages);
        Assert.Null(await running.Append(room, running.Message(1, 1)));
        Assert.Null(await second);
        Assert.Equal(2, room.CommittedSeq);
    }

    [Fact]
    public async Task A_row_of_an_unknown_sender_becomes_a_tombstone_and_its_999_neighbours_are_kept()
    {
        await using var running = await RunningLog.StartAsync(Database);
        var outcomes = await AppendThousandAsync(running, seq => seq == 500 ? running.Message(1, seq, "poison", senderId: 404) : running.Message(1, seq));

        Assert.Equal(AppendFailure.UnknownSender, outcomes[499]);
        Assert.Equal(999, outcomes.Count(outcome => outcome is null));
        var stored = await running.Store.ReadMessagesAsync(1, null, 0, 2_000, Stop);
        Assert.Equal(Enumerable.Range(1, 1_000).Select(i => (long)i), stored.Select(message => message.Seq));
        var tombstone = Assert.Single(stored, message => message.IsTombstone);
        Assert.Equal((500, 0), (tombstone.Seq, tombstone.Content.Length));
        Assert.Equal(999, running.Committed.Count);
        Assert.Equal((999, 1, 0), (running.Log.Statistics.RowsCommitted, running.Log.Statistics.RowsFailed, running.Log.Statistics.QueuedRows));
    }

    [Fact]
    public async Task Rows_with_bytes_that_are_not_text_become_tombstones_and_their_neighbours_are_kept()
    {
        await using var running = await RunningLog.StartAsync(Database);
        var outcomes = await AppendThousandAsync(running, seq => seq switch
        {
            1 => running.Message(1, seq, [0xC3, 0x28]),
            500 => running.Message(1, seq, "a\0b"u8.ToArray()),
            700 => running.Message(1, seq, "fine"u8.ToArray(), nonce: "a\0b"),
            900 => running.Message(1, seq, "fine"u8.ToArray(), nonce: "lone \uD800"),
            1_000 => running.Message(1, seq, [0xED, 0xA0, 0x80]),
            _ => running.Message(1, seq),
        });
        Assert.Equal(5, outcomes.Count(outcome => outcome == AppendFailure.InvalidRow));
        Assert.Equal(995, outcomes.Count(outcome => outcome is null));
        Assert.Equal(1_000, await running.Store.LastSeqAsync(1, Stop));
        Assert.True(running.Log.IsHealthy);
    }

    [Fact]
    public async Task Rows_of_a_room_that_does_not_exist_fail_and_harm_no_other_room()
    {
        await using var running = await RunningLog.StartAsync(Database);
        var nowhere = running.Log.OpenRoom(404, 0);
        var room = running.Log.OpenRoom(1, 0);
        var outcomes = await Task.WhenAll(
            running.Append(nowhere, running.Message(404, 1)), running.Append(room, running.Message(1, 1)),
            running.Append(nowhere, running.Message(404, 2)), running.Append(room, running.Message(1, 2)));
        Assert.Equal([AppendFailure.UnknownRoom, null, AppendFailure.UnknownRoom, null], outcomes);
        Assert.Equal(AppendFailure.UnknownRoom, await running.Append(nowhere, running.Message(404, 3)));
        Assert.Equal(2, await running.Store.LastSeqAsync(1, Stop));
    }

    [Theory]
    [InlineData("sender_id IS NOT NULL", AppendFailure.UnknownSender)] // Once there is a place for its tombstone, the row is as bad as before.
    [InlineData("seq = 1", null)] // And this row was good all the time.
    public async Task A_row_whose_tombstone_is_refused_as_well_waits_and_leaves_no_hole(string accepted, AppendFailure? expected)
    {
        await using var running = await RunningLog.StartAsync(Database);
        var room = running.Log.OpenRoom(1, 0);
        Assert.Null(await running.Append(room, running.Message(1, 1)));
        await AcceptOnlyAsync(accepted);
        var cannotCommit = running.NextCannotCommit();
        var third = running.Append(room, running.Message(1, 3));
        var second = running.Append(room, running.Message(1, 2, senderId: expected is null ? null : 404));
        Assert.Same(cannotCommit, await Task.WhenAny(cannotCommit, second, third));
        Assert.False(running.Log.IsHealthy);

        await AcceptAllAsync();
        Assert.Equal([expected, null], await Task.WhenAll(second, third));
        Assert.True(running.Log.IsHealthy);
        var stored = await running.Store.ReadMessagesAsync(1, null, 0, 10, Stop);
        Assert.Equal([(1, false), (2, expected is not null), (3, false)], stored.Select(message => (message.Seq, message.IsTombstone)));
    }

    /// <summary>As an operator's constraint, or a partition that is missing.</summary>
    /// <param name="accepted">On rows of <c>messages</c>.</param>
    protected abstract Task AcceptOnlyAsync(string accepted);

    protected abstract Task AcceptAllAsync();

    [Fact]
    public async Task A_log_full_of_rows_or_bytes_refuses_until_there_is_room()
    {
        var options = new MessageLogOptions { RowsMax = 10, BatchRowsMax = 10, BytesMax = 1_000, BatchBytesMax = 1_000 };
        await using var running = await RunningLog.StartAsync(Database, options);
        for (var i = 0; i < 10; i++)
            Assert.True(running.Log.TryReserve(1));
        Assert.False(running.Log.TryReserve(1));
        for (var i = 0; i < 10; i++)
            running.Log.Release(1);
        Assert.True(running.Log.TryReserve(900));
        Assert.False(running.Log.TryReserve(101));
        Assert.True(running.Log.TryReserve(100));
        Assert.Equal((2, 1_000), (running.Log.Statistics.QueuedRows, running.Log.Statistics.QueuedBytes));
        Assert.InRange(running.Log.RetryAfterMs, 1, 10_000);
        running.Log.Release(900);
        running.Log.Release(100);

        // A commit gives the place back.
        var room = running.Log.OpenRoom(1, 0);
        for (var seq = 1; seq <= 30; seq++)
            await running.Append(room, running.Message(1, seq));
    }

    [Fact]
    public async Task A_batch_ends_before_the_row_that_would_exceed_its_bytes()
    {
        await using var running = await RunningLog.StartAsync(Database, new MessageLogOptions { BatchBytesMax = 1_000 });
        var rooms = new[] { running.Log.OpenRoom(1, 0), running.Log.OpenRoom(2, 0) };
        // Neither a pair of rows fits nor, from the third on, a row alone, which goes alone nevertheless.
        var outcomes = Enumerable.Range(1, 5).SelectMany(seq => rooms.Select(room =>
            running.Append(room, running.Message(room.RoomId, seq, new string('x', seq < 3 ? 600 : 1_500))))).ToArray();
        Assert.All(await Task.WhenAll(outcomes), Assert.Null);
        Assert.Equal(10, running.Log.Statistics.Commits.Total);
    }

    [Fact]
    public async Task History_shows_what_is_accepted_and_not_yet_durable()
    {
        await using var running = await RunningLog.StartAsync(Database);
        var room = running.Log.OpenRoom(1, 0);
        for (var seq = 1; seq <= 10; seq++)
            await running.Append(room, running.Message(1, seq, $"{seq}"));

        using var mayGoOn = new ManualResetEventSlim();
        using var isHeld = new ManualResetEventSlim();
        running.BeforeCallback = () => { isHeld.Set(); mayGoOn.Wait(); };
        var held = running.Append(room, running.Message(1, 11, "11"));
        isHeld.Wait(Stop);
        // 11 is durable now, 12 to 20 wait behind its callback.
        var waiting = Enumerable.Range(12, 9).Select(seq => running.Append(room, running.Message(1, seq, $"{seq}"))).ToArray();

        await AssertPage(null, null, 30, 1, 20, false);
        await AssertPage(null, null, 5, 16, 20, true);
        await AssertPage(null, null, 9, 12, 20, true);
        await AssertPage(null, null, 12, 9, 20, true);
        await AssertPage(null, 0, 20, 1, 20, false);
        await AssertPage(null, 0, 19, 1, 19, true);
        await AssertPage(null, 8, 5, 9, 13, true);
        await AssertPage(null, 18, 5, 19, 20, false);
        await AssertPage(15, null, 3, 12, 14, true);
        await AssertPage(15, null, 30, 1, 14, false);
        Assert.Empty((await running.Log.ReadHistoryAsync(room, null, 20, 5, seenSeq: 20, Stop)).Messages);

        mayGoOn.Set();
        Assert.All(await Task.WhenAll([held, .. waiting]), Assert.Null);
        await AssertPage(null, null, 30, 1, 20, false);

        async Task AssertPage(long? before, long? after, int limit, int first, int last, bool hasMore)
        {
            var page = await running.Log.ReadHistoryAsync(room, before, after, limit, seenSeq: 20, Stop);
            Assert.Equal(Enumerable.Range(first, last - first + 1).Select(i => $"{i}"), page.Messages.Select(m => Encoding.UTF8.GetString(m.Content.Span)));
            Assert.Equal(hasMore, page.HasMore);
        }
    }

    [Fact]
    public async Task Whoever_was_sent_a_message_finds_it_in_history_though_its_row_is_on_its_way()
    {
        await using var running = await RunningLog.StartAsync(Database);
        var room = running.Log.OpenRoom(1, 0);
        Assert.Null(await running.Append(room, running.Message(1, 1)));

        var newest = running.Log.ReadHistoryAsync(room, null, null, 10, seenSeq: 3, Stop);
        var after = running.Log.ReadHistoryAsync(room, null, 1, 1, seenSeq: 2, Stop);
        using var gone = new CancellationTokenSource();
        var abandoned = running.Log.ReadHistoryAsync(room, null, null, 10, seenSeq: 3, gone.Token);
        await AssertSeqs(running.Log.ReadHistoryAsync(room, 2, null, 10, seenSeq: 3, Stop), 1); // Asks for nothing that is missing.
        var third = running.Append(room, running.Message(1, 3)); // Parked: there is a hole before it.
        Assert.False(newest.IsCompleted);
        Assert.False(after.IsCompleted);
        await gone.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => abandoned);

        var second = running.Append(room, running.Message(1, 2));
        await AssertSeqs(newest, 1, 2, 3);
        await AssertSeqs(after, 2);
        Assert.All(await Task.WhenAll(second, third), Assert.Null);

        static async Task AssertSeqs(Task<HistoryPage> page, params long[] seqs) =>
            Assert.Equal(seqs, (await page).Messages.Select(message => message.Seq));
    }

    [Fact]
    public async Task Who_waits_in_history_for_a_row_that_will_not_come_is_let_go_when_the_log_stops()
    {
        await using var running = await RunningLog.StartAsync(Database);
        var room = running.Log.OpenRoom(1, 0);
        Assert.Null(await running.Append(room, running.Message(1, 1)));
        var waiting = running.Log.ReadHistoryAsync(room, null, null, 10, seenSeq: 2, Stop);
        Assert.False(waiting.IsCompleted);

        await running.Log.DisposeAsync();

        Assert.Equal(1, Assert.Single((await waiting).Messages).Seq);
    }

    [Fact]
    public async Task History_read_during_commits_never_has_a_hole()
    {
        await using var running = await RunningLog.StartAsync(Database, new MessageLogOptions { BatchRowsMax = 20 });
        var room = running.Log.OpenRoom(1, 0);
        var accepted = 0L;
        var sending = Task.Run(async () =>
        {
            Task<AppendFailure?> last = Task.FromResult<AppendFailure?>(null);
            for (var seq = 1; seq <= 3_000; seq++)
            {
                last = running.Append(room, running.Message(1, seq));
                Volatile.Write(ref accepted, seq);
            }
            await last;
        }, Stop);
        while (!sending.IsCompleted)
        {
            var heard = Volatile.Read(ref accepted);
            var page = await running.Log.ReadHistoryAsync(room, null, null, 60, heard, Stop);
            var seqs = page.Messages.Select(message => message.Seq).ToArray();
            Assert.True(seqs.Length == 0 ? heard == 0 : seqs[^1] >= heard);
            for (var i = 1; i < seqs.Length; i++)
                Assert.Equal(seqs[i - 1] + 1, seqs[i]);
        }
        await sending;
    }

    [Fact]
    public async Task After_a_clean_stop_every_message_is_there_and_ids_go_on()
    {
        var first = await RunningLog.StartAsync(Database);
        var room = first.Log.OpenRoom(1, 0);
        for (var seq = 1; seq <= 500; seq++)
            _ = first.Append(room, first.Message(1, seq));
        await first.StopCleanlyAsync();
        Assert.Equal(500, first.Committed.Count);

        await using var second = await RunningLog.StartAsync(Database);
        Assert.Equal(new StoreSession(1, 500), second.Session);
        Assert.Equal(501, second.Log.NextMessageId());
        Assert.Equal(500, (await second.Store.ReadMessagesAsync(1, null, 0, 1_000, Stop)).Count);
    }

    [Fact]
    public async Task After_dispose_without_drain_every_acknowledged_message_is_there()
    {
        var first = await RunningLog.StartAsync(Database, new MessageLogOptions { BatchRowsMax = 50 });
        var room = first.Log.OpenRoom(1, 0);
        var outcomes = Enumerable.Range(1, 2_000).Select(seq => first.Append(room, first.Message(1, seq))).ToArray();
        await outcomes[100];
        await first.DisposeAsync();
        Assert.All(await Task.WhenAll(outcomes), outcome => Assert.True(outcome is null or AppendFailure.ShutDown));

        await using var second = await RunningLog.StartAsync(Database);
        Assert.Equal(2, second.Session.Epoch);
        var stored = await second.Store.ReadMessagesAsync(1, null, 0, 2_001, Stop);
        Assert.Equal(first.Committed.Select(message => message.Id), stored.Select(message => message.Id).Take(first.Committed.Count));
    }

    [Fact]
    public async Task A_second_sequencer_breaks_the_log_and_nothing_is_acknowledged()
    {
        await using var running = await RunningLog.StartAsync(Database);
        var room = running.Log.OpenRoom(1, 0);
        await running.Append(room, running.Message(1, 1));
        Assert.True(running.Log.TryCloseRoom(room));
        var stale = running.Log.OpenRoom(1, 0);
        Assert.Equal(AppendFailure.LogBroken, await running.Append(stale, running.Message(1, 1)));
        await Assert.ThrowsAsync<AppendException>(() => running.Log.Completion);
        Assert.False(running.Log.IsHealthy);
        Assert.False(running.Log.TryReserve(1));
        Assert.Single(running.Committed);
    }

    [Fact]
    public async Task A_drain_says_what_never_came()
    {
        await using var running = await RunningLog.StartAsync(Database);
        var room = running.Log.OpenRoom(1, 0);
        await running.Append(room, running.Message(1, 1));
        var parked = running.Append(room, running.Message(1, 3));
        Assert.Equal(1, await running.Log.DrainAsync(TimeSpan.FromMilliseconds(50)));
        Assert.False(running.Log.TryReserve(1));
        Assert.Equal(AppendFailure.ShutDown, await parked);
    }

    [Fact]
    public async Task Four_lanes_keep_the_order_of_each_room()
    {
        await using var running = await RunningLog.StartAsync(Database, new MessageLogOptions { Lanes = 4, BatchRowsMax = 32 });
        for (var i = 0; i < 7; i++)
            await running.Store.CreateRoomAsync($"room {i}", Stop);
        await Task.WhenAll(Enumerable.Range(1, 10).Select(roomId => Task.Run(async () =>
        {
            var room = running.Log.OpenRoom(roomId, 0);
            Assert.All(await Task.WhenAll(Enumerable.Range(1, 200).Select(seq => running.Append(room, running.Message(roomId, seq)))), Assert.Null);
        }, Stop)));
        Assert.All(await running.Store.ListRoomsAsync(0, 1000, Stop), room => Assert.Equal(200, room.LastSeq));
    }

    private static Task<AppendFailure?[]> AppendThousandAsync(RunningLog running, Func<int, MessageRecord> message)
    {
        var room = running.Log.OpenRoom(1, 0);
        // From the newest down, so that all become ready at once and are one batch.
        var outcomes = new Task<AppendFailure?>[1_000];
        for (var seq = 1_000; seq >= 1; seq--)
            outcomes[seq - 1] = running.Append(room, message(seq));
        return Task.WhenAll(outcomes);
    }
}
