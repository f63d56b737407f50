using System.Text;
using System.Text.Unicode;
using Chat.Protocol.WebSocket;

namespace Chat.Bench;

/// <summary>The check of a text message of 128 bytes for UTF-8, in one piece as nearly all come, against the runtime's check.</summary>
[MemoryDiagnoser]
public class Utf8Benchmarks
{
    private const int Bytes = 128;

    private ArraySegment<byte> _text = [];

    [Params("ascii", "mixed")]
    public string Text { get; set; } = "";

    [GlobalSetup]
    public void SetUp()
    {
        // Of the mixed text every eighth byte or so starts a character of two to four bytes; it ends with a whole one.
        string piece = Text == "ascii" ? "A plain sentence " : "Grüße, 你好, so 😀 ";
        byte[] bytes = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat(piece, Bytes)));
        int length = Bytes;
        while ((bytes[length] & 0xC0) == 0x80)
        {
            length--;
        }

        _text = AlignedMemory.Allocate(length);
        bytes.AsSpan(0, length).CopyTo(_text);
    }

    [Benchmark(Baseline = true)]
    public bool Runtime() => Utf8.IsValid(_text);

    [Benchmark]
    public bool Validator()
    {
        var validator = default(Utf8Validator);
        return validator.Push(_text) && validator.IsComplete;
    }
}
