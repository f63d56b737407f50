using System.Buffers;
using System.IO.Pipelines;
using System.Text;
using Chat.Protocol.WebSocket;
using Chat.Server.Connections;
using Chat.Server.Rooms;
using Chat.Server.Tests.Rooms;

namespace Chat.Server.Tests.Connections;

public sealed class WebSocketSessionTests
{
    private readonly TestShard _shard = new(0, RoomSetup.Limits, TimeProvider.System);

    private static bool Receive(ChatSession session, Opcode opcode, ReadOnlySpan<byte> payload) =>
        session.Receive(new ReadOnlySequence<byte>(ClientFrame.Of(opcode, payload)), out _);

    /// <summary>Publishes until there is no room; what is the newest then.</summary>
    private static long Fill(RoomSetup setup)
    {
        while (setup.Offer("x") != OfferStatus.Full)
        {
        }

        return setup.Room.HeadSeq;
    }

    /// <summary>Publishes a message that a replay has to get from the database, which answers when the test says so.</summary>
    private static async Task<TaskCompletionSource> HoldUpReplaysAsync(RoomSetup setup)
    {
        var mayRead = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await setup.CommitAsync("missed");
        setup.Room.Sweep(long.MaxValue / 2, 0);
        setup.Store.MayRead = mayRead.Task;
        return mayRead;
    }

    private static bool Say(ChatSession session, string json) => Receive(session, Opcode.Text, Encoding.UTF8.GetBytes(json));

    [Fact]
    public async Task What_is_too_fast_is_accepted_after_the_time_it_was_told()
    {
        var time = new SteppedTime();
        var shard = new TestShard(0, RoomSetup.Limits, time);
        var rate = new Rate(MessagesPerS: 1, BytesPerS: 100_000, CommandsPerS: 100);
        await using RoomSetup setup = await RoomSetup.OpenAsync(rates: new RateLimits(rate, rate, burstMs: 5000, time), time: time);
        var outlet = new TestOutlet();
        ChatSession session = setup.Start(shard, outlet);
        shard.TurnAll();
        for (int i = 0; i < 7; i++) // 5 at once, then 1 a second.
        {
            SayNumber(i);
        }

        await shard.TurnUntilAsync(() => Of("ack").Count == 5);
        Assert.Equal(["n5", "n6"], Of("error").Select(static error => error["nonce"].GetString()));
        time.Step(Of("error")[^1]["retry_after_ms"].GetInt32()); // Refused ones count as well: what the last was told is to be kept.
        SayNumber(6);
        await shard.TurnUntilAsync(() => Of("ack").Count == 6);

        Assert.Equal(("n6", false), (Of("ack")[^1]["nonce"].GetString(), Of("ack")[^1].Has("duplicate")));
        Assert.Equal(2, Of("error").Count);

        void SayNumber(int number) => Assert.True(Say(session, $$"""{"type":"message","content":"x","nonce":"n{{number}}"}"""));

        List<SentFrame> Of(string type) => outlet.Frames().FindAll(frame => frame.Type == type);
    }

    [Fact]
    public async Task What_was_written_and_not_tried_to_be_sent_is_held_to_the_limit_too()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        var outlet = new TestOutlet();
        ChatSession session = setup.Start(_shard, outlet);
        _shard.TurnAll();

        outlet.Untried = RoomSetup.Limits.BacklogBytesMax;
        Assert.True(Say(session, """{"type":"ping"}"""));
        _shard.TurnAll();
        Assert.True(session.IsOpen);
        outlet.Untried++;
        Assert.True(Say(session, """{"type":"ping"}"""));
        _shard.TurnAll();

