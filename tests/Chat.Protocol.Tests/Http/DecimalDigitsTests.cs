using System.Text;
using Chat.Protocol.Http;

namespace Chat.Protocol.Tests.Http;

public class DecimalDigitsTests
{
    [Theory]
    [InlineData("0", 0)]
    [InlineData("1", 1)]
    [InlineData("007", 7)]
    [InlineData("0000000000000000000000000012", 12)]
    [InlineData("9223372036854775807", long.MaxValue)]
    public void Digits_are_a_number(string text, long expected)
    {
        Assert.True(DecimalDigits.TryParse(Encoding.ASCII.GetBytes(text), out long value));
        Assert.Equal(expected, value);
        Assert.Equal(text[0] != '0', DecimalDigits.TryParseId(Encoding.ASCII.GetBytes(text), out long id));
        Assert.Equal(text[0] != '0' ? expected : 0, id);
    }

    [Theory]
    [InlineData("")]
    [InlineData("+1")]
    [InlineData("-1")]
    [InlineData(" 1")]
    [InlineData("1 ")]
    [InlineData("1a")]
    [InlineData("0x1")]
    [InlineData("1.0")]
    [InlineData("1e3")]
    [InlineData("/")]
    [InlineData(":")]
    [InlineData("9223372036854775808")]
    [InlineData("9223372036854775810")]
    [InlineData("18446744073709551617")]
    [InlineData("99999999999999999999999")]
    public void Anything_else_is_refused(string text)
    {
        Assert.False(DecimalDigits.TryParse(Encoding.ASCII.GetBytes(text), out long value));
        Assert.Equal(0, value);
        Assert.False(DecimalDigits.TryParseId(Encoding.ASCII.GetBytes(text), out long id));
        Assert.Equal(0, id);
    }
}
