using System.Text.Json;
using System.Text.Json.Serialization;

namespace Chat.Server.Rest;

// The shapes of REST requests and responses, one record each, in the words of docs/protocol.md. A request's fields are
// nullable: what is missing is told by name, not by an exception.

internal sealed record RegisterRequest(string? Email, string? Password, string? Username);

internal sealed record LoginRequest(string? Email, string? Password);

internal sealed record CreateRoomRequest(string? Name);

internal sealed record SendMessageRequest(string? Content, string? Nonce);

internal sealed record UserJson(long Id, string Email, string Username, string CreatedAt);

internal sealed record SessionJson(string Token, string ExpiresAt, UserJson User);

internal sealed record RoomJson(long Id, string Name, string CreatedAt, long LastSeq, int Online);

internal sealed record MessageJson(
    string Type,
    long RoomId,
    long Seq,
    long Id,
    long SenderId,
    string Username,
    string Content,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Nonce,
    string CreatedAt,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] bool Deleted,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] bool Duplicate);

internal sealed record HistoryJson(IReadOnlyList<MessageJson> Messages, bool HasMore, int Epoch);

internal sealed record MemberJson(long UserId, string Username, string JoinedAt);

internal sealed record HealthJson(string Status, bool? Database, bool? MessageLog, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] bool? Broker);

internal sealed record ProblemJson(
    string Type,
    string Title,
    int Status,
    string Detail,
    string Code,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Field,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Reason);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    AllowDuplicateProperties = false,
    RespectNullableAnnotations = false)]
[JsonSerializable(typeof(RegisterRequest))]
[JsonSerializable(typeof(LoginRequest))]
[JsonSerializable(typeof(CreateRoomRequest))]
[JsonSerializable(typeof(SendMessageRequest))]
[JsonSerializable(typeof(UserJson))]
[JsonSerializable(typeof(SessionJson))]
[JsonSerializable(typeof(RoomJson))]
[JsonSerializable(typeof(MessageJson))]
[JsonSerializable(typeof(HistoryJson))]
[JsonSerializable(typeof(List<MemberJson>))]
[JsonSerializable(typeof(HealthJson))]
[JsonSerializable(typeof(ProblemJson))]
internal sealed partial class RestJson : JsonSerializerContext
{
    /// <summary>The wire contract's timestamps: UTC, milliseconds.</summary>
    public static string Timestamp(DateTimeOffset time) =>
        time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>Reads a request; false for anything that is not one JSON object of its shape.</summary>
    public static bool TryRead<T>(ReadOnlyMemory<byte> content, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type, out T value)
        where T : class
    {
        try
        {
            value = JsonSerializer.Deserialize(content.Span, type)!;
            return value is not null;
        }
        catch (JsonException)
        {
            value = null!;
            return false;
        }
    }
}
