using Chat.Server.Rooms;
using Chat.Storage;
using Microsoft.Extensions.Logging;

namespace Chat.Server.Connections;

/// <summary>The part of a subscription that asks the database: does the room exist, and is the user a member of it.</summary>
internal sealed partial class Subscriptions(RoomDirectory rooms, IChatStore store, ILogger<Subscriptions> logger)
{
    /// <summary>The room, which the user has joined if they were not a member; null when there is no such room.</summary>
    /// <exception cref="StoreUnavailableException">The database cannot be reached now.</exception>
    public async ValueTask<Room?> JoinAsync(long roomId, long userId, CancellationToken cancellationToken)
    {
        Room? room = await rooms.FindAsync(roomId, cancellationToken);
        if (room is not null && !room.IsKnownMember(userId))
        {
            await store.AddMemberAsync(roomId, userId, cancellationToken);
            room.RememberMember(userId);
        }

        return room;
    }

    /// <summary>Answers a subscribe command: enters the room, or tells the client why not. Never throws.</summary>
    public async Task SubscribeAsync(ChatSession session, long roomId, ResumePoint point)
    {
        try
        {
            Room? room = await JoinAsync(roomId, session.Sender.UserId, CancellationToken.None);
            session.Shard.Post(
                static (target, argument) =>
                {
                    var (session, roomId, room, point) = ((ChatSession, long, Room?, ResumePoint))argument!;
                    if (room is null)
                    {
                        session.SendError(ErrorCode.NoSuchRoom, "there is no such room", roomId);
                    }
                    else
                    {
                        session.Subscribe(room, point);
                    }
                },
                session,
                (session, roomId, room, point));
        }
        catch (KeyNotFoundException)
        {
            session.Shard.Post(
                static (target, argument) =>
                    ((ChatSession)target).SendError(ErrorCode.UnknownUser, "the token's account does not exist", (long)argument!),
                session,
                roomId);
        }
        catch (Exception exception) // The edge of this task.
        {
            SubscribeFailed(logger, roomId, exception.Message, exception is StoreUnavailableException ? null : exception);
            session.Shard.Post(
                static (target, argument) =>
                    ((ChatSession)target).SendError(ErrorCode.Unavailable, "the database is not available", (long)argument!),
                session,
                roomId);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "A subscription to room {RoomId} failed: {Reason}")]
    private static partial void SubscribeFailed(ILogger logger, long roomId, string reason, Exception? unexpected);
}
