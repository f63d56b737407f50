using Chat.Protocol.WebSocket;
using CsCheck;

namespace Chat.Protocol.Tests.WebSocket;

public class MaskingTests
{
    /// <summary>RFC 6455 section 5.3, word for word: octet i XOR masking-key-octet-(i mod 4).</summary>
    private static void UnmaskSlowly(ReadOnlySpan<byte> source, Span<byte> destination, byte[] maskingKey, int phase)
    {
        for (int i = 0; i < source.Length; i++)
        {
            destination[i] = (byte)(source[i] ^ maskingKey[(i + phase) % 4]);
        }
    }

    [Fact]
    public void All_lengths_offsets_and_phases_match_the_slow_version()
    {
        byte[] key = [0x37, 0xFA, 0x21, 0x3D];
        uint maskingKey = BitConverter.ToUInt32(key);
        var bytes = new byte[200];
        new Random(6455).NextBytes(bytes);
        var expected = new byte[200];
        var actual = new byte[200];
        for (int length = 0; length <= 150; length++)
        {
            for (int offset = 0; offset < 33; offset++)
            {
                for (int phase = 0; phase < 4; phase++)
                {
                    ReadOnlySpan<byte> source = bytes.AsSpan(offset, length);
                    UnmaskSlowly(source, expected, key, phase);
                    actual.AsSpan().Fill(0xEE);
                    Masking.Unmask(source, actual.AsSpan(offset, length), maskingKey, phase);
                    Assert.True(expected.AsSpan(0, length).SequenceEqual(actual.AsSpan(offset, length)));
                    Assert.False(actual.AsSpan(0, offset).ContainsAnyExcept((byte)0xEE));
                    Assert.False(actual.AsSpan(offset + length).ContainsAnyExcept((byte)0xEE));
                }
            }
        }
    }

    [Fact]
    public void Random_bytes_in_place_match_the_slow_version() =>
        Gen.Select(Gen.Byte.Array[0, 300], Gen.Byte.Array[4], Gen.Int[0, 1000]).Sample((bytes, key, phase) =>
        {
            var expected = new byte[bytes.Length];
            UnmaskSlowly(bytes, expected, key, phase);
            Masking.Unmask(bytes, bytes, BitConverter.ToUInt32(key), phase);
            return expected.AsSpan().SequenceEqual(bytes);
        });

    [Fact]
    public void Two_pieces_with_the_key_turned_in_between_equal_one() =>
        Gen.Select(Gen.Byte.Array[0, 100], Gen.UInt, Gen.Int[0, 100]).Sample((bytes, key, cut) =>
        {
            cut = Math.Min(cut, bytes.Length);
            var whole = new byte[bytes.Length];
            Masking.Unmask(bytes, whole, key, phase: 0);
            Masking.Unmask(bytes.AsSpan(0, cut), bytes.AsSpan(0, cut), key, phase: 0);
            Masking.Unmask(bytes.AsSpan(cut), bytes.AsSpan(cut), Masking.Advance(key, cut), phase: 0);
            return whole.AsSpan().SequenceEqual(bytes);
        });

    [Fact]
    public void Destination_that_is_too_short_is_refused_before_anything_is_written()
    {
        var destination = new byte[9];
        Assert.ThrowsAny<ArgumentException>(() => Masking.Unmask(new byte[10], destination, 0x01010101, 0));
        Assert.All(destination, b => Assert.Equal(0, b));
    }
}
