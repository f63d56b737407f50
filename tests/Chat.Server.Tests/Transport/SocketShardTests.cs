using Chat.Protocol.WebSocket;
using Chat.Server.Connections;
using Chat.Server.Rooms;
using Chat.Server.Tests.Connections;
using Chat.Server.Tests.Rooms;
using Chat.Server.Transport;

namespace Chat.Server.Tests.Transport;

/// <summary>Real sockets on real shards: what members get, and in which order.</summary>
public sealed class SocketShardTests
{
    /// <summary>Forty of them fill the buffers of members that do not read.</summary>
    private static readonly byte[] _longMessage =
        ClientFrame.Text($$"""{"type":"message","content":"{{new string('x', 1000)}}"}""");

    public static TheoryData<string> Engines => TransportSetup.Engines;

    /// <summary>A sender's own message comes back, and then its acknowledgement.</summary>
    private static async Task ReadOwnAsync(ShardClient sender, long seq)
    {
        SentFrame sent = await sender.ReadFrameAsync();
        Assert.Equal(("message", seq), (sent.Type, sent.Seq));
        SentFrame acknowledged = await sender.ReadFrameAsync();
        Assert.Equal(("ack", seq), (acknowledged.Type, acknowledged.Seq));
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public async Task A_member_that_reads_slowly_gets_whole_frames_in_their_order(string engine)
    {
        const int Messages = 4000;
        await using TransportSetup setup = await TransportSetup.OpenAsync(engine);
        using ShardClient slow = await setup.JoinAsync([setup.Rooms.Room], receiveBufferBytes: 2048);
        static string Content(int seq) => new((char)('a' + (seq % 26)), 1 + (seq * 7 % 900));
        for (int seq = 1; seq <= Messages; seq++)
        {
            setup.Publish(setup.Rooms.Room, Content(seq));
        }

        for (int seq = 1; seq <= Messages; seq++)
        {
            SentFrame frame = await slow.ReadFrameAsync();
            Assert.Equal((seq, Content(seq)), (frame.Seq, frame.Content));
        }
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public async Task A_member_that_stops_gets_4002_between_two_frames_and_the_others_everything(string engine)
    {
        const int Messages = 3000;
        await using TransportSetup setup = await TransportSetup.OpenAsync(
            engine, limits: TransportSetup.Limits with { BacklogBytesMax = 128 * 1024 });
        using ShardClient stopped = await setup.JoinAsync([setup.Rooms.Room], receiveBufferBytes: 2048);
        using ShardClient reader = await setup.JoinAsync([setup.Rooms.Room]);
        for (int seq = 1; seq <= Messages; seq++)
        {
            setup.Publish(setup.Rooms.Room, new string('x', 1 + (seq * 13 % 1500)));
            Assert.Equal(seq, (await reader.ReadFrameAsync()).Seq);
        }

        Assert.Equal(1, setup.Rooms.Services.Metrics.SlowConsumers.Value);
        for (int expected = 1; ; expected++)
        {
            SentFrame frame = await stopped.ReadFrameAsync();
            if (frame.Opcode == (int)Opcode.Close)
            {
                Assert.Equal(CloseCode.SlowConsumer, frame.CloseCode);
                Assert.InRange(expected, 2, Messages);
                break;
            }

            Assert.Equal(expected, frame.Seq);
        }

        await stopped.SendAsync(ClientFrame.Of(Opcode.Close, [0x0F, 0xA2]));
        Assert.Empty(await stopped.ReadToEndAsync());
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public async Task Turns_kept_apart_lose_and_reorder_nothing(string engine)
    {
        const int Messages = 2000;
        const int Burst = 50;
        await using TransportSetup setup = await TransportSetup.OpenAsync(engine, turnIntervalUs: 1_000);
        using ShardClient sender = await setup.JoinAsync([setup.Rooms.Room]);
        using ShardClient reader = await setup.JoinAsync([setup.Rooms.Room]);
        byte[] say = ClientFrame.Text("""{"type":"message","content":"x"}""");
        SocketShard shard = setup.Shards[0];
        var moderated = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var over = new CancellationTokenSource();
        Task waking = Task.Run(() =>
        {
            while (!over.IsCancellationRequested)
            {
                shard.Post(static (_, _) => { }, shard);
                Thread.SpinWait(1000);
                if (shard.IsModerated)
                {
                    moderated.TrySetResult();
                }
            }
        }, TestContext.Current.CancellationToken);
        try
        {
            await moderated.Task.WaitAsync(TransportSetup.Patience, TestContext.Current.CancellationToken);
            for (int seq = 1; seq <= Messages;)
            {
                for (int i = 0; i < Burst; i++)
                {
                    await sender.SendAsync(say);
                }

                for (int i = 0; i < Burst; i++, seq++)
                {
                    Assert.Equal(seq, (await reader.ReadFrameAsync()).Seq);
                }
            }
        }
        finally
        {
            await over.CancelAsync(); // Before the shard ends, also when the test fails.
            await waking;
        }
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public async Task A_frame_larger_than_the_socket_buffer_arrives_whole(string engine)
    {
        await using TransportSetup setup = await TransportSetup.OpenAsync(engine, ringBytesMax: 1 << 21);
        using ShardClient member = await setup.JoinAsync([setup.Rooms.Room], receiveBufferBytes: 2048);
        string large = string.Concat(Enumerable.Range(0, 250_000).Select(static number => $"{number % 1_000_000:D6}"));
        setup.Publish(setup.Rooms.Room, large);
        setup.Publish(setup.Rooms.Room, "small");
        Assert.Equal(large, (await member.ReadFrameAsync()).Content);
        Assert.Equal("small", (await member.ReadFrameAsync()).Content);
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public async Task One_socket_in_many_rooms_gets_the_order_of_each(string engine)
    {
        const int PerRoom = 300;
        await using TransportSetup setup = await TransportSetup.OpenAsync(engine, shards: 2);
        Room[] rooms = await setup.RoomsAsync(10);
        using ShardClient one = await setup.JoinAsync(rooms, receiveBufferBytes: 4096);
        using ShardClient other = await setup.JoinAsync(rooms);
        Task publishing = Task.WhenAll(rooms.Select(room => Task.Run(() =>
        {
            for (int i = 0; i < PerRoom; i++)
            {
                setup.Publish(room, $"{room.Id} {new string('x', i)}");
            }
        })));
        foreach (ShardClient member in (ShardClient[])[one, other])
        {
            Dictionary<long, long> seqs = rooms.ToDictionary(static room => room.Id, static _ => 0L);
            for (int i = 0; i < PerRoom * rooms.Length; i++)
            {
                SentFrame frame = await member.ReadFrameAsync();
                long room = frame["room_id"].GetInt64();
                Assert.Equal(++seqs[room], frame.Seq);
                Assert.Equal($"{room} {new string('x', (int)frame.Seq - 1)}", frame.Content);
            }
        }

        await publishing;
    }

    /// <summary>More members than an io_uring has entries, and two rooms whose rings wrap in the same turn.</summary>
    [Theory]
    [MemberData(nameof(Engines))]
    public async Task Rooms_that_wrap_in_one_turn_do_not_get_each_others_bytes(string engine)
    {
        const int Members = 1100;
        const int Rounds = 24;
        await using TransportSetup setup = await TransportSetup.OpenAsync(engine, ringBytesMax: 4096);
        Room[] rooms = await setup.RoomsAsync(2);
        ShardClient[] large = await setup.JoinManyAsync(Members, [rooms[0]]);
        using ShardClient small = await setup.JoinAsync([rooms[1]]);
        for (int round = 0; round < Rounds; round++)
        {
            using (await TransportSetup.HoldAsync(setup.Shards[0])) // Both rooms get dirty before the turn, this one first.
            {
                setup.Publish(rooms[0], new string('A', 700));
                setup.Publish(rooms[1], new string('B', 700));
            }

            Assert.Equal(new string('B', 700), (await small.ReadFrameAsync()).Content);
        }

        foreach (ShardClient member in large)
        {
            for (int seq = 1; seq <= Rounds; seq++)
            {
                SentFrame frame = await member.ReadFrameAsync();
                Assert.Equal((seq, new string('A', 700)), (frame.Seq, frame.Content));
            }

            member.Dispose();
        }
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public async Task A_quiet_room_has_its_turn_before_a_busy_one_is_done(string engine)
    {
        const int Busy = 800;
        await using TransportSetup setup = await TransportSetup.OpenAsync(engine, ringBytesMin: 1 << 20);
        Room[] rooms = await setup.RoomsAsync(2);
        using ShardClient member = await setup.JoinAsync(rooms);
        using (await TransportSetup.HoldAsync(setup.Shards[0]))
        {
            for (int i = 0; i < Busy; i++)
            {
                setup.Publish(rooms[0], new string('x', 1000));
            }

            setup.Publish(rooms[1], "quiet");
        }

        int before = 0;
        while ((await member.ReadFrameAsync()).Content != "quiet")
        {
            before++;
        }

        Assert.InRange(before, 0, Busy / 4);
    }

    /// <summary>
    /// Members who cannot take any more have their room wait, and nobody else: a quiet room of the same shard is served, and so is one who
    /// reads. When they read again, nothing is missing.
    /// </summary>
    [Theory]
    [MemberData(nameof(Engines))]
    public async Task A_room_waits_while_most_of_its_members_have_not_taken_the_last_fan_out(string engine)
    {
        const int Members = 80;
        const int Messages = 100;
        await using TransportSetup setup = await TransportSetup.OpenAsync(engine);
        Room[] rooms = await setup.RoomsAsync(2);
        ShardClient[] members = await setup.JoinManyAsync(Members, [rooms[0]], receiveBufferBytes: 2048);
        using ShardClient reader = await setup.JoinAsync(rooms);
        Assert.Equal(0, setup.Shards[0].Holds);
        for (int seq = 1; seq <= Messages; seq++)
        {
            setup.Publish(rooms[0], new string('x', 1000));
            setup.Publish(rooms[1], "quiet");
            for (int part = 0; part < 2; part++)
            {
                SentFrame frame = await reader.ReadFrameAsync();
                Assert.Equal((seq, frame["room_id"].GetInt64() == rooms[0].Id ? 1000 : 5), (frame.Seq, frame.Content.Length));
            }
        }

        Assert.InRange(setup.Shards[0].Holds, 1, Messages);
        foreach (ShardClient member in members)
        {
            for (int seq = 1; seq <= Messages; seq++)
            {
                Assert.Equal(seq, (await member.ReadFrameAsync()).Seq);
            }

            member.Dispose();
        }
    }

    /// <summary>
    /// A few events behind many wait for more, and leave without any: nothing else wakes the shard. What was gathered comes once and in order.
    /// </summary>
    [Theory]
    [MemberData(nameof(Engines))]
    public async Task A_small_fan_out_behind_large_ones_waits_and_leaves_by_itself(string engine)
    {
        const int Rounds = 20;
        const int Burst = 20;
        await using TransportSetup setup = await TransportSetup.OpenAsync(engine);
        ShardClient[] members = await setup.JoinManyAsync(80, [setup.Rooms.Room]);
        for (int round = 0; round < Rounds; round++)
        {
            for (int i = 0; i < Burst; i++)
            {
                setup.Publish(setup.Rooms.Room, "many");
            }

            await ReadUpToAsync(members[0], round * (Burst + 1), Burst);
            setup.Publish(setup.Rooms.Room, "one");
            await ReadUpToAsync(members[0], (round * (Burst + 1)) + Burst, 1);
        }

        Assert.InRange(setup.Shards[0].Gathers, 1, Rounds * (Burst + 1));
        foreach (ShardClient member in members[1..])
        {
            await ReadUpToAsync(member, 0, Rounds * (Burst + 1));
        }

        Array.ForEach(members, static member => member.Dispose());
    }

    private static async Task ReadUpToAsync(ShardClient member, int after, int count)
    {
        for (int seq = after + 1; seq <= after + count; seq++)
        {
            Assert.Equal(seq, (await member.ReadFrameAsync()).Seq);
        }
    }

    /// <summary>The acknowledgement of an event that waits comes behind the event.</summary>
    [Theory]
    [MemberData(nameof(Engines))]
    public async Task An_acknowledgement_waits_with_the_event(string engine)
    {
        const int Members = 80;
        await using TransportSetup setup = await TransportSetup.OpenAsync(engine);
        ShardClient[] members = await setup.JoinManyAsync(Members, [setup.Rooms.Room], receiveBufferBytes: 2048);
        using ShardClient sender = await setup.JoinAsync([setup.Rooms.Room]);
        for (int seq = 1; seq <= 40; seq++)
        {
            await sender.SendAsync(_longMessage);
            await ReadOwnAsync(sender, seq);
        }

        Assert.InRange(setup.Shards[0].Holds, 1, 40);
        Array.ForEach(members, static member => member.Dispose());
    }

    /// <summary>A server that stops does not keep to itself what its rooms were waiting with.</summary>
    [Theory]
    [MemberData(nameof(Engines))]
    public async Task A_room_that_waits_is_served_before_its_members_are_closed(string engine)
    {
        const int Members = 80;
        const int ClosedAfter = 30;
        await using TransportSetup setup = await TransportSetup.OpenAsync(engine);
        ShardClient[] members = await setup.JoinManyAsync(Members, [setup.Rooms.Room], receiveBufferBytes: 2048);
        using ShardClient sender = await setup.JoinAsync([setup.Rooms.Room]);
        for (int seq = 1; seq < ClosedAfter; seq++)
        {
            await sender.SendAsync(_longMessage);
            await ReadOwnAsync(sender, seq);
        }

        Assert.InRange(setup.Shards[0].Holds, 1, ClosedAfter);
        await sender.SendAsync(_longMessage);
        await setup.CommittedAsync(ClosedAfter); // Well before the 40 ms are over for which the room waits.
        setup.Shards[0].PostCloseAll(CloseCode.GoingAway, "stop");
        await ReadOwnAsync(sender, ClosedAfter);
        Assert.Equal(CloseCode.GoingAway, (await sender.ReadFrameAsync()).CloseCode);
        Array.ForEach(members, static member => member.Dispose());
    }

    /// <summary>
    /// A socket has 64 messages of a turn. Even if one share takes all of a turn's time, as it may before the code is compiled, each turn
    /// reads one socket that has news and one that had its share.
    /// </summary>
    [Theory]
    [MemberData(nameof(Engines))]
    public async Task A_client_is_heard_before_those_who_flood_are_done(string engine)
    {
        const int Flooders = 4;
        const int Flood = 1000;
        const int Share = 64;
        await using TransportSetup setup = await TransportSetup.OpenAsync(engine, ringBytesMin: 1 << 20);
        byte[] flood = [.. Enumerable.Repeat(ClientFrame.Text("{\"type\":\"message\",\"content\":\"x\"}"), Flood).SelectMany(static frame => frame)];
        ShardClient[] flooders = await setup.JoinManyAsync(Flooders, [setup.Rooms.Room]);
        using ShardClient honest = await setup.JoinAsync([setup.Rooms.Room]);
        using (await TransportSetup.HoldAsync(setup.Shards[0]))
        {
            foreach (ShardClient flooder in flooders)
            {
                await flooder.SendAsync(flood);
            }

            await honest.SendAsync(ClientFrame.Text("{\"type\":\"message\",\"content\":\"honest\"}"));
        }

        int before = 0;
        for (SentFrame frame; (frame = await honest.ReadFrameAsync()).Type != "message" || frame.Content != "honest";)
        {
            before += frame.Type == "message" ? 1 : 0;
        }

        Assert.InRange(before, 0, 2 * Flooders * Share);
        Array.ForEach(flooders, static flooder => flooder.Dispose());
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public async Task What_is_written_in_one_turn_leaves_in_it_or_is_a_backlog(string engine)
    {
        const int HeldMax = 1 << 20;
        const int Pieces = 64;
        await using TransportSetup setup = await TransportSetup.OpenAsync(engine, shards: 1);
        using ShardClient client = await setup.JoinAsync([setup.Rooms.Room]);
        byte[] piece = new byte[64 * 1024];
        int length = FrameWriter.WriteFrame(piece, Opcode.Text, new byte[60_000]);
        var heldWithoutBacklog = new List<int>();
        await TransportSetup.RunOnAsync(setup.Shards[0], () =>
        {
            Outlet outlet = setup.Rooms.Room.MembersOn(setup.Shards[0])[0].Session.Outlet;
            for (int i = 0; i < Pieces; i++)
            {
                outlet.Write(piece.AsSpan(0, length));
                outlet.SendDown(HeldMax);
                if (outlet.BacklogBytes != outlet.HeldBytes)
                {
                    heldWithoutBacklog.Add(outlet.HeldBytes);
                }
            }

            outlet.Flush();
        });

        Assert.All(heldWithoutBacklog, static held => Assert.InRange(held, 0, HeldMax));
        byte[] received = await client.ReadAsync(Pieces * length); // The client has not read before: there was a backlog.
        for (int i = 0; i < Pieces; i++)
        {
            Assert.True(received.AsSpan(i * length, length).SequenceEqual(piece.AsSpan(0, length)));
        }
    }
}
