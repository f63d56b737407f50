using System.Text;
using System.Text.Unicode;
using Chat.Fuzz.Oracles;
using Chat.Protocol.Messages;

namespace Chat.Fuzz.Targets;

/// <summary>
/// One text message of a client. What comes out of it is what the runtime's JSON reader finds, and text that goes into JSON comes back.
/// </summary>
internal static class CommandTarget
{
    private const int SmallContentCharacters = 10;

    public static void Run(FuzzInput input)
    {
        byte[] json = input.Data;
        int charactersMax = input.HasOption(0) ? SmallContentCharacters : CommandParser.ContentCharactersMax;
        string ours = Parse(json, charactersMax);

        // Sessions parse only what was checked; but nothing else may come out of it than an error or a command.
        if (Utf8.IsValid(json))
        {
            Check.Same(SlowCommands.Parse(json, charactersMax), ours, "the runtime's reader finds the same");
            RoundTrip(json);
        }
    }

    private static string Parse(byte[] json, int charactersMax)
    {
        byte[] scratch = new byte[json.Length];
        if (CommandParser.TryParse(json, scratch, out Command command, out CommandError error, charactersMax))
        {
            return SlowCommands.Describe(
                command.Type.ToString(),
                command.RoomId,
                Encoding.UTF8.GetString(command.Content),
                Encoding.UTF8.GetString(command.Nonce),
                command.Since,
                command.Epoch);
        }

        Check.That(error.Code is not null && error.Message.Length > 0, "an error says what it is");
        Check.That(error.Nonce.Length <= 4 * CommandParser.NonceCharactersMax && error.RoomId >= 0, "an error carries what was good");
        return error.Code!;
    }

    private static void RoundTrip(byte[] text)
    {
        byte[] escaped = new byte[JsonText.EscapedBytesMax(text.Length)];
        int length = JsonText.Escape(text, escaped);
        byte[] back = new byte[length];
        Check.That(JsonText.TryUnescape(escaped.AsSpan(0, length), back, out int written), "what we escape has no lone surrogate");
        Check.SameBytes(text, back.AsSpan(0, written), "what we escape comes back");
    }
}
