using System.Text.Json;

namespace Chat.LoadTests.Verify;

/// <summary>
/// An event of the server, read with .NET's JSON reader and not with the server's own code, which is under test. Fields that the event
/// does not have are 0, empty or null.
/// </summary>
internal struct ServerEvent
{
    public string Type;
    public long Room;
    public long Seq;
    public long Id;
    public long Epoch;
    public bool Recovered;
    public bool Duplicate;
    public long? RolledBackTo;
    public string Nonce;
    public string Content;
    public string Code;
    public int RetryAfterMs;

    /// <exception cref="JsonException">Not one JSON object.</exception>
    public static ServerEvent Parse(ReadOnlySpan<byte> json)
    {
        var reader = new Utf8JsonReader(json);
        var read = new ServerEvent { Type = "", Nonce = "", Content = "", Code = "" };
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            ReadField(ref reader, ref read);
        }

        return read;
    }

    private static void ReadField(ref Utf8JsonReader reader, ref ServerEvent read)
    {
        ReadOnlySpan<byte> name = reader.ValueSpan;
        reader.Read();
        switch (name)
        {
            case var _ when name.SequenceEqual("type"u8):
                read.Type = ReadType(ref reader);
                break;
            case var _ when name.SequenceEqual("room_id"u8):
                read.Room = reader.GetInt64();
                break;
            case var _ when name.SequenceEqual("seq"u8):
                read.Seq = reader.GetInt64();
                break;
            case var _ when name.SequenceEqual("id"u8):
                read.Id = reader.GetInt64();
                break;
            case var _ when name.SequenceEqual("epoch"u8):
                read.Epoch = reader.GetInt64();
                break;
            case var _ when name.SequenceEqual("recovered"u8):
                read.Recovered = reader.GetBoolean();
                break;
            case var _ when name.SequenceEqual("duplicate"u8):
                read.Duplicate = reader.GetBoolean();
                break;
            case var _ when name.SequenceEqual("rolled_back_to"u8):
                read.RolledBackTo = reader.TokenType == JsonTokenType.Null ? null : reader.GetInt64();
                break;
            case var _ when name.SequenceEqual("nonce"u8):
                read.Nonce = reader.GetString()!;
                break;
            case var _ when name.SequenceEqual("content"u8):
                read.Content = reader.GetString()!;
                break;
            case var _ when name.SequenceEqual("code"u8):
                read.Code = reader.GetString()!;
                break;
            case var _ when name.SequenceEqual("retry_after_ms"u8):
                read.RetryAfterMs = reader.GetInt32();
                break;
            default:
                reader.Skip(); // Clients ignore what they do not know.
                break;
        }
    }

    /// <summary>The usual types without a new string each.</summary>
    private static string ReadType(ref Utf8JsonReader reader) =>
        reader.ValueTextEquals("message"u8) ? "message" : reader.ValueTextEquals("ack"u8) ? "ack" : reader.GetString()!;
}
