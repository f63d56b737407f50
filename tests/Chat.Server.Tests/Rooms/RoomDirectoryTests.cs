using System.Text;
using Chat.Protocol.WebSocket;
using Chat.Server.Connections;
using Chat.Server.Rooms;
using Chat.Server.Settings;
using Chat.Storage;

namespace Chat.Server.Tests.Rooms;

public sealed class RoomDirectoryTests
{
    private const long Later = long.MaxValue / 2;

    private readonly TestShard _shard = new(0, RoomSetup.Limits, TimeProvider.System);

    [Fact]
    public async Task Concurrent_askers_get_the_one_room()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        Room?[] rooms = await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => Task.Run(() => setup.Rooms.FindAsync(2, CancellationToken.None).AsTask())));

        Assert.All(rooms, room => Assert.Same(rooms[0], room));
        Assert.Same(rooms[0], setup.Rooms.FindLoaded(2));
        Assert.Equal(2, setup.Rooms.Loaded.Count());
    }

    [Fact]
    public async Task An_unknown_room_is_not_kept_and_is_found_once_it_exists()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        Assert.Null(await setup.Rooms.FindAsync(4, CancellationToken.None));
        Assert.Null(await setup.Rooms.FindAsync(-1, CancellationToken.None));
        Assert.Null(setup.Rooms.FindLoaded(4));
        Assert.Single(setup.Rooms.Loaded);

        long id = (await setup.Store.CreateRoomAsync("new", CancellationToken.None)).Id;
        Assert.Equal(4, id);
        Assert.NotNull(await setup.Rooms.FindAsync(id, CancellationToken.None));
    }

    [Fact]
    public async Task An_unknown_room_whose_asker_has_gone_is_forgotten_too()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => setup.Rooms.FindAsync(4, new CancellationToken(canceled: true)).AsTask());
        long deadline = Environment.TickCount64 + 30_000;
        while (setup.Rooms.Count > 1)
        {
            Assert.True(Environment.TickCount64 < deadline, "it is kept");
            setup.Rooms.Sweep(setup.RoomServices.NowMs, 60_000, 60_000);
            await Task.Yield();
        }
    }

    [Fact]
    public async Task A_room_that_nobody_needs_is_unloaded_and_goes_on_where_it_was()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        setup.Offer("one");
        await setup.CommitAsync("two");
        long nowMs = setup.RoomServices.NowMs;
        setup.Rooms.Sweep(nowMs, 0, unusedMs: 60_000);
        Assert.Same(setup.Room, setup.Rooms.FindLoaded(RoomSetup.RoomId)); // Just used.

        await UnloadAsync(setup);
        Assert.Equal(OfferStatus.Overloaded, setup.Offer("to the one that is gone"));
        Room room = (await setup.Rooms.FindAsync(RoomSetup.RoomId, CancellationToken.None))!;
        var publisher = new TestPublisher();
        Assert.Equal(OfferStatus.Accepted, room.Offer(setup.Ann, "three"u8, default, publisher, out long seq, out _));
        await publisher.Outcome;

        Assert.NotSame(setup.Room, room);
        Assert.Equal(3, seq);
        Assert.Equal(["one", "two", "three"], (await setup.Log.ReadDurableAsync(RoomSetup.RoomId, null, 0, 10, CancellationToken.None)).Messages.Select(static record => Encoding.UTF8.GetString(record.Content.Span)));
    }

    [Fact]
    public async Task A_room_with_a_member_or_a_nonce_stays()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        ChatSession session = setup.Start(_shard, new TestOutlet());
        _shard.TurnAll();
        await setup.CommitAsync("one", nonce: "n");

        setup.Rooms.Sweep(setup.RoomServices.NowMs + 1, 0, 0);
        Assert.Same(setup.Room, setup.Rooms.FindLoaded(RoomSetup.RoomId));
        session.Stop();
        _shard.TurnAll();
        setup.Rooms.Sweep(setup.RoomServices.NowMs + 1, 0, 0); // The nonce may still be sent again.
        Assert.Same(setup.Room, setup.Rooms.FindLoaded(RoomSetup.RoomId));

        await UnloadAsync(setup);
    }

    [Fact]
    public async Task Who_enters_a_room_that_has_been_unloaded_meanwhile_is_told_to_come_again()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        await UnloadAsync(setup);
        (var one, var many) = (new TestOutlet(), new TestOutlet());
        setup.Start(_shard, one);
        var session = new ChatSession(_shard, many, setup.Ann, DateTimeOffset.MaxValue, null, setup.Services);
        session.Start(ResumePoint.None);
        _shard.TurnAll();
        _shard.Post(static (target, room) => ((ChatSession)target).Subscribe((Room)room!, ResumePoint.None), session, setup.Room);
        _shard.TurnAll();

        Assert.Equal(CloseCode.InternalError, one.Frames()[^1].CloseCode);
        Assert.Equal("unavailable", many.Frames()[^1]["code"].GetString());
        Assert.Equal(0, setup.Room.MemberCount);
    }

    [Theory]
    [InlineData(nameof(DeliveryOrder.Immediate))]
    [InlineData(nameof(DeliveryOrder.Committed))]
    public async Task Publishers_of_a_room_that_is_unloaded_all_the_time_lose_nothing(string order)
    {
        const int Publishers = 4;
        const int Each = 200;
        await using RoomSetup setup = await RoomSetup.OpenAsync(Enum.Parse<DeliveryOrder>(order));
        using var done = new CancellationTokenSource();
        int unloaded = 0;
        Task sweeping = Task.Run(() =>
        {
            Room? last = null;
            while (!done.IsCancellationRequested)
            {
                setup.Rooms.Sweep(Later, 0, 0);
                Room? now = setup.Rooms.FindLoaded(RoomSetup.RoomId);
                unloaded += now != last ? 1 : 0;
                last = now;
            }
        }, TestContext.Current.CancellationToken);
        await Task.WhenAll(Enumerable.Range(0, Publishers).Select(number => Task.Run(async () =>
        {
            for (int i = 0; i < Each; i++)
            {
                var publisher = new TestPublisher();
                Room room;
                do
                {
                    room = (await setup.Rooms.FindAsync(RoomSetup.RoomId, CancellationToken.None))!;
                }
                while (room.Offer(setup.Ann, Encoding.UTF8.GetBytes($"{number}:{i}"), default, publisher, out _, out _) != OfferStatus.Accepted);
                if (i % 10 == 9)
                {
                    await publisher.Outcome; // Now and then nobody needs it; and all are told in the end.
                }
            }
        })));
        await done.CancelAsync();
        await sweeping;
        Room last = (await setup.Rooms.FindAsync(RoomSetup.RoomId, CancellationToken.None))!;
        HistoryPage page = await setup.Log.ReadHistoryAsync(last.Log, null, 0, 10_000, last.HeadSeq, CancellationToken.None);

        Assert.True(unloaded > 1);
        Assert.Equal(Enumerable.Range(1, Publishers * Each).Select(static seq => (long)seq), page.Messages.Select(static record => record.Seq));
        Assert.Equal(Publishers * Each, page.Messages.Select(static record => Encoding.UTF8.GetString(record.Content.Span)).Distinct().Count());
    }

    /// <summary>As if an age had passed.</summary>
    private static async Task UnloadAsync(RoomSetup setup)
    {
        long deadline = Environment.TickCount64 + 30_000;
        while (setup.Rooms.FindLoaded(RoomSetup.RoomId) is not null) // A publisher is told an instant before its message needs the room no more.
        {
            Assert.True(Environment.TickCount64 < deadline, "it stays");
            setup.Rooms.Sweep(Later, 0, 0);
            await Task.Yield();
        }
    }
}
