using Chat.Server.Rooms;
using Chat.Storage;
using Microsoft.Extensions.Logging;

namespace Chat.Server.Connections;

/// <summary>The part of a subscription that asks the database: does the room exist, and is the user a member of it.</summary>
internal sealed partial class Subscriptions(RoomDirectory rooms, IChatStore store, ILogger<Subscriptions> logger)
{
    /// <summary>The room, which the user has joined if they were not a member; null when there is no such room.</summary>
    /// <param name="roomId">Which room.</param>
    /// <param name="userId">Who.</param>
    /// <param name="cancellationToken">Ends the wait for the database.</param>
    /// <param name="seenSeq">What the user has seen of it, perhaps on another node, of which this one may not have heard yet.</param>
    /// <exception cref="StoreUnavailableException">The database cannot be reached now.</exception>
    public async ValueTask<Room?> JoinAsync(long roomId, long userId, CancellationToken cancellationToken, long seenSeq = 0)
    {
        Room? room = await rooms.FindAsync(roomId, cancellationToken);
        if (room is not null && !room.IsKnownMember(userId))
        {
            int departures = room.Departures;
            await store.AddMemberAsync(roomId, userId, cancellationToken);
            room.RememberMember(userId, departures);
        }

        if (room is not null)
        {
            await room.CatchUpAsync(seenSeq, cancellationToken);
        }

        return room;
    }

    /// <summary>The user is no member from now on.</summary>
    /// <exception cref="StoreUnavailableException">The database cannot be reached now.</exception>
    public async ValueTask LeaveAsync(Room room, long userId, CancellationToken cancellationToken)
    {
        try
        {
            await store.RemoveMemberAsync(room.Id, userId, cancellationToken);
        }
        finally
        {
            room.ForgetMember(userId); // It may have been stored although the answer did not come.
        }
    }

    /// <summary>
    /// Answers a subscribe command: enters the room, or tells the client why not. Completes when that has been posted to the session's shard. Never
    /// throws.
    /// </summary>
    /// <param name="session">Who enters.</param>
    /// <param name="roomId">Where.</param>
    /// <param name="point">From where on.</param>
    /// <param name="earlier">Completes, without an exception, when what the client asked for before has been posted: the answers keep that order.</param>
    public async Task SubscribeAsync(ChatSession session, long roomId, ResumePoint point, Task earlier)
    {
        Answer answer = await TryJoinAsync(session, roomId, point);
        await earlier;
        session.Shard.Post(
            static (target, argument) =>
            {
                var answer = (Answer)argument!;
                if (answer.Room is null)
                {
                    ((ChatSession)target).SendError(answer.Code, answer.Message, answer.RoomId);
                }
                else
                {
                    ((ChatSession)target).Subscribe(answer.Room, answer.Point);
                }
            },
            session,
            answer);
    }

    private async Task<Answer> TryJoinAsync(ChatSession session, long roomId, ResumePoint point)
    {
        try
        {
            Room? room = await JoinAsync(roomId, session.Sender.UserId, CancellationToken.None, point.Since);
            return new Answer(roomId, room, point, ErrorCode.NoSuchRoom, "there is no such room");
        }
        catch (KeyNotFoundException)
        {
            return new Answer(roomId, null, point, ErrorCode.UnknownUser, "the token's account does not exist");
        }
        catch (Exception exception) // The edge of this task.
        {
            SubscribeFailed(logger, roomId, exception.Message, exception is StoreUnavailableException ? null : exception);
            return new Answer(roomId, null, point, ErrorCode.Unavailable, "the database is not available");
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "A subscription to room {RoomId} failed: {Reason}")]
    private static partial void SubscribeFailed(ILogger logger, long roomId, string reason, Exception? unexpected);

    /// <summary>The room, or an error to send.</summary>
    private sealed record Answer(long RoomId, Room? Room, ResumePoint Point, string Code, string Message);
}
