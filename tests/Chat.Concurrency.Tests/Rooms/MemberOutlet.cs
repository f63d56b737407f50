using System.Buffers;
using Chat.Server.Connections;
using Chat.Server.Tests.Rooms;

namespace Chat.Concurrency.Tests.Rooms;

/// <summary>
/// What one member is sent: a welcome, then every event from its join point on, once and in order. Anything else fails the shard's turn.
/// </summary>
/// <param name="since">The last event it saw before, or -1.</param>
/// <param name="last">The event after which <see cref="HasAll"/> completes.</param>
internal sealed class MemberOutlet(long since, long last) : Outlet
{
    private readonly ArrayBufferWriter<byte> _written = new();
    private readonly TaskCompletionSource _hasAll = new();
    private long _next;

    public Task HasAll => _hasAll.Task;

    public override int BacklogBytes => 0;

    public override int HeldBytes => 0;

    public override long BacklogSinceMs => 0;

    public override void Write(ReadOnlySpan<byte> frames) => _written.Write(frames);

    public override void Flush()
    {
        foreach (SentFrame frame in SentFrame.ReadAll(_written.WrittenSpan.ToArray()))
        {
            if (_next == 0)
            {
                Assert.Equal("welcome", frame.Type);
                _next = since >= 0 ? since + 1 : frame.Seq + 1;
            }
            else
            {
                Assert.Equal("message", frame.Type);
                Assert.Equal(_next++, frame.Seq);
            }
        }

        _written.ResetWrittenCount();
        if (_next > last)
        {
            _hasAll.TrySetResult();
        }
    }

    public override void SendDown(int heldBytesMax)
    {
    }

    public override void DropBacklog() => throw new NotSupportedException();

    public override void Complete()
    {
    }

    public override void Abort()
    {
    }
}
