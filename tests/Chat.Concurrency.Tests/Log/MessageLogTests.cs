using Chat.Storage;

namespace Chat.Concurrency.Tests.Log;

public sealed class MessageLogTests
{
    private const int Senders = 3;
    private const int MessagesPerSender = 2;
    private const int Messages = Senders * MessagesPerSender;

    [Fact]
    public void Every_message_is_committed_once_and_in_order() => Exploration.Holds(CommitAll, 60);

    [Fact]
    public void Every_message_is_committed_once_when_outcomes_are_unclear() => Exploration.Holds(CommitAfterFailures, 60);

    [Fact]
    public void A_refused_row_fails_once_and_keeps_its_place() => Exploration.Holds(CommitBesideABadRow, 60);

    [Fact]
    public void What_was_reserved_before_a_drain_is_told_of_before_it_ends() => Exploration.Holds(DrainMeanwhile, 60);

    [Fact]
    public void A_stop_tells_every_message_one_outcome() => Exploration.Holds(StopMeanwhile, 60);

    [Fact]
    public void A_page_of_history_has_all_that_its_reader_has_seen() => Exploration.Holds(ReadMeanwhile, 60);

    [Fact]
    public void A_reader_that_waits_for_rows_is_told_of_a_stop() => Exploration.Holds(ReadDuringStop, 60);

    [Theory]
    [InlineData(nameof(PlantedBug.HoleSkipped))]
    [InlineData(nameof(PlantedBug.LaneWakeUpMissed))]
    public void A_message_out_of_order_or_left_lying_is_found(string bug) => Exploration.Finds(Enum.Parse<PlantedBug>(bug), CommitAll);

    [Fact]
    public void A_message_accepted_after_the_drain_is_found() => Exploration.Finds(PlantedBug.RefusingReadFirst, DrainMeanwhile);

    [Fact]
    public void A_message_told_of_twice_is_found() => Exploration.Finds(PlantedBug.ToldTwice, StopMeanwhile);

    [Theory]
    [InlineData(nameof(PlantedBug.StoreReadFirst))]
    [InlineData(nameof(PlantedBug.HistoryDoesNotWait))]
    public void A_page_with_a_hole_or_too_short_is_found(string bug) => Exploration.Finds(Enum.Parse<PlantedBug>(bug), ReadMeanwhile);

    [Fact]
    public void A_reader_left_waiting_is_found() => Exploration.Finds(PlantedBug.StopNotTold, ReadDuringStop);

    private static Task CommitAll() => CommitAll(new MemoryStore());

    private static Task CommitAfterFailures() => CommitAll(new MemoryStore { Failures = 2 });

    private static Task CommitBesideABadRow() => CommitAll(new MemoryStore { BadSeq = 3 });

    private static async Task CommitAll(MemoryStore store)
    {
        var log = new SteeredLog(store);
        await log.SendAll(Senders, MessagesPerSender);
        await log.AllTold(Messages);
        await log.DrainAsync();
        Assert.Equal(Enumerable.Range(1, Messages).Select(seq => (long)seq), store.Rows.Select(row => row.Seq));
        log.CheckOutcomes(Messages, failed: store.BadSeq == 0 ? 0 : 1);
    }

    private static async Task DrainMeanwhile()
    {
        var log = new SteeredLog(new MemoryStore());
        Task sending = log.SendAll(Senders, MessagesPerSender);
        await log.DrainAsync();
        int told = log.Told;
        await sending;
        Assert.Equal(told, log.Sent);
        log.CheckOutcomes(log.Sent, failed: 0);
    }

    private static async Task StopMeanwhile()
    {
        var log = new SteeredLog(new MemoryStore());
        Task sending = log.SendAll(Senders, MessagesPerSender);
        await log.Log.DisposeAsync();
        await sending;
        log.CheckOutcomes(log.Sent, failed: null);
    }

    private static async Task ReadMeanwhile()
    {
        var log = new SteeredLog(new MemoryStore());
        Task sending = log.SendAll(Senders, MessagesPerSender);
        for (int pages = 0; pages < 3; pages++)
        {
            await log.CheckHistoryAsync();
        }

        await sending;
        await log.CheckHistoryAsync();
        await log.DrainAsync();
    }

    /// <summary>A number whose row never comes: who reads up to it waits until the log stops, and then gets what there is.</summary>
    private static async Task ReadDuringStop()
    {
        var log = new SteeredLog(new MemoryStore());
        Task sending = log.SendAll(1, MessagesPerSender);
        Task reading = log.ReadAsync(seenSeq: MessagesPerSender + 1);
        await sending;
        await log.Log.DisposeAsync();
        await reading;
    }
}
