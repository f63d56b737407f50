using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using Chat.Server.Connections;

namespace Chat.Server.Tests.Rooms;

/// <summary>An outlet into memory, with a backlog as the test wants it.</summary>
internal sealed class TestOutlet : Outlet
{
    private readonly ArrayBufferWriter<byte> _written = new();

    /// <summary>Only counts: for tests of speed and memory.</summary>
    public bool IsDiscarding { get; init; }

    public long BytesWritten { get; private set; }

    public int Flushes { get; private set; }

    public bool IsComplete { get; private set; }

    public int Aborts { get; private set; }

    public int Drops { get; private set; }

    public int Backlog { get; set; }

    /// <summary>Written and not tried yet.</summary>
    public int Untried { get; set; }

    public override int BacklogBytes => Backlog;

    public override int HeldBytes => Backlog + Untried;

    public override long BacklogSinceMs => SinceMs;

    public long SinceMs { get; set; }

    /// <summary>Called for each range, before it is taken.</summary>
    public Action? OnWrite { get; set; }

    /// <summary>Called for each flush: everything written before it is there.</summary>
    public Action? OnFlush { get; set; }

    public override void Write(ReadOnlySpan<byte> frames)
    {
        if (IsComplete || frames.IsEmpty)
        {
            return;
        }

        OnWrite?.Invoke();
        Assert.True(SentFrame.AreWhole(frames), "not whole frames"); // What waits is dropped by whole frames.

        BytesWritten += frames.Length;
        if (!IsDiscarding)
        {
            lock (_written)
            {
                _written.Write(frames);
            }
        }
    }

    public override void Flush()
    {
        Flushes++;
        OnFlush?.Invoke();
    }

    /// <summary>The peer takes nothing.</summary>
    public override void SendDown(int heldBytesMax)
    {
        Backlog += Untried;
        Untried = 0;
    }

    public override void DropBacklog()
    {
        Backlog = 0;
        Drops++;
    }

    public override void Complete() => IsComplete = true;

    public override void Abort() => Aborts++;

    /// <summary>Everything written so far. Any thread.</summary>
    public List<SentFrame> Frames()
    {
        lock (_written)
        {
            return SentFrame.ReadAll(_written.WrittenSpan.ToArray());
        }
    }

    public List<SentFrame> Messages() => Frames().FindAll(frame => frame.Type == "message");

    public long[] Seqs() => [.. Messages().Select(frame => frame.Seq)];
}

/// <summary>A frame from a server, read the slow way (RFC 6455 section 5.2).</summary>
internal sealed record SentFrame(int Opcode, byte[] Payload)
{
    private JsonElement Json { get; } = Opcode == 1 ? JsonDocument.Parse(Payload).RootElement : default;

    public string Type => Opcode == 1 ? Json.GetProperty("type").GetString()! : "";

    public long Seq => Json.GetProperty("seq").GetInt64();

    public string Content => Json.GetProperty("content").GetString()!;

    public ushort CloseCode => BinaryPrimitives.ReadUInt16BigEndian(Payload);

    public string CloseReason => Encoding.UTF8.GetString(Payload.AsSpan(2));

    public JsonElement this[string name] => Json.GetProperty(name);

    public bool Has(string name) => Json.TryGetProperty(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null;

    /// <summary>The bytes begin with a frame and end with one.</summary>
    public static bool AreWhole(ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length >= 2)
        {
            long length = bytes[1] switch
            {
                126 when bytes.Length >= 4 => 4 + BinaryPrimitives.ReadUInt16BigEndian(bytes[2..]),
                127 when bytes.Length >= 10 => 10 + BinaryPrimitives.ReadInt64BigEndian(bytes[2..]),
                < 126 => 2 + bytes[1],
                _ => long.MaxValue,
            };
            if (length > bytes.Length)
            {
                return false;
            }

            bytes = bytes[(int)length..];
        }

        return bytes.IsEmpty;
    }

    /// <summary>Fails when the bytes do not end with a whole frame.</summary>
    public static List<SentFrame> ReadAll(byte[] bytes)
    {
        var frames = new List<SentFrame>();
        for (int at = 0; at < bytes.Length;)
        {
            Assert.Equal(0x80, bytes[at] & 0xF0);
            int opcode = bytes[at] & 0x0F;
            long length = bytes[at + 1];
            at += 2;
            if (length == 126)
            {
                length = BinaryPrimitives.ReadUInt16BigEndian(bytes.AsSpan(at));
                at += 2;
            }
            else if (length == 127)
            {
                length = BinaryPrimitives.ReadInt64BigEndian(bytes.AsSpan(at));
                at += 8;
            }

            Assert.True(at + length <= bytes.Length, "the last frame is cut");
            frames.Add(new SentFrame(opcode, bytes[at..(at + (int)length)]));
            at += (int)length;
        }

        return frames;
    }
}
