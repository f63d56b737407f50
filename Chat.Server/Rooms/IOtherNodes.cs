using Chat.Storage;

namespace Chat.Server.Rooms;

/// <summary>The nodes that write to the same rooms, as rooms see them. Any thread.</summary>
internal interface IOtherNodes
{
    /// <summary>Listens to a room that is about to be loaded.</summary>
    Task SubscribeAsync(long roomId);

    /// <summary>The room is loaded. What was told since its seq was read has been missed.</summary>
    void Add(Room room);

    /// <summary>The room is loaded no more.</summary>
    void Remove(Room room);

    /// <summary>Tells the others, and returns at once.</summary>
    /// <param name="batch">Durable; each room's in its order.</param>
    void Publish(ReadOnlySpan<MessageRecord> batch);

    /// <summary>The room lacks something that is durable, and <see cref="Room.Arrive"/> is to be given it.</summary>
    void ReadMissing(Room room);

    /// <summary>When this completes, the room has its events up to <paramref name="seenSeq"/>, or as many as are durable.</summary>
    /// <exception cref="StoreUnavailableException">The database cannot be reached now.</exception>
    Task CatchUpAsync(Room room, long seenSeq, CancellationToken cancellationToken);
}
