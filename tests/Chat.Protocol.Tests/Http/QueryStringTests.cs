using System.Text;
using Chat.Protocol.Http;

namespace Chat.Protocol.Tests.Http;

public class QueryStringTests
{
    [Theory]
    [InlineData("token=abc", "token", "abc")]
    [InlineData("a=1&token=abc&b=2", "token", "abc")]
    [InlineData("token=first&token=second", "token", "first")]
    [InlineData("token=", "token", "")]
    [InlineData("token", "token", "")]
    [InlineData("&&token=x&", "token", "x")]
    [InlineData("token=a=b", "token", "a=b")]
    [InlineData("q=a+b%20c%2Bd", "q", "a b c+d")]
    [InlineData("q=%C3%a9%00", "q", "\u00C3\u00A9\0")]
    [InlineData("t%6Fken=x", "token", "x")]
    [InlineData("a+b=x", "a b", "x")]
    [InlineData("%zz=1&token=x", "token", "x")]
    [InlineData("bad=%&token=x", "token", "x")]
    public void Value_is_found_and_decoded(string query, string name, string value)
    {
        Span<byte> destination = stackalloc byte[32];
        QueryResult result = QueryString.Get(Encoding.ASCII.GetBytes(query), Encoding.ASCII.GetBytes(name), destination, out int written);
        Assert.Equal(QueryResult.Found, result);
        Assert.Equal(value, Encoding.Latin1.GetString(destination[..written]));
    }

    [Theory]
    [InlineData("")]
    [InlineData("&")]
    [InlineData("=token")]
    [InlineData("Token=a")]
    [InlineData("tokens=a")]
    [InlineData("toke=a")]
    [InlineData("a=token")]
    [InlineData("token%=a")]
    public void Parameter_with_another_name_is_absent(string query)
    {
        Assert.Equal(QueryResult.Absent, QueryString.Get(Encoding.ASCII.GetBytes(query), "token"u8, new byte[32], out int written));
        Assert.Equal(0, written);
    }

    [Theory]
    [InlineData("%")]
    [InlineData("%4")]
    [InlineData("a%4")]
    [InlineData("%g1")]
    [InlineData("%1g")]
    [InlineData("%%41")]
    [InlineData("%+1")]
    public void Escape_without_two_hexadecimal_digits_is_malformed_and_not_absent(string value)
    {
        byte[] query = Encoding.ASCII.GetBytes("a=1&q=" + value + "&b=41");
        Assert.Equal(QueryResult.Malformed, QueryString.Get(query, "q"u8, new byte[32], out int written));
        Assert.Equal(0, written);
    }

    [Fact]
    public void Value_fits_exactly_or_is_too_long()
    {
        Assert.Equal(QueryResult.Found, QueryString.Get("q=%61bc"u8, "q"u8, new byte[3], out int written));
        Assert.Equal(3, written);
        Assert.Equal(QueryResult.TooLong, QueryString.Get("q=%61bcd"u8, "q"u8, new byte[3], out written));
        Assert.Equal(0, written);
    }
}
