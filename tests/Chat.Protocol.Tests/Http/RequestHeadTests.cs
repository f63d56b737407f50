using System.Text;
using Chat.Protocol.Http;

namespace Chat.Protocol.Tests.Http;

public class RequestHeadTests
{
    [Fact]
    public void Field_is_found_by_its_lowercase_name_and_the_first_one_wins()
    {
        using RequestHead head = Parse("X-A: 1\r\nx-a: 2\r\nX-AB: 3\r\n");
        Assert.True(head.TryGetField("x-a"u8, out ReadOnlySpan<byte> value));
        Assert.Equal("1", Encoding.ASCII.GetString(value));
        Assert.Equal(2, head.CountFields("x-a"u8));
        Assert.Equal(1, head.CountFields("x-ab"u8));
        Assert.False(head.TryGetField("x"u8, out value));
        Assert.True(value.IsEmpty);
        Assert.Equal(0, head.CountFields("x"u8));
        Assert.True(head.TryGetOnlyField("x-ab"u8, out value));
        Assert.Equal("3", Encoding.ASCII.GetString(value));
        Assert.False(head.TryGetOnlyField("x-a"u8, out value));
        Assert.True(value.IsEmpty);
        Assert.False(head.TryGetOnlyField("x"u8, out _));
    }

    [Theory]
    [InlineData("Connection: Upgrade\r\n", true)]
    [InlineData("Connection: keep-alive, Upgrade\r\n", true)]
    [InlineData("Connection: keep-alive ,\tUPGRADE \r\n", true)]
    [InlineData("Connection: keep-alive\r\nA: b\r\nConnection: upgrade\r\n", true)]
    [InlineData("Connection:\r\nConnection: , ,upgrade,\r\n", true)]
    [InlineData("Connection: upgrades\r\n", false)]
    [InlineData("Connection: keep-alive upgrade\r\n", false)]
    [InlineData("X-Connection: upgrade\r\n", false)]
    [InlineData("", false)]
    public void List_token_is_found_in_any_line_of_the_field(string lines, bool expected)
    {
        using RequestHead head = Parse(lines);
        Assert.Equal(expected, head.HasListToken("connection"u8, "upgrade"u8));
    }

    [Fact]
    public void List_elements_come_in_the_order_sent_without_empty_ones()
    {
        using RequestHead head = Parse("L: a, ,b\r\nM: x\r\nL: ,\r\nL: c d ,\r\n");
        var found = new List<string>();
        ListElements elements = head.ListElements("l"u8);
        while (elements.TryGetNext(out ReadOnlySpan<byte> element))
        {
            found.Add(Encoding.ASCII.GetString(element));
        }

        Assert.Equal(["a", "b", "c d"], found);
    }

    [Fact]
    public void Reset_forgets_everything_and_a_disposed_head_can_be_used_again()
    {
        RequestHead head = Parse("Connection: close\r\nContent-Length: 5\r\nExpect: 100-continue\r\n");
        head.Reset();
        AssertEmpty(head);
        head.Dispose();
        head.Dispose();
        AssertEmpty(head);
        Parse("A: b\r\n", head);
        Assert.Equal(2, head.FieldCount);
        head.Dispose();
    }

    [Fact]
    public void Reused_head_remembers_no_option_of_the_request_before()
    {
        using RequestHead head = Parse("Connection: close\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n");
        Assert.True(head.ExpectContinue && head.IsChunked && !head.KeepAlive);
        Parse("Content-Length: 1\r\n", head);
        Assert.True(!head.ExpectContinue && !head.IsChunked && head.KeepAlive);
        Parse("Connection: keep-alive\r\n", head, "GET / HTTP/1.0");
        Assert.True(head.KeepAlive);
        Parse("", head, "GET / HTTP/1.0");
        Assert.True(!head.KeepAlive && head.ContentLength == -1);
    }

    [Fact]
    public void Field_beyond_the_last_is_a_bug_of_the_caller()
    {
        using RequestHead head = Parse("");
        Assert.Throws<InvariantException>(() => { head.Field(1); });
    }

    internal static RequestHead Parse(string lines, RequestHead? head = null, string requestLine = "GET / HTTP/1.1")
    {
        head ??= new RequestHead();
        byte[] bytes = Encoding.Latin1.GetBytes(requestLine + "\r\nHost: a\r\n" + lines + "\r\n");
        ParseStatus status = new RequestParser(HttpLimits.Default).TryParse(Segments.Whole(bytes), head, out _, out _);
        Assert.Equal(ParseStatus.Complete, status);
        return head;
    }

    private static void AssertEmpty(RequestHead head)
    {
        Assert.Equal(0, head.FieldCount);
        Assert.Equal(-1, head.ContentLength);
        Assert.False(head.IsChunked || head.HasContent || head.ExpectContinue || head.KeepAlive);
        Assert.True(head.Target.IsEmpty && head.MethodName.IsEmpty && head.Query.IsEmpty);
    }
}
