using System.Buffers;
using System.IO.Pipelines;
using Chat.Protocol.WebSocket;
using Chat.Server.Connections;
using Chat.Server.Tests.Rooms;
using CsCheck;

namespace Chat.Server.Tests.Connections;

public sealed class PipeOutletTests
{
    private readonly TestShard _shard = new(0, RoomSetup.Limits, TimeProvider.System);
    private readonly Pipe _pipe = new(new PipeOptions(
        readerScheduler: PipeScheduler.Inline,
        writerScheduler: PipeScheduler.Inline,
        pauseWriterThreshold: 256,
        resumeWriterThreshold: 128,
        useSynchronizationContext: false));

    private readonly PipeOutlet _outlet;
    private int _aborts;

    public PipeOutletTests() => _outlet = new PipeOutlet(_shard, _pipe.Writer, () => _aborts++);

    private static byte[] Bytes(int length, int first = 0) => [.. Enumerable.Range(first, length).Select(i => (byte)i)];

    private static byte[] Frame(int payloadBytes)
    {
        byte[] frame = new byte[FrameWriter.HeaderBytes(payloadBytes) + payloadBytes];
        FrameWriter.WriteFrame(frame, Opcode.Binary, new byte[payloadBytes]);
        return frame;
    }

    /// <summary>Takes up to so many bytes, as a peer does; a flush that this ends is seen by the shard's next turn.</summary>
    private byte[] Take(int bytesMax = int.MaxValue)
    {
        if (!_pipe.Reader.TryRead(out ReadResult read))
        {
            return [];
        }

        ReadOnlySequence<byte> taken = read.Buffer.Slice(0, Math.Min(bytesMax, read.Buffer.Length));
        byte[] bytes = taken.ToArray();
        _pipe.Reader.AdvanceTo(taken.End);
        _shard.TurnAll();
        return bytes;
    }

    private byte[] TakeAll()
    {
        var all = new List<byte>();
        for (byte[] bytes = Take(); bytes.Length > 0; bytes = Take())
        {
            all.AddRange(bytes);
        }

        return [.. all];
    }

    private void WriteAndFlush(ReadOnlySpan<byte> bytes)
    {
        _outlet.Write(bytes);
        _outlet.Flush();
    }

    [Fact]
    public void Nothing_is_sent_before_the_flush()
    {
        _outlet.Write(Bytes(10));
        Assert.Empty(Take());
        _outlet.Flush();
        Assert.Equal(Bytes(10), Take());
        Assert.Equal((0, 0L), (_outlet.BacklogBytes, _outlet.BacklogSinceMs));
    }

    [Fact]
    public void What_comes_while_a_flush_waits_is_kept_and_follows_in_order()
    {
        WriteAndFlush(Bytes(300));
        Assert.NotEqual(0, _outlet.BacklogSinceMs);
        WriteAndFlush(Bytes(50, first: 1));
        WriteAndFlush(Bytes(60, first: 2));
        Assert.Equal(110, _outlet.BacklogBytes);

        Assert.Equal(Bytes(300), Take());
        Assert.Equal((0, 0L), (_outlet.BacklogBytes, _outlet.BacklogSinceMs));
        Assert.Equal([.. Bytes(50, first: 1), .. Bytes(60, first: 2)], Take());
    }

    [Fact]
    public void A_backlog_that_never_goes_away_is_as_old_as_its_beginning()
    {
        var time = new SteppedTime();
        var shard = new TestShard(0, RoomSetup.Limits, time);
        var outlet = new PipeOutlet(shard, _pipe.Writer, () => { });
        long startedMs = shard.NowMs;
        Write(300);
        for (int i = 0; i < 3; i++)
        {
            Write(300);
            time.Step(1000);
            Read(300); // The flush ends, and what has waited for it fills the pipe again.
            Assert.Equal(startedMs, outlet.BacklogSinceMs);
        }

        Read(300);
        Assert.Equal((0, 0L), (outlet.BacklogBytes, outlet.BacklogSinceMs));
        Write(300);
        Assert.Equal(startedMs + 3000, outlet.BacklogSinceMs);

        void Write(int bytes)
        {
            outlet.Write(Bytes(bytes));
            outlet.Flush();
        }

        void Read(int bytes)
        {
            Assert.Equal(bytes, Take().Length);
            shard.TurnAll();
        }
    }

    [Fact]
    public void Whatever_is_written_and_read_in_any_pieces_arrives_whole_and_in_order() =>
        Gen.Select(Gen.Bool, Gen.Int[1, 600]).Array[1, 60].Sample(
            steps =>
            {
                var test = new PipeOutletTests();
                var written = new List<byte>();
                var taken = new List<byte>();
                foreach ((bool isWrite, int size) in steps)
                {
                    if (isWrite)
                    {
                        written.AddRange(Bytes(size, first: written.Count));
                        test.WriteAndFlush(Bytes(size, first: written.Count - size));
                    }
                    else
                    {
                        taken.AddRange(test.Take(size));
                    }
                }

                test._outlet.Complete();
                taken.AddRange(test.TakeAll());
                return taken.SequenceEqual(written) && test._outlet.Drained.IsCompleted && test._outlet.BacklogBytes == 0;
            },
            iter: 500,
            threads: 1);

