using System.Buffers;
using System.Text;
using Chat.Protocol.Http;

namespace Chat.Protocol.Tests.Http;

public class ResponseWriterTests
{
    private const string DateLine = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

    private static ReadOnlySpan<byte> Date => "Sun, 06 Nov 1994 08:49:37 GMT"u8;

    [Fact]
    public void Response_with_content_has_type_and_length()
    {
        using RequestHead request = RequestHeadTests.Parse("");
        var output = new ArrayBufferWriter<byte>();
        var response = new ResponseWriter(output, request, 200, Date, keepAlive: true);
        response.WriteField("Cache-Control"u8, "no-store"u8);
        response.WriteField("Age"u8, 12);
        response.End("application/json"u8, "{}"u8);
        Assert.Equal(
            "HTTP/1.1 200 OK\r\n" + DateLine + "Cache-Control: no-store\r\nAge: 12\r\n"
            + "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
            Text(output));
    }

    [Fact]
    public void HEAD_gets_the_same_fields_without_the_content()
    {
        using RequestHead request = RequestHeadTests.Parse("", requestLine: "HEAD / HTTP/1.1");
        var output = new ArrayBufferWriter<byte>();
        var response = new ResponseWriter(output, request, 200, Date, keepAlive: true);
        response.End("text/plain"u8, "hello"u8);
        Assert.Equal("HTTP/1.1 200 OK\r\n" + DateLine + "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\n", Text(output));
    }

    [Theory]
    [InlineData("GET / HTTP/1.1", "", true, "")]
    [InlineData("GET / HTTP/1.1", "", false, "Connection: close\r\n")]
    [InlineData("GET / HTTP/1.1", "Connection: close\r\n", true, "Connection: close\r\n")]
    [InlineData("GET / HTTP/1.0", "", true, "Connection: close\r\n")]
    [InlineData("GET / HTTP/1.0", "Connection: keep-alive\r\n", true, "Connection: keep-alive\r\n")]
    [InlineData("GET / HTTP/1.0", "Connection: keep-alive\r\n", false, "Connection: close\r\n")]
    public void Connection_is_kept_only_if_both_sides_want_it(string requestLine, string lines, bool keepAlive, string expected)
    {
        using RequestHead request = RequestHeadTests.Parse(lines, requestLine: requestLine);
        var output = new ArrayBufferWriter<byte>();
        var response = new ResponseWriter(output, request, 201, Date, keepAlive);
        response.End();
        Assert.Equal("HTTP/1.1 201 Created\r\n" + DateLine + expected + "Content-Length: 0\r\n\r\n", Text(output));
    }

    [Theory]
    [InlineData(204, "HTTP/1.1 204 No Content\r\n")]
    [InlineData(304, "HTTP/1.1 304 Not Modified\r\n")]
    public void Status_without_content_has_no_length(int status, string line)
    {
        using RequestHead request = RequestHeadTests.Parse("");
        var output = new ArrayBufferWriter<byte>();
        var response = new ResponseWriter(output, request, status, Date, keepAlive: true);
        response.End();
        Assert.Equal(line + DateLine + "\r\n", Text(output));
        Assert.Throws<InvariantException>(() => new ResponseWriter(output, RequestMethod.Other, status, Date).End("text/plain"u8, ""u8));
    }

    [Fact]
    public void Refusal_of_bytes_that_were_no_request_closes_the_connection()
    {
        var output = new ArrayBufferWriter<byte>();
        var response = new ResponseWriter(output, RequestMethod.Other, 431, Date);
        response.End("text/plain"u8, "x"u8);
        Assert.Equal(
            "HTTP/1.1 431 Request Header Fields Too Large\r\n" + DateLine
            + "Connection: close\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\nx",
            Text(output));
    }

