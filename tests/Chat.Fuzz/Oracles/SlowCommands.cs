using System.Globalization;
using System.Text;
using System.Text.Json;
using Chat.Protocol.Messages;

namespace Chat.Fuzz.Oracles;

/// <summary>What <see cref="CommandParser"/> has to make of a text message, by way of <see cref="Utf8JsonReader"/> and strings.</summary>
internal static class SlowCommands
{
    // The command itself, and 8 within it.
    private const int DepthMax = 9;

    private static readonly string[] Known = ["type", "room_id", "content", "nonce", "since", "epoch"];

    /// <summary>A command or the code of an error, in one line. The text must be UTF-8.</summary>
    public static string Parse(byte[] utf8Json, int contentCharactersMax)
    {
        var fields = new Dictionary<string, object>();
        bool isAnyBad = false;
        try
        {
            var reader = new Utf8JsonReader(utf8Json, new JsonReaderOptions { MaxDepth = DepthMax });
            reader.Read();
            if (reader.TokenType != JsonTokenType.StartObject)
            {
                return CommandError.BadJson;
            }

            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                string? name = Text(ref reader);
                reader.Read();
                if (name is not null && Known.Contains(name))
                {
                    object? value = Value(name, ref reader, contentCharactersMax);
                    isAnyBad |= value is null || !fields.TryAdd(name, value);
                }

                reader.Skip();
            }

            reader.Read(); // Throws when something follows.
        }
        catch (JsonException)
        {
            return CommandError.BadJson;
        }

        return isAnyBad ? CommandError.BadField : Describe(fields);
    }

    private static string Describe(Dictionary<string, object> fields)
    {
        object type = fields.GetValueOrDefault("type") ?? (fields.ContainsKey("content") ? "message" : "");
        bool isTyped = fields.ContainsKey("type");
        bool isKnown = type is "message" or "subscribe" or "unsubscribe" or "ping";
        bool lacksField = (type is "message" && !fields.ContainsKey("content")) ||
            (type is "subscribe" or "unsubscribe" && !fields.ContainsKey("room_id"));
        return !isKnown
            ? (isTyped ? CommandError.UnknownType : CommandError.MissingField)
            : lacksField
                ? CommandError.MissingField
                : Describe(
                    type.ToString()!,
                    (long)fields.GetValueOrDefault("room_id", 0L),
                    (string)fields.GetValueOrDefault("content", ""),
                    (string)fields.GetValueOrDefault("nonce", ""),
                    (long)fields.GetValueOrDefault("since", -1L),
                    (long)fields.GetValueOrDefault("epoch", -1L));
    }

    public static string Describe(string type, long roomId, string content, string nonce, long since, long epoch) =>
        string.Create(CultureInfo.InvariantCulture, $"{type.ToLowerInvariant()} {roomId} <{content}> <{nonce}> {since} {epoch}");

    private static object? Value(string name, ref Utf8JsonReader reader, int contentCharactersMax)
    {
        if (name is "type" or "content" or "nonce")
        {
            string? text = reader.TokenType == JsonTokenType.String ? Text(ref reader) : null;
            int characters = text?.EnumerateRunes().Count() ?? 0;
            bool isGood = name switch
            {
                "content" => characters >= 1 && characters <= contentCharactersMax && !text!.Contains('\0', StringComparison.Ordinal),
                "nonce" => characters is >= 1 and <= CommandParser.NonceCharactersMax && !text!.Any(char.IsControl),
                _ => true,
            };
            return isGood ? text : null;
        }

        string number = reader.TokenType == JsonTokenType.Number ? Encoding.ASCII.GetString(reader.ValueSpan) : "";
        bool isInteger = long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out long value);
        return isInteger && value >= (name == "room_id" ? 1 : 0) ? value : null;
    }

    /// <summary>Null for a lone surrogate.</summary>
    private static string? Text(ref Utf8JsonReader reader)
    {
        try
        {
            return reader.GetString();
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }
}
