using Chat.Server.Connections;

namespace Chat.Concurrency.Tests.Rooms;

/// <summary>Sessions, members, shards, room, ring and log together, as the server puts them together on the portable way.</summary>
public sealed class ShardTests
{
    [Fact]
    public void Members_see_every_event_once_and_in_order_while_others_come_and_go() => Exploration.Holds(ComeAndGo, 50);

    [Fact]
    public void An_event_published_during_a_fan_out_is_not_left_lying() => Exploration.Holds(PublishMeanwhile, 50);

    [Fact]
    public void Who_joins_a_room_in_full_flow_sees_no_torn_event() => Exploration.Holds(JoinInFullFlow, 50);

    [Fact]
    public void Who_resumes_gets_what_it_missed_and_then_what_is_live() => Exploration.Holds(ResumeMeanwhile, 50);

    [Theory]
    [InlineData(nameof(PlantedBug.AsleepWithoutLooking))]
    [InlineData(nameof(PlantedBug.WokenTwice))]
    public void A_lost_wake_up_or_a_second_turn_is_found(string bug) => Exploration.Finds(Enum.Parse<PlantedBug>(bug), ComeAndGo);

    [Fact]
    public void An_event_left_lying_is_found() => Exploration.Finds(PlantedBug.MarkTakenOffTooLate, PublishMeanwhile);

    [Fact]
    public void A_cursor_that_gates_too_late_is_found() => Exploration.Finds(PlantedBug.HeadNotLookedAtAgain, JoinInFullFlow);

    [Fact]
    public void A_hole_between_replay_and_live_events_is_found() => Exploration.Finds(PlantedBug.LiveNotHeld, ResumeMeanwhile);

    private static async Task ComeAndGo()
    {
        await using var room = new SteeredRoom(shards: 2);
        var first = new MemberOutlet(-1, last: 4);
        var second = new MemberOutlet(-1, last: 4);
        room.Start(0, first);
        Task publishing = Steered.Run(() => room.PublishAsync(2));
        Task others = Steered.Run(async () =>
        {
            room.Start(0, second);
            ChatSession leaving = room.Start(1, new MemberOutlet(-1, last: 4));
            await room.PublishAsync(2);
            leaving.Stop();
        });
        Task[] tasks = [publishing, others, first.HasAll, second.HasAll];
        await Task.WhenAll(tasks);
    }

    private static async Task PublishMeanwhile()
    {
        await using var room = new SteeredRoom(shards: 1);
        var outlet = new MemberOutlet(-1, last: 2);
        room.Start(0, outlet);
        Task publishing = Steered.Run(() => room.PublishAsync(2));
        Task[] tasks = [publishing, outlet.HasAll];
        await Task.WhenAll(tasks);
    }

    private static async Task JoinInFullFlow()
    {
        await using var room = new SteeredRoom(shards: 1);
        await room.PublishAsync(3); // The ring is full, of events that nobody reads.
        var outlet = new MemberOutlet(-1, last: 7);
        Task one = Steered.Run(() => room.PublishAsync(2));
        Task other = Steered.Run(() => room.PublishAsync(2));
        room.Start(0, outlet);
        Task[] tasks = [one, other, outlet.HasAll];
        await Task.WhenAll(tasks);
    }

    private static async Task ResumeMeanwhile()
    {
        await using var room = new SteeredRoom(shards: 1, stored: 2, ringBytesMax: 4096);
        await room.PublishAsync(1);
        var fromRing = new MemberOutlet(since: 2, last: 6);
        var fromHistory = new MemberOutlet(since: 0, last: 6);
        Task publishing = Steered.Run(() => room.PublishAsync(3));
        room.Start(0, fromHistory, since: 0);
        room.Start(0, fromRing, since: 2);
        Task[] tasks = [publishing, fromRing.HasAll, fromHistory.HasAll];
        await Task.WhenAll(tasks);
    }
}
