using System.Buffers.Text;
using System.Text;
using System.Text.Json;

namespace Chat.LoadTests.Clients;

/// <summary>What an event is, for a client that is in a hurry.</summary>
internal enum EventKind
{
    /// <summary>Of no interest, or of a later version.</summary>
    Other,
    Welcome,
    Message,
    Ack,
    Error,
    Pong,
}

/// <summary>
/// Reads what a load test wants of an event. The type is first in every event (docs/protocol.md); room and seq of a
/// message are taken from where this server puts them, behind it, and looked for as in any JSON when they are not there.
/// </summary>
internal static class EventScan
{
    private const int TypeStart = 9; // {"type":"

    private static ReadOnlySpan<byte> MessageToRoom => "{\"type\":\"message\",\"room_id\":"u8;

    private static ReadOnlySpan<byte> RoomToSeq => ",\"seq\":"u8;

    public static EventKind KindOf(ReadOnlySpan<byte> payload)
    {
        if (!payload.StartsWith("{\"type\":\""u8))
        {
            return EventKind.Other;
        }

        ReadOnlySpan<byte> type = payload[TypeStart..];
        return type switch
        {
            _ when type.StartsWith("message\""u8) => EventKind.Message,
            _ when type.StartsWith("ack\""u8) => EventKind.Ack,
            _ when type.StartsWith("welcome\""u8) => EventKind.Welcome,
            _ when type.StartsWith("error\""u8) => EventKind.Error,
            _ when type.StartsWith("pong\""u8) => EventKind.Pong,
            _ => EventKind.Other,
        };
    }

    /// <summary>What stands before the seq in every message event of a room.</summary>
    public static byte[] MessageUpToSeq(long roomId) => Encoding.ASCII.GetBytes($"{Encoding.ASCII.GetString(MessageToRoom)}{roomId}{Encoding.ASCII.GetString(RoomToSeq)}");

    /// <summary>Room and seq of a message event.</summary>
    /// <returns>False when it has none: then it is no message of the protocol.</returns>
    public static bool TryReadPlace(ReadOnlySpan<byte> payload, out long roomId, out long seq)
    {
        if (payload.StartsWith(MessageToRoom)
            && Utf8Parser.TryParse(payload[MessageToRoom.Length..], out roomId, out int roomDigits)
            && payload[(MessageToRoom.Length + roomDigits)..].StartsWith(RoomToSeq)
            && Utf8Parser.TryParse(payload[(MessageToRoom.Length + roomDigits + RoomToSeq.Length)..], out seq, out _))
        {
            return true;
        }

        var fields = EventFields.Read(payload);
        roomId = fields.RoomId;
        seq = fields.Seq;
        return roomId != 0 && seq != 0;
    }
}

/// <summary>The fields of a rare event, read as any JSON. What is not there is 0, false or empty.</summary>
internal readonly record struct EventFields(long RoomId, long Seq, long Epoch, bool Recovered, long? RolledBackTo, string Code)
{
    public static EventFields Read(ReadOnlySpan<byte> payload)
    {
        EventFields fields = new(0, 0, 0, false, null, "");
        var reader = new Utf8JsonReader(payload);
        try
        {
            while (reader.Read())
            {
                if (reader.CurrentDepth == 1 && reader.TokenType == JsonTokenType.PropertyName)
                {
                    fields = fields.With(ref reader);
                }
            }
        }
        catch (JsonException)
        {
            // Not the protocol's: the caller counts it as foreign by what is missing.
        }

        return fields;
    }

    private EventFields With(ref Utf8JsonReader reader)
    {
        if (reader.ValueTextEquals("room_id"u8))
        {
            return this with { RoomId = Integer(ref reader) };
        }

        if (reader.ValueTextEquals("seq"u8))
        {
            return this with { Seq = Integer(ref reader) };
        }

        if (reader.ValueTextEquals("epoch"u8))
        {
            return this with { Epoch = Integer(ref reader) };
        }

        if (reader.ValueTextEquals("recovered"u8))
        {
            return this with { Recovered = reader.Read() && reader.TokenType == JsonTokenType.True };
        }

        if (reader.ValueTextEquals("rolled_back_to"u8))
        {
            return this with { RolledBackTo = reader.Read() && reader.TokenType == JsonTokenType.Number ? reader.GetInt64() : null };
        }

        if (reader.ValueTextEquals("code"u8))
        {
            return this with { Code = reader.Read() && reader.TokenType == JsonTokenType.String ? reader.GetString()! : "" };
        }

        return this;
    }

    private static long Integer(ref Utf8JsonReader reader) =>
        reader.Read() && reader.TokenType == JsonTokenType.Number && reader.TryGetInt64(out long value) ? value : 0;
}
