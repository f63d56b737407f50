using System.Buffers;
using System.IO.Compression;
using System.Text;
using Chat.Protocol.WebSocket;
using CsCheck;
using static Chat.Protocol.Tests.WebSocket.ReceivedStream;

namespace Chat.Protocol.Tests.WebSocket;

public class InflaterTests
{
    [Theory]
    [InlineData("f2 48 cd c9 c9 07 00", "Hello")] // 7.2.3.1
    [InlineData("00 05 00 fa ff 48 65 6c 6c 6f 00", "Hello")] // 7.2.3.3
    [InlineData("f3 48 cd c9 c9 07 00 00", "Hello")] // 7.2.3.4: BFINAL
    [InlineData("f3 48 cd c9 c9 07 00", "Hello")] // The same, without the padding byte.
    [InlineData("f2 48 05 00 00 00 ff ff ca c9 c9 07 00", "Hello")] // 7.2.3.5: two blocks
    [InlineData("00", "")] // 7.2.3.6
    [InlineData("", "")]
    [InlineData("f2 48 cd c9 c9 07 00 00 00 ff ff", "Hello")] // The tail was left on.
    public void Rfc7692_section_7_2_3_examples(string hex, string text) =>
        Assert.Equal(text, Encoding.UTF8.GetString(Inflate(Inflater.OfThread, Hex(hex))));

    [Fact]
    public void Rfc7692_section_7_2_3_2_second_message_refers_to_the_first()
    {
        var history = new InflateHistory();
        Assert.Equal("Hello"u8, Inflate(Inflater.OfThread, Hex("f2 48 cd c9 c9 07 00"), history: history));
        Assert.Equal("Hello"u8, Inflate(Inflater.OfThread, Hex("f2 00 11 00 00"), history: history));
        Assert.Equal(InflateStatus.Malformed, Status(Hex("f2 00 11 00 00"), 1000, new InflateHistory()));
        Assert.Equal(InflateStatus.Malformed, Status(Hex("f2 00 11 00 00"), 1000, null));
    }

    [Fact]
    public void Message_after_a_last_block_may_still_refer_to_what_came_before_it()
    {
        var history = new InflateHistory();
        Assert.Equal("Hello"u8, Inflate(Inflater.OfThread, Hex("f3 48 cd c9 c9 07 00 00"), history: history));
        Assert.Equal("Hello"u8, Inflate(Inflater.OfThread, Hex("f2 00 11 00 00"), history: history));
    }

    [Fact]
    public void Blocks_after_a_last_one_are_read_up_to_a_limit()
    {
        byte[] last = Hex("f3 48 cd c9 c9 07 00");
        Assert.Equal("HelloHello"u8, Inflate(Inflater.OfThread, [.. last, .. Hex("f2 48 cd c9 c9 07 00")]));
        Assert.Equal("HelloHello"u8, Inflate(Inflater.OfThread, [.. last, .. Hex("f2 00 11 00 00")])); // Refers back over it.
        Assert.Equal(InflateStatus.Malformed, Status([.. Enumerable.Repeat(Hex("03 00"), 10_000).SelectMany(static b => b)], 1 << 20, null));
    }

    [Theory]
    [InlineData("06")] // Block type 3.
    [InlineData("00 05 00 fa fe 48 65 6c 6c 6f 00")] // Stored length and its complement disagree.
    [InlineData("ff ff ff ff ff ff")]
    public void What_is_not_deflate_is_malformed(string hex) => Assert.Equal(InflateStatus.Malformed, Status(Hex(hex), 1000, null));

    [Theory]
    [InlineData("f2 48 cd c9 c9 07")] // The example of 7.2.3.1 without its last byte.
    [InlineData("f2 48 cd")]
    [InlineData("f3 48 cd")]
    [InlineData("00 06 00 f9 ff 48")] // A stored block of 6 bytes, of which the tail would give 4.
    [InlineData("00 05 00")]
    [InlineData("04")] // The codes of a block are missing.
    public void Message_that_ends_inside_a_block_is_malformed(string hex) =>
        Assert.Equal(InflateStatus.Malformed, Status(Hex(hex), 1000, null));

    [Theory]
    [InlineData(1)]
    [InlineData(125)]
    [InlineData(126)]
    [InlineData(65_536)]
    [InlineData(1_000_000)]
    public void Message_may_have_the_limit_and_not_one_byte_more(int bytes)
    {
        byte[] compressed = Deflate(new byte[bytes]);
        Assert.Equal(bytes, Inflate(Inflater.OfThread, compressed, bytesMax: bytes).Length);
        Assert.Equal(InflateStatus.TooBig, Status(compressed, bytes - 1, null));
    }

    [Fact]
    public void A_bomb_is_given_no_more_memory_than_the_limit()
    {
        byte[] bomb = Deflate(new byte[64 * 1024 * 1024]);
        Status(bomb, 64 * 1024, null);
        long before = GC.GetAllocatedBytesForCurrentThread();
        InflateStatus status = Status(bomb, 64 * 1024, null);
        Assert.Equal(InflateStatus.TooBig, status);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 130 * 1024);
    }

    [Fact]
    public void Random_bytes_are_never_our_bug() =>
        Gen.Byte.Array[0, 200].Sample(static bytes => _ = Status(bytes, 100_000, new InflateHistory()), iter: 20_000);

    [Fact]
    public void Streams_of_the_runtime_are_inflated_with_every_level()
    {
        byte[] message = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 5000).Select(static i => $"line {i * 7919 % 1000};")));
        foreach (CompressionLevel level in Enum.GetValues<CompressionLevel>())
        {
            Assert.Equal(message, Inflate(Inflater.OfThread, Deflate(message, level)));
        }
    }

    [Fact]
    public void History_is_the_last_32_KiB()
    {
        var history = new InflateHistory();
        byte[] all = [];
        var random = new Random(7);
        for (int i = 0; i < 100; i++)
        {
            byte[] message = new byte[random.Next(0, i % 10 == 0 ? 50_000 : 3000)];
            random.NextBytes(message);
            history.Add(message);
            all = [.. all, .. message];
            Assert.Equal(all.AsSpan(all.Length - Math.Min(all.Length, InflateHistory.BytesMax)), history.Window);
        }
    }

    internal static byte[] Inflate(Inflater inflater, ReadOnlySpan<byte> compressed, int bytesMax = 1 << 24, InflateHistory? history = null)
    {
        byte[] scratch = new byte[125];
        Assert.Equal(InflateStatus.Done, inflater.Inflate(compressed, scratch, bytesMax, history, out byte[]? rented, out int length));
        byte[] message = (rented ?? scratch)[..length];
        if (rented is not null)
        {
            ArrayPool<byte>.Shared.Return(rented);
        }

        return message;
    }

    private static InflateStatus Status(byte[] compressed, int bytesMax, InflateHistory? history)
    {
        InflateStatus status = Inflater.OfThread.Inflate(compressed, new byte[125], bytesMax, history, out byte[]? rented, out _);
        if (rented is not null)
        {
            ArrayPool<byte>.Shared.Return(rented);
        }

        return status;
    }

    private static byte[] Deflate(byte[] message, CompressionLevel level = CompressionLevel.Optimal)
    {
        var output = new MemoryStream();
        using (var deflate = new DeflateStream(output, level, leaveOpen: true))
        {
            deflate.Write(message);
        }

        return output.ToArray();
    }
}
