using System.Text;
using System.Text.Json;
using Chat.Protocol.Messages;
using CsCheck;

namespace Chat.Protocol.Tests.Messages;

public class JsonTextTests
{
    [Theory]
    [InlineData("", "")]
    [InlineData("plain", "plain")]
    [InlineData("say \"hi\"", "say \\\"hi\\\"")]
    [InlineData("C:\\dir", "C:\\\\dir")]
    [InlineData("a\tb\nc\rd\be\ff", "a\\tb\\nc\\rd\\be\\ff")]
    [InlineData("\u0000\u000b\u001f", "\\u0000\\u000b\\u001f")]
    [InlineData("</script> & 'é' κ 😀 \u007f \u2028", "</script> & 'é' κ 😀 \u007f \u2028")]
    public void Only_what_json_demands_is_escaped(string text, string escaped) => Assert.Equal(escaped, Escape(text));

    [Fact]
    public void Bound_is_exact_for_the_worst_text()
    {
        var destination = new byte[JsonText.EscapedBytesMax(10)];
        Assert.Equal(destination.Length, JsonText.Escape(new byte[10], destination));
    }

    [Fact]
    public void Any_text_comes_back_from_system_text_json_and_from_our_own_parser() =>
        Gen.Select(Gen.Int[0, 0x10FFFF].Array[0, 50], Gen.Char['\0', '~'].Array[0, 50]).Sample((scalars, ascii) =>
        {
            var builder = new StringBuilder().Append(ascii);
            foreach (int scalar in scalars)
            {
                builder.Append(Rune.IsValid(scalar) ? new Rune(scalar) : Rune.ReplacementChar);
            }

            string text = builder.ToString();
            string escaped = Escape(text);
            Assert.Equal(text, JsonSerializer.Deserialize<string>($"\"{escaped}\""));
            Assert.Equal(text, Unescape(escaped));
        });

    [Fact]
    public void Any_text_that_system_text_json_escapes_is_unescaped() =>
        Gen.Int[0, 0x10FFFF].Array[0, 50].Sample(scalars =>
        {
            var builder = new StringBuilder();
            foreach (int scalar in scalars)
            {
                builder.Append(Rune.IsValid(scalar) ? new Rune(scalar) : Rune.ReplacementChar);
            }

            string text = builder.ToString();
            Assert.Equal(text, Unescape(JsonSerializer.Serialize(text)[1..^1]));
        });

    [Theory]
    [InlineData("\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t")]
    [InlineData("\\u0041\\u00e9\\u00E9\\u20AC", "Aéé€")]
    [InlineData("\\uD83D\\uDE00", "😀")]
    public void Every_escape_is_resolved(string escaped, string text) => Assert.Equal(text, Unescape(escaped));

    [Theory]
    [InlineData("\\uD83D")]
    [InlineData("\\uDE00")]
    [InlineData("\\uD83Dx\\uDE00")]
    [InlineData("\\uD83D\\n12345678")]
    [InlineData("\\uD83D\\uD83D")]
    [InlineData("\\uDE00\\uD83D")]
    public void Surrogate_without_its_partner_is_no_text(string escaped) => Assert.Null(Unescape(escaped));

    private static string Escape(string text)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(text);
        var destination = new byte[JsonText.EscapedBytesMax(utf8.Length)];
        return Encoding.UTF8.GetString(destination, 0, JsonText.Escape(utf8, destination));
    }

    private static string? Unescape(string escaped)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(escaped);
        var destination = new byte[utf8.Length];
        return JsonText.TryUnescape(utf8, destination, out int written) ? Encoding.UTF8.GetString(destination, 0, written) : null;
    }
}