    [Fact]
    public void It_is_drained_when_everything_written_before_the_end_is_flushed()
    {
        WriteAndFlush(Bytes(300));
        WriteAndFlush(Bytes(300));
        _outlet.Write(Bytes(10));
        _outlet.Complete();
        _outlet.Complete();
        _outlet.Write(Bytes(99)); // After the end: nothing.
        Assert.False(_outlet.Drained.IsCompleted);

        Assert.Equal(300, Take().Length);
        Assert.False(_outlet.Drained.IsCompleted);
        Assert.Equal(310, Take().Length);
        Assert.True(_outlet.Drained.IsCompletedSuccessfully);
        Assert.Empty(Take());
    }

    [Fact]
    public void An_outlet_that_wrote_nothing_is_drained_at_its_end()
    {
        _outlet.Complete();
        Assert.True(_outlet.Drained.IsCompletedSuccessfully);
    }

    [Fact]
    public void After_the_backlog_is_dropped_the_close_frame_stands_at_a_frame_boundary()
    {
        for (int i = 0; i < 10; i++)
        {
            WriteAndFlush(Frame(100));
        }

        _outlet.DropBacklog();
        Assert.Equal(0, _outlet.BacklogBytes);
        byte[] close = new byte[FrameWriter.ControlFrameBytesMax];
        WriteAndFlush(close.AsSpan(0, FrameWriter.WriteClose(close, CloseCode.SlowConsumer, "slow"u8)));
        _outlet.Complete();

        List<SentFrame> frames = SentFrame.ReadAll(TakeAll());
        Assert.InRange(frames.Count, 3, 5);
        Assert.All(frames.SkipLast(1), frame => Assert.Equal(100, frame.Payload.Length));
        Assert.Equal(CloseCode.SlowConsumer, frames[^1].CloseCode);
        Assert.True(_outlet.Drained.IsCompleted);
    }

    [Fact]
    public void A_reader_that_is_gone_ends_it_with_a_backlog_as_without()
    {
        WriteAndFlush(Bytes(300));
        WriteAndFlush(Bytes(300));
        _pipe.Reader.Complete();
        _shard.TurnAll();

        Assert.True(_outlet.Drained.IsCompletedSuccessfully);
        Assert.Equal(0, _outlet.BacklogBytes);
        WriteAndFlush(Bytes(10));
        _outlet.Complete();
        _outlet.DropBacklog();
        _shard.TurnAll();
    }

    [Fact]
    public void A_writer_that_was_completed_under_it_ends_it()
    {
        _outlet.Write(Bytes(10));
        _pipe.Writer.Complete();
        _pipe.Reader.Complete();
        WriteAndFlush(Bytes(10));
        _outlet.Complete();

        Assert.True(_outlet.Drained.IsCompletedSuccessfully);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_flush_that_fails_at_once_or_later_ends_it_and_not_the_turn(bool atOnce)
    {
        var outlet = new PipeOutlet(_shard, new FailingWriter(atOnce), () => { });
        outlet.Write(Bytes(10));
        _shard.Post((_, _) => _shard.FlushLater(outlet), _shard);
        _shard.TurnAll();

        Assert.True(outlet.Drained.IsCompletedSuccessfully);
        outlet.Write(Bytes(10));
        outlet.Flush();
        outlet.Complete();
    }

    [Fact]
    public void An_abort_ends_it_with_the_flush_still_waiting()
    {
        WriteAndFlush(Bytes(300));
        WriteAndFlush(Bytes(300));
        _outlet.Abort();
        _outlet.Abort();
        Assert.Equal(2, _aborts);
        Assert.False(_outlet.Drained.IsCompleted); // Only the shard's word lets the pipe go.
        _shard.TurnAll();
        Assert.True(_outlet.Drained.IsCompletedSuccessfully);
        Assert.Equal(0, _outlet.BacklogBytes);
        Assert.Equal(300, TakeAll().Length); // What the flush had; its end changes nothing any more.
    }

    [Fact]
    public async Task What_the_handshake_left_in_the_pipe_leaves_with_the_first_flush()
    {
        var pipe = new Pipe();
        pipe.Writer.Write("101"u8);
        var outlet = new PipeOutlet(_shard, pipe.Writer, () => { });
        _shard.Post((_, _) => _shard.FlushLater(outlet), _shard);
        _shard.TurnAll();
        outlet.Complete();
        Assert.True(outlet.Drained.IsCompletedSuccessfully);
        Assert.True(pipe.Reader.TryRead(out ReadResult read));
        Assert.Equal("101"u8, read.Buffer.ToArray());
        pipe.Reader.AdvanceTo(read.Buffer.End);
        await pipe.Reader.CompleteAsync();
    }

    private sealed class FailingWriter(bool atOnce) : PipeWriter
    {
        public override bool CanGetUnflushedBytes => true;

        public override long UnflushedBytes => 0;

        public override void Advance(int bytes)
        {
        }

        public override void CancelPendingFlush()
        {
        }

        public override void Complete(Exception? exception = null)
        {
        }

        public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default) => atOnce
            ? throw new InvalidOperationException("completed")
            : ValueTask.FromException<FlushResult>(new IOException("reset"));

        public override Memory<byte> GetMemory(int sizeHint = 0) => new byte[Math.Max(16, sizeHint)];

        public override Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;
    }
}