        Assert.Equal(CloseCode.SlowConsumer, outlet.Frames()[^1].CloseCode);
        session.Stop();
        _shard.TurnAll();
    }

    /// <summary>A pipe's one flush that does not end, with nothing behind it.</summary>
    [Fact]
    public async Task A_peer_that_takes_nothing_is_closed_in_time_also_when_nothing_more_comes()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        var outlet = new TestOutlet();
        ChatSession session = setup.Start(_shard, outlet);
        _shard.TurnAll();
        outlet.Untried = 1;
        outlet.SinceMs = _shard.NowMs - RoomSetup.Limits.BacklogTimeMaxMs - 1;

        _shard.PostSweep();
        _shard.TurnAll();

        Assert.Equal(CloseCode.SlowConsumer, outlet.Frames()[^1].CloseCode);
        session.Stop();
        _shard.TurnAll();
    }

    [Fact]
    public async Task What_is_said_after_our_close_is_dropped()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        var outlet = new TestOutlet();
        ChatSession session = setup.Start(_shard, outlet);
        _shard.TurnAll();
        _shard.PostCloseAll(CloseCode.TokenExpired, "token expired");
        _shard.TurnAll();
        int frames = outlet.Frames().Count;

        Assert.True(Say(session, """{"type":"message","content":"x"}"""));
        Assert.True(Say(session, """{"type":"ping"}"""));
        _shard.TurnAll();

        Assert.Equal(CloseCode.TokenExpired, outlet.Frames()[^1].CloseCode);
        Assert.Equal(frames, outlet.Frames().Count);
        Assert.Equal(0, setup.Room.HeadSeq);
        session.Stop();
        _shard.TurnAll();
    }

    [Fact]
    public async Task What_is_said_before_the_welcome_is_answered_behind_it()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        TaskCompletionSource mayRead = await HoldUpReplaysAsync(setup);
        var outlet = new TestOutlet();
        ChatSession session = setup.Start(_shard, outlet, new ResumePoint(0, setup.Epoch));
        _shard.TurnAll();

        Assert.True(Say(session, """{"type":"message","content":"early","nonce":"n"}"""));
        Assert.True(Say(session, """{"type":"ping"}"""));
        await setup.CommitAsync("later"); // The earlier one is durable as well, and its session knows.
        _shard.TurnAll();
        SentFrame pong = Assert.Single(outlet.Frames());
        Assert.Equal(("pong", false), (pong.Type, pong.Has("room_id")));

        mayRead.SetResult();
        await _shard.TurnUntilAsync(() => outlet.Frames().Exists(static frame => frame.Type == "ack"));
        Assert.Equal(["pong", "welcome", "message", "message", "message", "ack"], outlet.Frames().Select(static frame => frame.Type));
        Assert.Equal(["missed", "early", "later"], outlet.Messages().Select(static message => message.Content));
    }

    [Fact]
    public async Task An_answer_that_waits_for_a_welcome_is_given_also_when_none_comes()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        TaskCompletionSource mayRead = await HoldUpReplaysAsync(setup);
        var outlet = new TestOutlet();
        ChatSession session = setup.Start(_shard, outlet, new ResumePoint(0, setup.Epoch));
        _shard.TurnAll();
        Assert.True(Say(session, """{"type":"message","content":"early","nonce":"n"}"""));
        await setup.CommitAsync("later");
        _shard.TurnAll();
        Assert.Empty(outlet.Frames());

        mayRead.SetException(new IOException("the disk is gone"));
        await _shard.TurnUntilAsync(() => outlet.Frames().Count > 0);

        Assert.Equal("ack", outlet.Frames()[0].Type);
    }

    [Fact]
    public async Task An_answer_that_waits_for_a_welcome_comes_behind_that_of_a_second_subscription()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        TaskCompletionSource mayRead = await HoldUpReplaysAsync(setup);
        var outlet = new TestOutlet();
        var session = new ChatSession(_shard, outlet, setup.Ann, DateTimeOffset.MaxValue, room: null, setup.Services);
        session.Start(ResumePoint.None);
        Subscribe(new ResumePoint(0, setup.Epoch));
        Assert.True(Say(session, """{"type":"message","room_id":1,"content":"early","nonce":"n"}"""));
        await setup.CommitAsync("later");
        _shard.TurnAll();
        Assert.Equal("welcome", Assert.Single(outlet.Frames()).Type); // The connection's.

        Subscribe(ResumePoint.None);

        Assert.Equal(["welcome", "welcome", "ack"], outlet.Frames().Select(static frame => frame.Type));
        mayRead.SetResult();

        void Subscribe(ResumePoint point)
        {
            _shard.Post((target, _) => ((ChatSession)target).Subscribe(setup.Room, point), session);
            _shard.TurnAll();
        }
    }

    [Fact]
    public async Task A_message_that_finds_the_ring_full_waits_and_nothing_behind_it_is_read()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync(ringBytesMax: 4096);
        var outlet = new TestOutlet();
        ChatSession session = setup.Start(_shard, outlet);
        _shard.TurnAll();
        long filled = Fill(setup);
        byte[] first = ClientFrame.Text("""{"type":"message","content":"parked","nonce":"n"}""");
        byte[] second = ClientFrame.Text("""{"type":"ping"}""");

        Assert.True(session.Receive(new ReadOnlySequence<byte>([.. first, .. second]), out SequencePosition consumed));

        Assert.True(session is { IsParked: true, HasUnread: true });
        Assert.Equal(first.Length, consumed.GetInteger());
        Assert.True(session.Receive(new ReadOnlySequence<byte>(second), out consumed));
        Assert.True(session.IsParked);
        Assert.Equal(0, consumed.GetInteger());
        _shard.TurnAll();
        Assert.True(session.Receive(new ReadOnlySequence<byte>(second), out consumed));
        Assert.False(session.IsParked || session.HasUnread);
        Assert.Equal(second.Length, consumed.GetInteger());
        await _shard.TurnUntilAsync(() => outlet.Frames().Exists(static frame => frame.Type == "ack"));
        Assert.Equal("parked", outlet.Messages()[^1].Content);
        Assert.Equal(filled + 1, outlet.Messages()[^1].Seq);
        Assert.Single(outlet.Frames(), static frame => frame.Type == "pong");
    }

    [Fact]
    public async Task A_message_that_waited_long_enough_is_refused_and_reading_goes_on()
    {
        var time = new SteppedTime();
        var shard = new TestShard(0, RoomSetup.Limits, time);
        await using RoomSetup setup = await RoomSetup.OpenAsync(ringBytesMax: 4096, time: time);
        var outlet = new TestOutlet();
        ChatSession session = setup.Start(shard, outlet);
        shard.TurnAll();
        Fill(setup);
        Assert.True(Say(session, """{"type":"message","content":"parked","nonce":"n"}"""));
        time.Step(Room.FullRingWaitMs - 1);
        Assert.True(session.Receive(ReadOnlySequence<byte>.Empty, out _));
        Assert.True(session.IsParked);

        time.Step(1);
        Assert.True(Say(session, """{"type":"ping"}"""));

        Assert.False(session.IsParked);
        shard.TurnAll();
        SentFrame error = outlet.Frames().Single(static frame => frame.Type == "error");
        Assert.Equal(("overloaded", "n"), (error["code"].GetString(), error["nonce"].GetString()));
        Assert.Single(outlet.Frames(), static frame => frame.Type == "pong");
        Assert.True(Say(session, """{"type":"message","content":"again","nonce":"n"}""")); // The nonce is free.
        await shard.TurnUntilAsync(() => outlet.Frames().Exists(static frame => frame.Type == "ack"));
        Assert.Equal("again", outlet.Messages()[^1].Content);
    }

    [Fact]
    public async Task Who_comes_into_a_room_in_full_flow_begins_behind_what_was_published_before_and_holds_nobody_up()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync(ringBytesMin: 1 << 20);
        var old = new TestOutlet();
        setup.Start(_shard, old);
        _shard.TurnAll();
        for (int i = 0; i < 1000; i++) // Three fan-outs' worth.
        {
            Assert.Equal(OfferStatus.Accepted, setup.Offer(new string('x', 50)));
        }

        var outlet = new TestOutlet();
        setup.Start(_shard, outlet, new ResumePoint(1000, setup.Epoch));
        _shard.Turn();
        Assert.InRange(old.Messages().Count, 1, 999); // One turn's share.
        Assert.Empty(outlet.Frames());
        _shard.TurnAll();

        Assert.Equal(1000, old.Messages().Count);
        SentFrame welcome = Assert.Single(outlet.Frames());
        Assert.Equal((1000L, true, false), (welcome.Seq, welcome["recovered"].GetBoolean(), welcome.Has("rolled_back_to")));
        setup.Offer("live");
        _shard.TurnAll();
        Assert.Equal([1001L], outlet.Seqs());
    }

    [Fact]
    public async Task Who_sent_is_served_before_the_others_of_the_room()
    {
        const int Members = 100;
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        var served = new List<int>();
        TestOutlet[] outlets = [.. Enumerable.Range(0, Members).Select(i => new TestOutlet { OnWrite = () => served.Add(i) })];
        ChatSession[] sessions = Array.ConvertAll(outlets, outlet => setup.Start(_shard, outlet));
        int sent = 0;
        _shard.TurnAll();

        Assert.Equal([3, 17, 60], (await ServedAfterAsync(3, 17, 3, 60, 17))[..3]);
        Assert.Equal([17], (await ServedAfterAsync(17))[..1]); // One of those who were first before.
        Assert.Equal([99, 60], (await ServedAfterAsync(99, 60))[..2]);
        Assert.Equal(Members, (await ServedAfterAsync([.. Enumerable.Range(0, Members)])).Count); // All of them: no place is left.
        Assert.Equal([42], (await ServedAfterAsync(42))[..1]);

        // In which order the members are served when these have said something.
        async Task<List<int>> ServedAfterAsync(params int[] senders)
        {
            served.Clear();
            _shard.Post((_, _) => Array.ForEach(senders, i => Assert.True(Say(sessions[i], """{"type":"message","content":"x"}"""))), this);
            _shard.Turn();
            List<int> order = [.. served.Distinct()];
            sent += senders.Length;
            await _shard.TurnUntilAsync(() => outlets.Sum(static outlet => outlet.Frames().Count(static frame => frame.Type == "ack")) == sent);
            return order;
        }
    }

    [Fact]
    public async Task Who_comes_back_to_flood_on_is_ended_with_the_first_refusal()
    {
        var time = new SteppedTime();
        var shard = new TestShard(0, RoomSetup.Limits, time);
        var rates = new RateLimits(new Rate(MessagesPerS: 1, BytesPerS: 100_000, CommandsPerS: 100), new Rate(2, 200_000, 200), burstMs: 5000, time);
        await using RoomSetup setup = await RoomSetup.OpenAsync(rates: rates, time: time);

        // The first: 5 accepted, 5 owed by the connection, one too many. The second: the user's other 5, the user's last 4, one too many.
        Assert.Equal([11, 10, 1, 1], Enumerable.Range(0, 4).Select(_ => Flood()));
        time.Step(500);
        var outlet = new TestOutlet();
        ChatSession session = setup.Start(shard, outlet);
        shard.TurnAll();

        Assert.True(Say(session, """{"type":"message","content":"slowly now"}"""));
        await shard.TurnUntilAsync(() => outlet.Frames().Exists(static frame => frame.Type == "ack"));

        int Flood()
        {
            var flooded = new TestOutlet();
            ChatSession flooder = setup.Start(shard, flooded);
            shard.TurnAll();
            int said = 1;
            while (Say(flooder, """{"type":"message","content":"x"}"""))
            {
                said++;
            }

            shard.TurnAll();
            Assert.Equal(CloseCode.RateLimited, flooded.Frames()[^1].CloseCode);
            return said;
        }
    }

    [Fact]
    public async Task A_member_that_takes_too_little_is_closed_with_4002_and_resumes_without_a_hole()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        var pipe = new Pipe(new PipeOptions(pauseWriterThreshold: 4096, resumeWriterThreshold: 2048, useSynchronizationContext: false));
        ChatSession slow = setup.Start(_shard, new PipeOutlet(_shard, pipe.Writer, () => { }));
        var outlet = new TestOutlet();
        setup.Start(_shard, outlet);
        _shard.TurnAll();
        for (int i = 0; slow.IsOpen; i++)
        {
            Assert.True(i < 200, "it was never closed");
            setup.Offer(new string('x', 500));
            _shard.TurnAll();
        }

        Assert.Equal(1, setup.Services.Metrics.SlowConsumers.Value);
        slow.Stop();
        _shard.TurnAll();
        var received = new ArrayBufferWriter<byte>();
        var drained = ((PipeOutlet)slow.Outlet).Drained;
        while (!drained.IsCompleted)
        {
            // The end of a flush is posted by another thread: turns go on until it has come and has written more. What is
            // read wakes the shard as well, or the wait could begin just before it.
            Task<ReadResult> reading = pipe.Reader.ReadAsync(TestContext.Current.CancellationToken).AsTask();
            _ = reading.ContinueWith(
                _ => _shard.Post(static (_, _) => { }, this),
                CancellationToken.None,
                TaskContinuationOptions.None,
                TaskScheduler.Default);
            await _shard.TurnUntilAsync(() => reading.IsCompleted || drained.IsCompleted);
            if (!reading.IsCompleted)
            {
                pipe.Reader.CancelPendingRead();
            }

            ReadResult read = await reading;
            received.Write(read.Buffer.ToArray());
            pipe.Reader.AdvanceTo(read.Buffer.End);
        }

        if (pipe.Reader.TryRead(out ReadResult last))
        {
            received.Write(last.Buffer.ToArray());
        }

        List<SentFrame> frames = SentFrame.ReadAll(received.WrittenSpan.ToArray());
        Assert.Equal(CloseCode.SlowConsumer, frames[^1].CloseCode);
        long[] seqs = [.. frames.Where(frame => frame.Type == "message").Select(frame => frame.Seq)];
        Assert.Equal(Enumerable.Range(1, seqs.Length).Select(i => (long)i), seqs);
        Assert.InRange(seqs.Length, 1, (int)setup.Room.HeadSeq - 1);

        var again = new TestOutlet();
        setup.Start(_shard, again, new ResumePoint(seqs[^1], setup.Epoch));
        await _shard.TurnUntilAsync(() => again.Frames().Count > 0);
        Assert.Equal(outlet.Seqs()[seqs.Length..], again.Seqs());
    }

    [Fact]
    public async Task A_message_is_acknowledged_when_it_is_durable_and_again_when_it_is_sent_again()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        var outlet = new TestOutlet();
        ChatSession session = setup.Start(_shard, outlet);
        _shard.TurnAll();
        Assert.True(Say(session, """{"type":"message","content":"hi","nonce":"n1"}"""));
        await _shard.TurnUntilAsync(() => outlet.Frames().Exists(frame => frame.Type == "ack"));
        Assert.True(Say(session, """{"type":"message","content":"hi","nonce":"n1"}"""));
        _shard.TurnAll();

        SentFrame[] acks = [.. outlet.Frames().Where(frame => frame.Type == "ack")];
        Assert.Equal([1L, 1L], acks.Select(ack => ack.Seq));
        Assert.False(acks[0].Has("duplicate"));
        Assert.True(acks[1]["duplicate"].GetBoolean());
        Assert.Equal([1L], outlet.Seqs());
        Assert.Equal(1, (await setup.HistoryAsync(10))[^1].Seq);
    }

    [Fact]
    public async Task A_close_is_echoed_and_the_outlet_ends()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        var outlet = new TestOutlet();
        ChatSession session = setup.Start(_shard, outlet);
        Assert.False(Receive(session, Opcode.Close, [0x03, 0xE8]));
        _shard.TurnAll();

        Assert.Equal(CloseCode.NormalClosure, outlet.Frames()[^1].CloseCode);
        Assert.True(outlet.IsComplete);
        Assert.Equal(0, setup.Room.MemberCount);
    }

    [Fact]
    public async Task A_peer_that_closed_and_takes_nothing_more_is_aborted_after_the_close_timeout()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        var time = new SteppedTime();
        var shard = new TestShard(0, RoomSetup.Limits, time);
        var outlet = new TestOutlet();
        ChatSession session = setup.Start(shard, outlet);
        shard.TurnAll();
        Receive(session, Opcode.Close, [0x03, 0xE8]);
        shard.TurnAll();
        time.Step(RoomSetup.Limits.CloseTimeoutMs);
        shard.PostSweep();
        shard.TurnAll();
        Assert.Equal(0, outlet.Aborts);
        time.Step(1);
        shard.PostSweep();
        shard.TurnAll();
        Assert.Equal(1, outlet.Aborts);
        session.Stop();
        shard.TurnAll();
        Assert.Equal(0, shard.SessionCount);
    }

    [Fact]
    public async Task A_silent_peer_is_pinged_and_closed_without_a_pong()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        var time = new SteppedTime();
        var shard = new TestShard(0, RoomSetup.Limits, time);
        var outlet = new TestOutlet();
        ChatSession session = setup.Start(shard, outlet);
        shard.TurnAll();

        void Sweep(int afterMs)
        {
            time.Step(afterMs);
            shard.PostSweep();
            shard.TurnAll();
        }

        Sweep(RoomSetup.Limits.PingIntervalMs - 1);
        Assert.Single(outlet.Frames());
        Sweep(1);
        Assert.Equal((int)Opcode.Ping, outlet.Frames()[^1].Opcode);
        Receive(session, Opcode.Pong, []);
        Sweep(1000);
        Sweep(RoomSetup.Limits.PingIntervalMs);
        Sweep(RoomSetup.Limits.PongTimeoutMs);
        Assert.True(session.IsOpen);
        Sweep(1);
        Assert.Equal(CloseCode.NoPong, outlet.Frames()[^1].CloseCode);
        Assert.Equal(2, outlet.Frames().Count(frame => frame.Opcode == (int)Opcode.Ping));
    }
}