    [Fact]
    public void Refusal_of_a_head_request_has_no_content()
    {
        var output = new ArrayBufferWriter<byte>();
        new ResponseWriter(output, RequestMethod.Head, 417, Date).End("text/plain"u8, "x"u8);
        Assert.EndsWith("Content-Length: 1\r\n\r\n", Text(output), StringComparison.Ordinal);
    }

    [Fact]
    public void Every_status_that_a_refusal_may_have_has_a_reason_phrase_and_others_keep_the_space()
    {
        foreach (System.Reflection.FieldInfo field in typeof(RequestErrors).GetFields())
        {
            var error = (ProtocolError)field.GetValue(null)!;
            var output = new ArrayBufferWriter<byte>();
            new ResponseWriter(output, RequestMethod.Other, error.Code, Date).End();
            Assert.Matches($"^HTTP/1.1 {error.Code} [A-Z].*\r\n", Text(output));
            Assert.InRange(error.Reason.Length, 1, 123);
            Assert.True(Ascii.IsValid(error.Reason));
        }

        var unlisted = new ArrayBufferWriter<byte>();
        new ResponseWriter(unlisted, RequestMethod.Other, 299, Date).End();
        Assert.StartsWith("HTTP/1.1 299 \r\n", Text(unlisted), StringComparison.Ordinal);
    }

    [Fact]
    public void Large_field_after_small_ones_is_written_whole()
    {
        var output = new ArrayBufferWriter<byte>(1);
        string large = new('v', 5000);
        var response = new ResponseWriter(output, RequestMethod.Other, 200, Date);
        response.WriteField("A"u8, "b"u8);
        response.WriteField("Large"u8, Encoding.ASCII.GetBytes(large));
        response.End();
        Assert.Equal(
            "HTTP/1.1 200 OK\r\n" + DateLine + "Connection: close\r\nA: b\r\nLarge: " + large + "\r\nContent-Length: 0\r\n\r\n",
            Text(output));
    }

    [Theory]
    [InlineData("A", "b\r\nSet-Cookie: c")]
    [InlineData("A", "b\nc")]
    [InlineData("A", "b\0")]
    [InlineData("A:", "b")]
    [InlineData("A\r\nB", "c")]
    [InlineData("", "c")]
    public void Field_that_would_forge_another_is_a_bug_of_ours(string name, string value) =>
        Assert.Throws<InvariantException>(() =>
        {
            var response = new ResponseWriter(new ArrayBufferWriter<byte>(), RequestMethod.Other, 200, Date);
            response.WriteField(Encoding.ASCII.GetBytes(name), Encoding.ASCII.GetBytes(value));
        });

    [Theory]
    [InlineData(100)]
    [InlineData(101)]
    [InlineData(199)]
    [InlineData(600)]
    public void Status_that_is_not_final_is_a_bug_of_ours(int status) =>
        Assert.Throws<InvariantException>(() => new ResponseWriter(new ArrayBufferWriter<byte>(), RequestMethod.Other, status, Date));

    [Fact]
    public void Continue_is_an_empty_interim_response()
    {
        var output = new ArrayBufferWriter<byte>();
        ResponseWriter.WriteContinue(output);
        Assert.Equal("HTTP/1.1 100 Continue\r\n\r\n", Text(output));
    }

    [Fact]
    public void Writing_allocates_nothing()
    {
        using RequestHead request = RequestHeadTests.Parse("");
        var output = new ArrayBufferWriter<byte>(4096);
        var date = new HttpDate(TimeProvider.System);
        long least = long.MaxValue;
        // The second may change during a run, and its text is then formatted anew; it does not change in each of five.
        for (int run = 0; run < 5; run++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int count = 0; count < 100; count++)
            {
                output.ResetWrittenCount();
                var response = new ResponseWriter(output, request, 200, date.Now, keepAlive: true);
                response.WriteField("Retry-After"u8, count);
                response.End("application/json"u8, "{}"u8);
            }

            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.Equal(0, least);
    }

    private static string Text(ArrayBufferWriter<byte> output) => Encoding.ASCII.GetString(output.WrittenSpan);
}
