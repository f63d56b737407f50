using System.Buffers;
using System.Net;
using System.Text;
using Chat.Protocol.Http;

namespace Chat.Protocol.Tests.Http;

public class ProxyHeaderTests
{
    private const string Signature = "\r\n\r\n\0\r\nQUIT\n";

    [Theory]
    [InlineData("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", "192.0.2.1")]
    [InlineData("PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n", "2001:db8::1")]
    [InlineData("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 65535\r\n", "192.0.2.1")]
    [InlineData("PROXY TCP4 192.0.2.1 198.51.100.2 0 0\r\n", "192.0.2.1")]
    [InlineData("PROXY UNKNOWN\r\n", null)]
    [InlineData("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", null)]
    [InlineData(Signature + "\u0021\u0011\0\u000C" + "\u00C0\0\u0002\u0001" + "\u00C6\u0033\u0064\u0002" + "\u0001\u0002\u0003\u0004", "192.0.2.1")]
    [InlineData(Signature + "\u0021\u0011\0\u000F" + "\u00C0\0\u0002\u0001" + "\u00C6\u0033\u0064\u0002" + "\u0001\u0002\u0003\u0004" + "\u0003\0\0", "192.0.2.1")]
    [InlineData(Signature + "\u0021\u0021\0\u0024" + "\u0020\u0001\u000D\u00B8\0\0\0\0\0\0\0\0\0\0\0\u0001" + "\u0020\u0001\u000D\u00B8\0\0\0\0\0\0\0\0\0\0\0\u0002" + "\u0001\u0002\u0003\u0004", "2001:db8::1")]
    [InlineData(Signature + "\u0020\0\0\0", null)]
    [InlineData(Signature + "\u0020\u0011\0\u0003abc", null)]
    [InlineData(Signature + "\u0021\0\0\0", null)]
    public void A_header_tells_the_client_and_what_follows_is_left(string header, string? source)
    {
        byte[] bytes = Encoding.Latin1.GetBytes(header + "GET / HTTP/1.1\r\n");
        for (int cut = 0; cut <= bytes.Length; cut++)
        {
            Assert.Equal((ParseStatus.Complete, header.Length, source), Parse(Segments.SplitAt(bytes, cut)));
        }
    }

    [Theory]
    [InlineData("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n")]
    [InlineData(Signature + "\u0021\u0011\0\u000C" + "\u00C0\0\u0002\u0001" + "\u00C6\u0033\u0064\u0002" + "\u0001\u0002\u0003\u0004")]
    public void Every_prefix_of_a_header_asks_for_more(string header)
    {
        byte[] bytes = Encoding.Latin1.GetBytes(header);
        for (int count = 0; count < bytes.Length; count++)
        {
            Assert.Equal((ParseStatus.NeedMore, 0, null), Parse(Segments.Whole(bytes[..count])));
        }
    }

    [Theory]
    [InlineData("G")]
    [InlineData("GET / HTTP/1.1\r\n")]
    [InlineData("\r\nGET")]
    [InlineData("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\n")]
    [InlineData("PROXY TCP4 192.0.2.1 198.51.100.2 56324\r\n")]
    [InlineData("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 5\r\n")]
    [InlineData("PROXY TCP4 192.0.2.1 198.51.100.2 56324 65536\r\n")]
    [InlineData("PROXY TCP4 192.0.2.1 198.51.100.2 +1 443\r\n")]
    [InlineData("PROXY TCP4 192.0.2.1 198.51.100.2 0080 443\r\n")]
    [InlineData("PROXY TCP4  192.0.2.1 198.51.100.2 1 443\r\n")]
    [InlineData("PROXY TCP4 2001:db8::1 198.51.100.2 1 443\r\n")]
    [InlineData("PROXY TCP6 192.0.2.1 2001:db8::2 1 443\r\n")]
    [InlineData("PROXY TCP4 192.0.2.01 198.51.100.2 1 443\r\n")]
    [InlineData("PROXY TCP4 1 198.51.100.2 1 443\r\n")]
    [InlineData("PROXY TCP6 fe80::1%eth0 2001:db8::2 1 443\r\n")]
    [InlineData("PROXY UDP4 192.0.2.1 198.51.100.2 1 443\r\n")]
    [InlineData("PROXY UNKNOWN \0\r\n")]
    [InlineData(Signature + "\u0011\u0011\0\0")]
    [InlineData(Signature + "\u0022\u0011\0\0")]
    [InlineData(Signature + "\u0021\u0011\0\u0004abcd")]
    [InlineData(Signature + "\u0021\u0011\u00FF\u00FF")]
    [InlineData(Signature + "\u0021\u0041\0\0")] // A family above AF_UNIX.
    [InlineData(Signature + "\u0021\u0013\0\u000C" + "\u00C0\0\u0002\u0001" + "\u00C6\u0033\u0064\u0002" + "\u0001\u0002\u0003\u0004")] // A transport above DGRAM.
    public void What_is_no_header_is_refused(string text) =>
        Assert.Equal(ParseStatus.Invalid, Parse(Segments.BytePerSegment(Encoding.Latin1.GetBytes(text))).Status);

    [Fact]
    public void A_line_that_does_not_end_is_refused() =>
        Assert.Equal(ParseStatus.Invalid, Parse(Segments.Whole(Encoding.Latin1.GetBytes("PROXY UNKNOWN " + new string('x', 200)))).Status);

    private static (ParseStatus Status, int Used, string? Source) Parse(ReadOnlySequence<byte> input)
    {
        ParseStatus status = ProxyHeader.TryParse(input, out SequencePosition consumed, out IPAddress? source);
        return (status, (int)input.Slice(0, consumed).Length, source?.ToString());
    }
}
