using System.Buffers;
using System.Text.Json;
using System.Text.Json.Serialization;
using Chat.Protocol.Messages;

namespace Chat.Bench;

/// <summary>A message event to JSON, against the runtime's serializer with generated code into a reused buffer.</summary>
[MemoryDiagnoser]
public partial class MessageEventBenchmarks : IDisposable
{
    private static readonly byte[] Username = "Test"u8.ToArray();
    private static readonly byte[] Content = "See you at the station at half past seven, platform 4."u8.ToArray();
    private static readonly byte[] Nonce = "b3f1c2d4-77"u8.ToArray();
    private static readonly DateTimeOffset CreatedAt = new(2026, 11, 22, 18, 6, 58, 123, TimeSpan.Zero);

    private readonly ArrayBufferWriter<byte> _buffer = new(1024);
    private readonly byte[] _destination = new byte[MessageEvent.BytesMax(Username.Length, Content.Length, Nonce.Length)];
    private readonly long _createdAtUnixMs = CreatedAt.ToUnixTimeMilliseconds();
    private readonly Fields _fields = new(
        "message", 17, 1042, 9001, 7, "Test", "See you at the station at half past seven, platform 4.", "b3f1c2d4-77", CreatedAt.UtcDateTime);

    private readonly Utf8JsonWriter _writer;

    public MessageEventBenchmarks()
    {
        _writer = new Utf8JsonWriter(_buffer);
    }

    [Benchmark(Baseline = true)]
    public int Serializer()
    {
        _buffer.ResetWrittenCount();
        _writer.Reset();
        JsonSerializer.Serialize(_writer, _fields, Json.Default.Fields);
        return _buffer.WrittenCount;
    }

    [Benchmark]
    public int Write() => MessageEvent.Write(_destination, 17, 1042, 9001, 7, Username, Content, Nonce, _createdAtUnixMs);

    [GlobalCleanup]
    public void Dispose()
    {
        _writer.Dispose();
        GC.SuppressFinalize(this);
    }

    internal sealed record Fields(
        string Type, long RoomId, long Seq, long Id, long SenderId, string Username, string Content, string Nonce, DateTime CreatedAt);

    [JsonSerializable(typeof(Fields))]
    [JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
    private sealed partial class Json : JsonSerializerContext;
}
