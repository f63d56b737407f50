using Chat.Protocol;
using Chat.Server.Settings;
using Chat.Storage;

namespace Chat.Server.Rooms;

/// <summary>What every room needs and none owns.</summary>
internal sealed class RoomServices
{
    public RoomServices(MessageLog log, TimeProvider time, DeliveryOrder order, int epoch, int shardCount)
    {
        Invariant.Require(shardCount > 0 && epoch > 0);
        Log = log;
        Time = time;
        Order = order;
        Epoch = epoch;
        ShardCount = shardCount;
    }

    public MessageLog Log { get; }

    public TimeProvider Time { get; }

    public DeliveryOrder Order { get; }

    public int Epoch { get; }

    public int ShardCount { get; }

    /// <summary>Who else writes to the rooms, which the database numbers then; null for nobody.</summary>
    public IOtherNodes? Nodes { get; init; }

    public required int NonceWindowMs { get; init; }

    public required int NoncesPerRoomMax { get; init; }

    public required int RingBytesMin { get; init; }

    public required int RingBytesMax { get; init; }

    /// <summary>Bytes from which on an event has a <see cref="CompressedEvents"/> form, in rooms where somebody takes it.</summary>
    public int DeflateBytesMin { get; init; } = int.MaxValue;

    public long UtcNowUnixMs => Time.GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>Milliseconds of a clock that never steps.</summary>
    public long NowMs => Time.GetTimestamp() / (Time.TimestampFrequency / 1000);
}

/// <summary>Stable error codes beyond those that the command parser gives; each is documented in docs/protocol.md.</summary>
internal static class ErrorCode
{
    public const string Overloaded = "overloaded";
    public const string RateLimited = "rate_limited";
    public const string NoSuchRoom = "no_such_room";
    public const string NotSubscribed = "not_subscribed";
    public const string TooManySubscriptions = "too_many_subscriptions";
    public const string Unavailable = "unavailable";
    public const string NotStored = "not_stored";
    public const string UnknownUser = "unknown_user";
    public const string MissingField = "missing_field";
}
