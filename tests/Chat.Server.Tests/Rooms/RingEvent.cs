using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace Chat.Server.Tests.Rooms;

/// <summary>Events for a ring whose every byte follows from who published them, so that a reader can check each of them.</summary>
internal static class RingEvent
{
    public static readonly byte[] Prefix = Encoding.ASCII.GetBytes("{\"an event that is long enough\":\"yes\",\"seq\":");

    /// <summary>The part behind the number: producer, count, and a filling of the given length.</summary>
    public static byte[] Suffix(int producer, int count, int fillLength)
    {
        byte[] suffix = new byte[20 + fillLength];
        BinaryPrimitives.WriteInt32LittleEndian(suffix.AsSpan(4), producer);
        BinaryPrimitives.WriteInt32LittleEndian(suffix.AsSpan(8), count);
        BinaryPrimitives.WriteInt32LittleEndian(suffix.AsSpan(12), fillLength);
        for (int i = 20; i < suffix.Length; i++)
        {
            suffix[i] = (byte)((producer * 31) + (count * 7) + i);
        }

        return suffix;
    }

    /// <summary>The frame that must come out: written here byte by byte (RFC 6455 section 5.2), not with the writer under test.</summary>
    public static byte[] Frame(long seq, ReadOnlySpan<byte> suffix)
    {
        byte[] digits = Encoding.ASCII.GetBytes(seq.ToString(CultureInfo.InvariantCulture));
        int length = Prefix.Length + digits.Length + suffix.Length;
        byte[] header = length switch
        {
            <= 125 => [0x81, (byte)length],
            <= 0xFFFF => [0x81, 126, (byte)(length >> 8), (byte)length],
            _ => [0x81, 127, 0, 0, 0, 0, (byte)(length >> 24), (byte)(length >> 16), (byte)(length >> 8), (byte)length],
        };
        return [.. header, .. Prefix, .. digits, .. suffix];
    }

    /// <summary>Takes the frame of <paramref name="seq"/> from the front, and says who published it. Fails on any wrong byte.</summary>
    public static int Take(ReadOnlySpan<byte> bytes, long seq, out int producer, out int count)
    {
        int header = bytes[1] switch { <= 125 => 2, 126 => 4, _ => 10 };
        int digits = seq.ToString(CultureInfo.InvariantCulture).Length;
        ReadOnlySpan<byte> suffix = bytes[(header + Prefix.Length + digits)..];
        producer = BinaryPrimitives.ReadInt32LittleEndian(suffix[4..]);
        count = BinaryPrimitives.ReadInt32LittleEndian(suffix[8..]);
        int fillLength = BinaryPrimitives.ReadInt32LittleEndian(suffix[12..]);
        byte[] expected = (uint)fillLength <= (uint)bytes.Length ? Frame(seq, Suffix(producer, count, fillLength)) : [];
        if (expected.Length == 0 || !bytes.StartsWith(expected))
        {
            Assert.Fail($"event {seq} of producer {producer} is not what was published");
        }

        return expected.Length;
    }
}
