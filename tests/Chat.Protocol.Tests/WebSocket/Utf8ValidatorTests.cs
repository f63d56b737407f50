using System.Text;
using Chat.Protocol.WebSocket;
using CsCheck;

namespace Chat.Protocol.Tests.WebSocket;

public class Utf8ValidatorTests
{
    [Theory]
    [InlineData("80", 0)]
    [InlineData("61 BF", 1)]
    [InlineData("C0 AF", 0)]
    [InlineData("C1 81", 0)]
    [InlineData("C3 28", 1)]
    [InlineData("C3 C3", 1)]
    [InlineData("E0 80 80", 1)]
    [InlineData("E0 9F BF", 1)]
    [InlineData("ED A0 80", 1)]
    [InlineData("ED BF BF", 1)]
    [InlineData("E2 82 28", 2)]
    [InlineData("F0 80 80 80", 1)]
    [InlineData("F0 8F BF BF", 1)]
    [InlineData("F4 90 80 80", 1)]
    [InlineData("F0 9F 98 28", 3)]
    [InlineData("F5 80 80 80", 0)]
    [InlineData("FF", 0)]
    [InlineData("CE BA E1 BD B9 CF 83 CE BC CE B5 F4 90 80 80 65 64", 12)]
    public void Text_is_refused_with_the_first_byte_that_cannot_continue_it(string hex, int firstInvalid)
    {
        byte[] text = ReceivedStream.Hex(hex);
        for (int length = 1; length <= text.Length; length++)
        {
            var whole = new Utf8Validator();
            Assert.Equal(length <= firstInvalid, whole.Push(text.AsSpan(0, length)));
        }

        var byteByByte = new Utf8Validator();
        for (int i = 0; i <= firstInvalid; i++)
        {
            Assert.Equal(i < firstInvalid, byteByByte.Push(text.AsSpan(i, 1)));
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("plain")]
    [InlineData("κόσμε")]
    [InlineData("\u007F\u0080\u07FF\u0800\uD7FF\uE000\uFFFF\U00010000\U0010FFFF")]
    [InlineData("\uFFFE\uFFFF noncharacters are characters here")]
    public void Valid_text_is_valid_however_it_is_cut(string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        for (int first = 0; first <= bytes.Length; first++)
        {
            for (int second = first; second <= bytes.Length; second++)
            {
                var validator = new Utf8Validator();
                Assert.True(validator.Push(bytes.AsSpan(0, first)));
                Assert.True(validator.Push(bytes.AsSpan(first, second - first)));
                Assert.True(validator.Push(bytes.AsSpan(second)));
                Assert.True(validator.IsComplete);
            }
        }
    }

    [Theory]
    [InlineData("C3")]
    [InlineData("E2 82")]
    [InlineData("F0 9F 98")]
    [InlineData("61 F4 8F BF")]
    public void Text_that_ends_inside_a_character_is_not_complete(string hex)
    {
        var validator = new Utf8Validator();
        Assert.True(validator.Push(ReceivedStream.Hex(hex)));
        Assert.False(validator.IsComplete);
    }

    [Fact]
    public void Every_two_and_three_byte_beginning_matches_the_slow_version()
    {
        Span<byte> text = stackalloc byte[3];
        for (int all = 0; all < 1 << 24; all += all < 0x1_0000 ? 1 : 7)
        {
            text[0] = (byte)all;
            text[1] = (byte)(all >> 8);
            text[2] = (byte)(all >> 16);
            AssertMatchesSlowVersion(text, cut: all % 3);
        }
    }

    [Theory]
    [InlineData("80")]
    [InlineData("C3")]
    [InlineData("C3 A9")]
    [InlineData("F4 90")]
    public void Ascii_text_of_any_length_with_other_bytes_anywhere_matches_the_slow_version(string hex)
    {
        byte[] other = ReceivedStream.Hex(hex);
        for (int length = other.Length; length <= 140; length++)
        {
            AssertMatchesSlowVersion(Enumerable.Repeat((byte)'a', length).ToArray(), cut: length / 3);
            for (int place = 0; place <= length - other.Length; place++)
            {
                byte[] text = [.. Enumerable.Repeat((byte)'a', length)];
                other.CopyTo(text, place);
                AssertMatchesSlowVersion(text, cut: 0);
            }
        }
    }

    [Fact]
    public void Random_bytes_in_random_pieces_match_the_slow_version()
    {
        // Mostly valid text with one byte in a hundred changed; pure noise is refused at its first bytes and tests little.
        Gen<byte[]> almostText = Gen.Select(Gen.Int[0x1, 0x10FFFF].Array[0, 60], Gen.Int[0, 400], Gen.Byte, (scalars, index, b) =>
        {
            var text = new StringBuilder();
            foreach (int scalar in scalars)
            {
                text.Append(Rune.IsValid(scalar) ? new Rune(scalar) : new Rune(scalar & 0x7F));
            }

            byte[] bytes = Encoding.UTF8.GetBytes(text.ToString());
            if (index < bytes.Length)
            {
                bytes[index] = b;
            }

            return bytes;
        });
        Gen.Select(almostText, Gen.Int[0, 300]).Sample((bytes, cut) => AssertMatchesSlowVersion(bytes, cut));
    }

    private static void AssertMatchesSlowVersion(ReadOnlySpan<byte> text, int cut)
    {
        cut = Math.Min(cut, text.Length);
        var validator = new Utf8Validator();
        bool isValid = validator.Push(text[..cut]) && validator.Push(text[cut..]);
        (bool expected, bool complete) = CheckSlowly(text);
        if (isValid != expected || (isValid && complete != validator.IsComplete))
        {
            Assert.Fail($"{Convert.ToHexString(text)} cut at {cut}: {isValid}, expected {expected}");
        }
    }

    /// <summary>The table of RFC 3629 section 4, one line each; a text is acceptable so far when some line can still hold.</summary>
    private static (bool IsValid, bool IsComplete) CheckSlowly(ReadOnlySpan<byte> text)
    {
        (int Min, int Max)[][] lines =
        [
            [(0x00, 0x7F)],
            [(0xC2, 0xDF), (0x80, 0xBF)],
            [(0xE0, 0xE0), (0xA0, 0xBF), (0x80, 0xBF)],
            [(0xE1, 0xEC), (0x80, 0xBF), (0x80, 0xBF)],
            [(0xED, 0xED), (0x80, 0x9F), (0x80, 0xBF)],
            [(0xEE, 0xEF), (0x80, 0xBF), (0x80, 0xBF)],
            [(0xF0, 0xF0), (0x90, 0xBF), (0x80, 0xBF), (0x80, 0xBF)],
            [(0xF1, 0xF3), (0x80, 0xBF), (0x80, 0xBF), (0x80, 0xBF)],
            [(0xF4, 0xF4), (0x80, 0x8F), (0x80, 0xBF), (0x80, 0xBF)],
        ];
        int position = 0;
        while (position < text.Length)
        {
            int taken = 0;
            bool isWhole = false;
            foreach ((int Min, int Max)[] line in lines)
            {
                int matching = 0;
                while (matching < line.Length && position + matching < text.Length
                    && text[position + matching] >= line[matching].Min && text[position + matching] <= line[matching].Max)
                {
                    matching++;
                }

                if (matching == line.Length || (matching > 0 && position + matching == text.Length))
                {
                    taken = matching;
                    isWhole = matching == line.Length;
                }
            }

            if (taken == 0)
            {
                return (false, false);
            }

            position += taken;
            if (!isWhole)
            {
                return (true, false);
            }
        }

        return (true, true);
    }
}
