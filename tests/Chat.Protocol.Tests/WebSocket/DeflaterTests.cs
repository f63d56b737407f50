using System.Text;
using Chat.Protocol.WebSocket;
using CsCheck;

namespace Chat.Protocol.Tests.WebSocket;

public class DeflaterTests
{
    public static TheoryData<int> WindowBits() => [.. Enumerable.Range(Deflater.WindowBitsMin, Deflater.WindowBitsMax - Deflater.WindowBitsMin + 1)];

    [Theory]
    [MemberData(nameof(WindowBits))]
    public void Nothing_refers_back_farther_than_the_window(int windowBits)
    {
        // Repeats at every distance: a deflater that had a larger window would find them.
        byte[] piece = Noise(200, 1);
        byte[] message = [.. Enumerable.Range(0, 60).SelectMany(i => (byte[])[.. piece, .. Noise(i * 37, i)])];
        using var deflater = new Deflater(windowBits);

        (byte[] inflated, int distanceMax) = SlowInflate.Inflate(Compress(deflater, message, keepContext: false));

        Assert.Equal(message, inflated);
        Assert.InRange(distanceMax, 1, 1 << windowBits);
    }

    [Theory]
    [MemberData(nameof(WindowBits))]
    public void Without_context_takeover_every_message_stands_for_itself(int windowBits)
    {
        using var deflater = new Deflater(windowBits);
        byte[] message = Encoding.UTF8.GetBytes("a message that says the same as the one before it");
        byte[] first = Compress(deflater, message, keepContext: false);
        for (int i = 0; i < 50; i++)
        {
            byte[] again = Compress(deflater, message, keepContext: false);

            Assert.Equal(first, again);
            Assert.Equal(message, SlowInflate.Inflate(again).Message);
        }
    }

    [Fact]
    public void With_context_takeover_a_message_refers_to_the_one_before()
    {
        using var deflater = new Deflater(15);
        byte[] message = Noise(500, 3);
        Compress(deflater, message, keepContext: true);

        byte[] again = Compress(deflater, message, keepContext: true);

        Assert.InRange(again.Length, 1, 30);
        Assert.Equal(message, SlowInflate.Inflate(again, history: message).Message);
    }

    [Fact]
    public void Empty_message_is_one_byte()
    {
        using var deflater = new Deflater(15);
        Assert.Equal([0], Compress(deflater, [], keepContext: true)); // RFC 7692 section 7.2.3.6
        Assert.Equal("after", Encoding.UTF8.GetString(SlowInflate.Inflate(Compress(deflater, "after"u8, keepContext: true)).Message));
    }

    [Fact]
    public void Random_messages_come_back_from_the_slow_inflater_and_from_ours()
    {
        Gen.Select(Gen.Int[9, 15], Gen.Bool, Gen.Byte.Array[0, 3000].Select(Gen.Int[1, 255], static (bytes, values) => Array.ConvertAll(bytes, b => (byte)(b % values))).Array[1, 5])
            .Sample(
                (bits, keepContext, messages) =>
                {
                    using var deflater = new Deflater(bits);
                    InflateHistory? history = keepContext ? new InflateHistory() : null;
                    byte[] before = [];
                    foreach (byte[] message in messages)
                    {
                        byte[] compressed = Compress(deflater, message, keepContext);
                        (byte[] slow, int distanceMax) = SlowInflate.Inflate(compressed, before);
                        Assert.Equal(message, slow);
                        Assert.InRange(distanceMax, 0, 1 << bits);
                        Assert.Equal(message, InflaterTests.Inflate(Inflater.OfThread, compressed, history: history));
                        before = keepContext ? [.. before, .. message] : [];
                    }
                },
                iter: 200);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(100)]
    [InlineData(70_000)]
    [InlineData(1 << 24)]
    public void Bound_holds_for_what_cannot_be_compressed(int bytes)
    {
        foreach (int windowBits in (int[])[9, 12, 15])
        {
            using var deflater = new Deflater(windowBits);
            byte[] message = Noise(bytes, bytes);
            var destination = new byte[Deflater.BytesMax(bytes)];
            int length = deflater.Compress(message, destination, keepContext: false);
            Assert.Equal(message, InflaterTests.Inflate(Inflater.OfThread, destination.AsSpan(0, length)));
        }
    }

    [Fact]
    public void Compressing_allocates_nothing()
    {
        using var deflater = new Deflater(12);
        byte[] message = Noise(1000, 5);
        var destination = new byte[Deflater.BytesMax(message.Length)];
        deflater.Compress(message, destination, keepContext: false);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
        {
            deflater.Compress(message, destination, keepContext: false);
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    internal static byte[] Compress(Deflater deflater, ReadOnlySpan<byte> message, bool keepContext)
    {
        var destination = new byte[Deflater.BytesMax(message.Length)];
        return destination[..deflater.Compress(message, destination, keepContext)];
    }

    private static byte[] Noise(int bytes, int seed)
    {
        byte[] noise = new byte[bytes];
        new Random(seed).NextBytes(noise);
        return noise;
    }
}
