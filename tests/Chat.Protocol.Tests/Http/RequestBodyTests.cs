using System.Buffers;
using System.Text;
using Chat.Protocol.Http;

namespace Chat.Protocol.Tests.Http;

public class RequestBodyTests
{
    [Theory]
    [InlineData("Content-Length: 5\r\n", "helloGET")]
    [InlineData("Transfer-Encoding: chunked\r\n", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\nGET")]
    public void Content_ends_where_the_head_said_however_it_arrives(string lines, string received)
    {
        using RequestHead head = RequestHeadTests.Parse(lines, requestLine: "POST / HTTP/1.1");
        byte[] bytes = Encoding.ASCII.GetBytes(received);
        for (int index = 0; index < bytes.Length - 3; index++)
        {
            var output = new ArrayBufferWriter<byte>();
            var body = new RequestBody(head, HttpLimits.Default);
            ReadOnlySequence<byte> first = Segments.BytePerSegment(bytes[..index]);
            Assert.Equal(BodyStatus.NeedMore, body.TryRead(ref first, output, out _));
            Assert.True(first.IsEmpty);

            ReadOnlySequence<byte> second = Segments.BytePerSegment(bytes[index..]);
            Assert.Equal(BodyStatus.Complete, body.TryRead(ref second, output, out _));
            Assert.Equal("hello", Encoding.ASCII.GetString(output.WrittenSpan));
            Assert.Equal("GET", Encoding.ASCII.GetString(second));
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("Content-Length: 0\r\n")]
    public void Body_of_no_bytes_is_complete_at_once_and_consumes_nothing(string lines)
    {
        using RequestHead head = RequestHeadTests.Parse(lines);
        var body = new RequestBody(head, HttpLimits.Default);
        ReadOnlySequence<byte> input = Segments.Whole("GET"u8.ToArray());
        Assert.Equal(BodyStatus.Complete, body.TryRead(ref input, new ArrayBufferWriter<byte>(), out ProtocolError error));
        Assert.Equal(3, input.Length);
        Assert.True(error.IsNone);
    }

    [Fact]
    public void Input_of_empty_segments_only_asks_for_more()
    {
        using RequestHead head = RequestHeadTests.Parse("Content-Length: 1\r\n");
        var body = new RequestBody(head, HttpLimits.Default);
        ReadOnlySequence<byte> input = Segments.SplitAt([], 0);
        Assert.Equal(BodyStatus.NeedMore, body.TryRead(ref input, new ArrayBufferWriter<byte>(), out _));
    }

    [Fact]
    public void Chunked_error_is_passed_on()
    {
        using RequestHead head = RequestHeadTests.Parse("Transfer-Encoding: chunked\r\n");
        var body = new RequestBody(head, HttpLimits.Default);
        ReadOnlySequence<byte> input = Segments.Whole("5\n"u8.ToArray());
        Assert.Equal(BodyStatus.Invalid, body.TryRead(ref input, new ArrayBufferWriter<byte>(), out ProtocolError error));
        Assert.Equal(RequestErrors.BareLf, error);
    }
}
