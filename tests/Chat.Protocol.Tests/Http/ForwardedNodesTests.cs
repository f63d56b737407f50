using System.Net;
using Chat.Protocol.Http;

namespace Chat.Protocol.Tests.Http;

public class ForwardedNodesTests
{
    [Theory]
    [InlineData("", "")]
    [InlineData("X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1")]
    [InlineData("X-Forwarded-For: 192.0.2.1, 2001:db8::1,198.51.100.2\r\n", "192.0.2.1 2001:db8::1 198.51.100.2")]
    [InlineData("X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 198.51.100.2\r\n", "192.0.2.1 198.51.100.2")]
    [InlineData("X-Forwarded-For: 192.0.2.1:1234, [2001:db8::1]:80, [::1]\r\n", "192.0.2.1 2001:db8::1 ::1")]
    [InlineData("X-Forwarded-For: ::ffff:192.0.2.1\r\n", "192.0.2.1")]
    [InlineData("X-Forwarded-For: unknown, 1, 0x7f.1, 010.0.0.1, 192.0.2.1:, [::1, ::1], fe80::1%1, 1.2.3.4.5\r\n", "- - - - - - - - -")]
    public void X_Forwarded_For_is_a_list_of_addresses(string lines, string expected)
    {
        using RequestHead head = RequestHeadTests.Parse(lines);
        Assert.Equal(expected, Join(ForwardedNodes.ReadXForwardedFor(head)));
    }

    [Theory]
    [InlineData("Forwarded: for=192.0.2.60;proto=http;by=203.0.113.43\r\n", "192.0.2.60")] // RFC 7239 section 4.
    [InlineData("Forwarded: For=\"[2001:db8:cafe::17]:4711\"\r\n", "2001:db8:cafe::17")]
    [InlineData("Forwarded: for=192.0.2.43, for=198.51.100.17\r\n", "192.0.2.43 198.51.100.17")]
    [InlineData("Forwarded: for=192.0.2.43\r\nForwarded: proto=http ; for=\"198.51.100.17:5\"\r\n", "192.0.2.43 198.51.100.17")]
    [InlineData("Forwarded: for=_gazonk, for=unknown, proto=http\r\n", "- - -")]
    [InlineData("Forwarded: for=192.0.2.1;for=192.0.2.2\r\n", "-")]
    [InlineData("Forwarded: for=\"192.0.2.1, for=192.0.2.2\r\n", "-")]
    [InlineData("Forwarded: for=192.0.2.9;x=\", for=203.0.113.9\r\n", "-")] // What the proxy appended is inside of the client's quoted string.
    [InlineData("Forwarded: for=192.0.2.9;x=\", for=\"[2001:db8::1]:4711\"\r\n", "-")]
    [InlineData("Forwarded: for=192.0.2.9;x=\"\\, for=\"[2001:db8::1]:4711\", for=198.51.100.7\r\n", "-")]
    [InlineData("Forwarded: for=192.0.2.9;x=\"\r\nForwarded: for=203.0.113.9\r\n", "- 203.0.113.9")]
    [InlineData("Forwarded: host=\"a,for=192.0.2.1\\\"\";for=192.0.2.2\r\n", "192.0.2.2")]
    [InlineData("Forwarded: for=\"\\\r\n", "-")]
    public void Forwarded_tells_for_whom(string lines, string expected)
    {
        using RequestHead head = RequestHeadTests.Parse(lines);
        Assert.Equal(expected, Join(ForwardedNodes.ReadForwarded(head)));
    }

    private static string Join(IReadOnlyList<IPAddress?> nodes) => string.Join(' ', nodes.Select(node => node?.ToString() ?? "-"));
}
