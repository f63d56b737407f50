using System.Text.Json;
using Chat.Protocol.Messages;

namespace Chat.Bench;

/// <summary>
/// A message command to its fields. The two readers of the runtime check less: neither the lengths and characters of
/// content and nonce, nor fields that come twice.
/// </summary>
[MemoryDiagnoser]
public class CommandBenchmarks
{
    private readonly byte[] _json =
        """{"type":"message","room_id":17,"content":"See you at the station at half past seven, platform 4.","nonce":"b3f1c2d4-77"}"""u8.ToArray();

    private readonly byte[] _scratch = new byte[1024];

    [Benchmark]
    public int Parser() =>
        CommandParser.TryParse(_json, _scratch, out Command command, out _) ? command.Content.Length + command.Nonce.Length : -1;

    [Benchmark(Baseline = true)]
    public int JsonReader()
    {
        var reader = new Utf8JsonReader(_json);
        int length = 0;
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("content"u8) || reader.ValueTextEquals("nonce"u8))
            {
                reader.Read();
                length += reader.CopyString(_scratch);
            }
            else
            {
                reader.Read();
                reader.TrySkip();
            }
        }

        return length;
    }

    [Benchmark]
    public int Document()
    {
        using JsonDocument document = JsonDocument.Parse(_json);
        JsonElement root = document.RootElement;
        return root.GetProperty("content"u8).GetString()!.Length + root.GetProperty("nonce"u8).GetString()!.Length;
    }
}
