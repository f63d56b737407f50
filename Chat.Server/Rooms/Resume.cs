using System.Buffers;
using Chat.Protocol.WebSocket;
using Chat.Server.Connections;
using Chat.Storage;
using Microsoft.Extensions.Logging;

namespace Chat.Server.Rooms;

/// <summary>Where a client was when it left: the last seq it saw and the epoch of that. -1: not given.</summary>
internal sealed record ResumePoint(long Since, long Epoch)
{
    public static ResumePoint None { get; } = new(-1, -1);
}

/// <summary>
/// Lets a session into a room: welcome, then what it missed, then live events; nothing twice, nothing between. What it
/// missed comes from the ring when the ring reaches back far enough, else from history, which <see cref="ReplayCache"/> reads once for all who
/// come back at the same time; meanwhile live events are held.
/// </summary>
internal sealed partial class Resume(ReplayCache replays, ILogger<Resume> logger)
{
    /// <summary>How many of the newest events a client gets that was away for too long to be given all; fewer when they are very long.</summary>
    private const int NewestEvents = 50;

    /// <summary>Begins. The membership is known to its session and not yet to its group. Shard thread.</summary>
    public void Begin(Membership membership, ResumePoint point) => Begin(membership, point, membership.Group.Room.HeadSeq);

    /// <param name="membership">Which has not left.</param>
    /// <param name="point">Where the client was.</param>
    /// <param name="head">The room's when it came: the client may have all until there from another shard, which is quicker.</param>
    private void Begin(Membership membership, ResumePoint point, long head)
    {
        RoomMembers group = membership.Group;
        Room room = group.Room;
        group.Activate(); // When there was no member.
        if (group.Seq < head)
        {
            var work = new ShardWork(
                static (target, argument) =>
                {
                    var (resume, point, head) = ((Resume, ResumePoint, long))argument!;
                    var membership = (Membership)target;
                    if (!membership.HasLeft)
                    {
                        resume.Begin(membership, point, head);
                    }
                },
                membership,
                (this, point, head));
            group.WhenServed(head, work);
            return;
        }

        if (point.Since < 0)
        {
            Enter(membership, group.Seq, recovered: false, rolledBackTo: null, default, default);
        }
        else if (point.Epoch >= 0 && point.Epoch != room.Epoch)
        {
            BeginRead(membership, point);
        }
        else if (point.Since >= group.Seq)
        {
            long? rolledBackTo = point.Since > group.Seq ? group.Seq : null;
            Enter(membership, group.Seq, recovered: true, rolledBackTo, default, default);
        }
        else if (TryReadRing(group, point.Since, out byte[] replay, out int length))
        {
            Enter(membership, group.Seq, recovered: true, rolledBackTo: null, replay.AsSpan(0, length), default);
            ArrayPool<byte>.Shared.Return(replay);
        }
        else
        {
            BeginRead(membership, point);
        }
    }

    /// <summary>True with what came after <paramref name="since"/>, in a buffer of the pool.</summary>
    private static bool TryReadRing(RoomMembers group, long since, out byte[] replay, out int length)
    {
        RoomRing ring = group.Room.Ring;
        SessionLimits limits = group.Shard.Limits;
        replay = [];
        length = 0;
        if (group.Seq - since > limits.ResumeEventsMax
            || since < group.Room.LastRefusedSeq
            || !ring.TryGetStartAfter(since, out long start)
            || group.Position - start > limits.ResumeBytesMax)
        {
            return false;
        }

        length = (int)(group.Position - start);
        replay = ArrayPool<byte>.Shared.Rent(length);
        if (ring.TryCopy(start, replay.AsSpan(0, length)))
        {
            return true;
        }

        ArrayPool<byte>.Shared.Return(replay);
        return false;
    }

    private static void Enter(
        Membership membership, long seq, bool recovered, long? rolledBackTo, ReadOnlySpan<byte> replay, ReadOnlySequence<byte> held)
    {
        ChatSession session = membership.Session;
        session.SendWelcome(membership.Group.Room, seq, recovered, rolledBackTo);
        session.Send(replay);
        foreach (ReadOnlyMemory<byte> frames in held)
        {
            session.Send(frames.Span);
        }

        membership.Group.Add(membership);
        membership.Welcomed();
        session.CheckBacklog();
        session.Shard.NoteLongWork();
    }

    private void BeginRead(Membership membership, ResumePoint point)
    {
        membership.Group.Join(membership);
        _ = ReadAsync(membership, point, membership.Group.Seq);
    }

    /// <summary>Off the shard: reads what lies between the client and <paramref name="head"/>, and brings it back.</summary>
    private async Task ReadAsync(Membership membership, ResumePoint point, long head)
    {
        Room room = membership.Group.Room;
        try
        {
            await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
            long since = Math.Min(point.Since, head);
            bool isKnownEpoch = point.Epoch <= room.Epoch;
            if (isKnownEpoch && point.Epoch >= 0 && point.Epoch != room.Epoch)
            {
                since = Math.Min(since, await replays.LastSeqUpToEpochAsync(room, (int)point.Epoch));
            }

            long? rolledBackTo = isKnownEpoch ? (since < point.Since ? since : null) : 0;
            SessionLimits limits = membership.Group.Shard.Limits;
            ReadOnlyMemory<byte>? replay = null;
            if (isKnownEpoch && head - since <= limits.ResumeEventsMax)
            {
                replay = await replays.ReadAsync(room, since, head, limits.ResumeEventsMax, limits.ResumeBytesMax);
            }

            bool recovered = replay is not null;
            for (int count = NewestEvents; replay is null; count /= 2)
            {
                // Half as many, if they are so long that sending them would look like a slow consumer; one at least.
                replay = await replays.ReadAsync(room, Math.Max(0, head - count), head, count, count > 1 ? limits.ResumeBytesMax : int.MaxValue);
            }

            var result = new Replay(membership, recovered, rolledBackTo, replay.Value);
            membership.Group.Shard.Post(static (_, argument) => Complete((Replay)argument!), this, result);
        }
        catch (Exception exception) // The edge of this task: whatever failed, the client is told and can come again.
        {
            ReplayFailed(logger, room.Id, exception.Message, exception is StoreUnavailableException ? null : exception);
            membership.Group.Shard.Post(static (_, argument) => Fail((Membership)argument!), this, membership);
        }
    }

    private static void Complete(Replay replay)
    {
        Membership membership = replay.Membership;
        if (membership.HasLeft)
        {
            return;
        }

        if (membership.HasOverflowed)
        {
            Fail(membership);
            return;
        }

        ReadOnlySequence<byte> held = membership.Group.EndJoin(membership);
        Enter(membership, membership.Group.Seq, replay.Recovered, replay.RolledBackTo, replay.Frames.Span, held);
    }

    private static void Fail(Membership membership)
    {
        if (membership.HasLeft)
        {
            return;
        }

        ChatSession session = membership.Session;
        session.Abandon(membership);
        if (session.DefaultRoom is not null)
        {
            session.Close(CloseCode.InternalError, "history is not available");
        }
        else
        {
            session.SendError(ErrorCode.Unavailable, "history is not available", membership.Group.Room.Id);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The replay of room {RoomId} could not be read: {Reason}")]
    private static partial void ReplayFailed(ILogger logger, long roomId, string reason, Exception? unexpected);

    private sealed record Replay(Membership Membership, bool Recovered, long? RolledBackTo, ReadOnlyMemory<byte> Frames);
}
