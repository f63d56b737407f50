using System.Buffers;
using System.Text;
using Chat.Protocol.Http;

namespace Chat.Protocol.Tests.Http;

public class RequestParserTests
{
    private const string Get = "GET /rooms?limit=5 HTTP/1.1\r\nHost: localhost:3000\r\nAccept: */*\r\n\r\n";

    [Fact]
    public void RFC_9112_section_3_example_of_a_request_is_read()
    {
        Parsed parsed = Parsed.EveryWay(
            "GET /hello.txt HTTP/1.1\r\nUser-Agent: curl/7.64.1\r\nHost: www.example.com\r\nAccept-Language: en, mi\r\n\r\n");
        Assert.Equal(
            "Get/GET /hello.txt path=/hello.txt query= 1.1 length=-1 keep-alive\n"
            + "User-Agent: <curl/7.64.1>\nHost: <www.example.com>\nAccept-Language: <en, mi>",
            parsed.Head);
    }

    [Theory]
    [InlineData("GET", RequestMethod.Get)]
    [InlineData("HEAD", RequestMethod.Head)]
    [InlineData("POST", RequestMethod.Post)]
    [InlineData("PUT", RequestMethod.Put)]
    [InlineData("DELETE", RequestMethod.Delete)]
    [InlineData("PATCH", RequestMethod.Patch)]
    [InlineData("OPTIONS", RequestMethod.Options)]
    [InlineData("get", RequestMethod.Other)]
    [InlineData("VERSION-CONTROL", RequestMethod.Other)]
    [InlineData("M!#$%&'*+-.^_`|~1", RequestMethod.Other)]
    public void Method_is_recognised_with_regard_to_case(string name, RequestMethod method)
    {
        Parsed parsed = Parsed.EveryWay(name + " / HTTP/1.1\r\nHost: a\r\n\r\n");
        Assert.StartsWith($"{method}/{name} / ", parsed.Head, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("GET", "/", "/", "")]
    [InlineData("GET", "/a/b?c=d", "/a/b", "c=d")]
    [InlineData("GET", "/?", "/", "")]
    [InlineData("GET", "/a?b?c=/d", "/a", "b?c=/d")]
    [InlineData("GET", "//a", "//a", "")]
    [InlineData("GET", "/%2e%2E/|^\\\"", "/%2e%2E/|^\\\"", "")]
    [InlineData("GET", "http://www.example.org/pub/WWW/TheProject.html", "/pub/WWW/TheProject.html", "")]
    [InlineData("GET", "HTTPS://a.example:443/x?y", "/x", "y")]
    [InlineData("GET", "http://[::1]:3000?q=1", "/", "q=1")]
    [InlineData("OPTIONS", "http://www.example.org:8001", "/", "")]
    [InlineData("OPTIONS", "*", "*", "")]
    [InlineData("OPTIONS", "/a", "/a", "")]
    public void Target_is_reduced_to_path_and_query(string method, string target, string path, string query)
    {
        string host = target.Contains("://", StringComparison.Ordinal) ? target.Split('/', '?')[2] : "a";
        Parsed parsed = Parsed.EveryWay($"{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        Assert.Contains($"{target} path={path} query={query} 1.1", parsed.Head, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("A:", "")]
    [InlineData("A: b", "b")]
    [InlineData("A:b", "b")]
    [InlineData("A: \t b c\t \t", "b c")]
    [InlineData("A: \t ", "")]
    [InlineData("A: b:c", "b:c")]
    [InlineData("A: \u00E9\u0080\u00FF", "\u00E9\u0080\u00FF")]
    public void Field_value_is_trimmed_and_may_hold_obs_text(string line, string value)
    {
        Parsed parsed = Parsed.EveryWay($"GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n");
        Assert.EndsWith($"\nA: <{value}>", parsed.Head, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData(" a value that is longer than any vector of the search for the name's end, and than two of them")]
    public void Field_name_of_any_length_is_made_of_tchars_only_and_ends_at_its_first_colon(string value)
    {
        const string TokenPunctuation = "!#$%&'*+-.^_`|~"; // RFC 9110 section 5.6.2
        Assert.Empty(MisreadFields(50, "", $":{value}", (octet, place, length) =>
            char.IsAsciiLetterOrDigit(octet) || TokenPunctuation.Contains(octet, StringComparison.Ordinal) ? (length, value.Trim().Length) :
            octet == ':' && place > 0 ? (place, length - place + value.Length) :
            null));
    }

    [Fact]
    public void Field_value_of_any_length_holds_no_control_character_but_HTAB_anywhere() =>
        Assert.Empty(MisreadFields(140, "A:", "", (octet, place, length) =>
            octet is (< ' ' and not '\t') or '\u007F' ? null :
            octet is ' ' or '\t' && (place == 0 || place == length - 1) ? (1, length - 1) :
            (1, length)));

    [Theory]
    [InlineData("")]
    [InlineData("www.example.com")]
    [InlineData("127.0.0.1:3000")]
    [InlineData("a:")]
    [InlineData("a:65535")]
    [InlineData("[::1]")]
    [InlineData("[fe80::1:2.3.4.5]:80")]
    [InlineData("[1:2:3:4:5:6:7:8]")]
    [InlineData("[2001:DB8::]:")]
    [InlineData("%6c%6F")]
    [InlineData("a_b~c%41!$&'()*+;=")]
    public void Host_is_a_name_or_an_address_with_or_without_a_port(string host) =>
        Assert.Equal(ParseStatus.Complete, Parsed.EveryWay($"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").Status);

    [Theory]
    [InlineData("http://a.example/", "A.EXAMPLE")]
    [InlineData("http://a.example:80/", "a.example")]
    [InlineData("http://a.example", "a.example:80")]
    [InlineData("http://a.example:/", "a.example")]
    [InlineData("https://a.example/", "a.example:443")]
    [InlineData("https://a.example:80/", "a.example:80")]
    [InlineData("http://[::1]:3000/", "[::1]:3000")]
    public void Target_in_absolute_form_and_host_may_differ_in_case_and_default_port(string target, string host) =>
        Assert.Equal(ParseStatus.Complete, Parsed.EveryWay($"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").Status);

    [Theory]
    [InlineData("1.1", "", "keep-alive")]
    [InlineData("1.1", "Connection: close\r\n", "close")]
    [InlineData("1.1", "Connection: Upgrade , CLOSE\r\n", "close")]
    [InlineData("1.1", "Connection: keep-alive\r\nConnection: close\r\n", "close")]
    [InlineData("1.1", "Connection: closed\r\n", "keep-alive")]
    [InlineData("1.0", "", "close")]
    [InlineData("1.0", "Connection: Keep-Alive\r\n", "keep-alive")]
    [InlineData("1.0", "Connection: keep-alive, close\r\n", "close")]
    public void Connection_option_decides_whether_the_connection_is_kept(string version, string fields, string expected)
    {
        Parsed parsed = Parsed.EveryWay($"GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
        Assert.Contains($" length=-1 {expected}\n", parsed.Head, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("1.1", "Content-Length: 0\r\n", "length=0 keep-alive\n")]
    [InlineData("1.1", "content-length: 0042\r\n", "length=42 keep-alive\n")]
    [InlineData("1.1", "TRANSFER-ENCODING: \tChunked \r\n", "length=-1 chunked keep-alive\n")]
    [InlineData("1.1", "Expect: 100-Continue\r\nContent-Length: 1\r\n", "length=1 keep-alive expect-continue\n")]
    [InlineData("1.1", "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n", "chunked keep-alive expect-continue\n")]
    [InlineData("1.1", "Expect: 100-continue\r\n", "length=-1 keep-alive\n")]
    [InlineData("1.0", "Expect: 100-continue\r\nContent-Length: 1\r\n", "length=1 close\n")]
    public void Length_of_the_content_and_the_wish_to_wait_for_100_are_known(string version, string fields, string expected)
    {
        Parsed parsed = Parsed.EveryWay($"POST / HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
        Assert.Contains(expected, parsed.Head, StringComparison.Ordinal);
    }

    [Fact]
    public void One_empty_line_before_the_request_line_is_forgiven()
    {
        Parsed parsed = Parsed.EveryWay("\r\n" + Get);
        Assert.Equal(ParseStatus.Complete, parsed.Status);
        Assert.Equal(Get.Length + 2, parsed.ConsumedBytes);
    }

    [Fact]
    public void HTTP_1_0_needs_no_host() =>
        Assert.Equal(ParseStatus.Complete, Parsed.EveryWay("GET / HTTP/1.0\r\n\r\n").Status);

    [Fact]
    public void Every_prefix_of_a_head_asks_for_more_and_consumes_nothing()
    {
        byte[] bytes = Encoding.ASCII.GetBytes("\r\n" + Get);
        for (int count = 0; count < bytes.Length; count++)
        {
            Assert.Equal(ParseStatus.NeedMore, Parsed.EveryWay(bytes[..count]).Status);
        }
    }

    [Fact]
    public void Head_may_be_cut_in_other_places_at_every_read()
    {
        byte[] bytes = Encoding.ASCII.GetBytes(Get);
        for (int arrived = 0; arrived < bytes.Length; arrived++)
        {
            for (int cut = 0; cut <= bytes.Length; cut++)
            {
                var parser = new RequestParser(HttpLimits.Default);
                using var head = new RequestHead();
                ReadOnlySequence<byte> first = Segments.Whole(bytes[..arrived]);
                Assert.Equal(ParseStatus.NeedMore, parser.TryParse(first, head, out _, out _));
                Assert.Equal(ParseStatus.Complete, parser.TryParse(Segments.SplitAt(bytes, cut), head, out _, out _));
                Assert.Equal("limit=5", Encoding.ASCII.GetString(head.Query));
            }
        }
    }

    [Fact]
    public void Pipelined_requests_are_read_one_after_another_from_one_buffer()
    {
        byte[] bytes = Encoding.ASCII.GetBytes(
            "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nxyz"
            + "\r\nGET /b HTTP/1.1\r\nHost: b\r\nA: 1\r\n\r\n"
            + "GET /c HTTP/1.0\r\n\r\n");
        for (int index = 0; index <= bytes.Length; index++)
        {
            ReadOnlySequence<byte> input = Segments.SplitAt(bytes, index);
            var parser = new RequestParser(HttpLimits.Default);
            using var head = new RequestHead();
            foreach ((string path, int fields) in new[] { ("/a", 2), ("/b", 2), ("/c", 0) })
            {
                Assert.Equal(ParseStatus.Complete, parser.TryParse(input, head, out SequencePosition consumed, out _));
                Assert.Equal(path, Encoding.ASCII.GetString(head.Path));
                Assert.Equal(fields, head.FieldCount);
                input = input.Slice(consumed);

                var content = new ArrayBufferWriter<byte>();
                var body = new RequestBody(head, HttpLimits.Default);
                Assert.Equal(BodyStatus.Complete, body.TryRead(ref input, content, out _));
                Assert.Equal(path == "/a" ? "xyz" : "", Encoding.ASCII.GetString(content.WrittenSpan));
            }

            Assert.True(input.IsEmpty);
        }
    }

    [Fact]
    public void Head_keeps_its_bytes_when_the_input_is_overwritten()
    {
        byte[] bytes = Encoding.ASCII.GetBytes(Get);
        using var head = new RequestHead();
        new RequestParser(HttpLimits.Default).TryParse(Segments.Whole(bytes), head, out _, out _);
        bytes.AsSpan().Fill((byte)'#');
        Assert.Equal("/rooms", Encoding.ASCII.GetString(head.Path));
        Assert.True(head.TryGetField("host"u8, out ReadOnlySpan<byte> host) && host.SequenceEqual("localhost:3000"u8));
    }

    [Fact]
    public void Refusal_is_repeated_until_the_parser_is_reset()
    {
        var parser = new RequestParser(HttpLimits.Default);
        using var head = new RequestHead();
        ReadOnlySequence<byte> good = Segments.Whole(Encoding.ASCII.GetBytes(Get));
        Assert.Equal(ParseStatus.Invalid, parser.TryParse(Segments.Whole("\n"u8.ToArray()), head, out _, out ProtocolError first));
        Assert.Equal(ParseStatus.Invalid, parser.TryParse(good, head, out _, out ProtocolError second));
        Assert.Equal(first, second);
        parser.Reset();
        Assert.Equal(ParseStatus.Complete, parser.TryParse(good, head, out _, out _));
    }

    [Theory]
    [InlineData(1, false)]
    [InlineData(1, true)]
    [InlineData(7, true)]
    [InlineData(4096, true)]
    public void Cost_is_linear_in_the_bytes_of_a_head_however_they_arrive(int step, bool inSegments)
    {
        byte[] bytes = Encoding.ASCII.GetBytes(
            "GET /" + new string('a', 8000) + " HTTP/1.1\r\nHost: a\r\nCookie: " + new string('b', 20_000) + "\r\nX: y\r\n\r\n");
        var parser = new RequestParser(HttpLimits.Default);
        using var head = new RequestHead();
        ParseStatus status = ParseStatus.NeedMore;
        for (int count = step; status == ParseStatus.NeedMore; count += step)
        {
            byte[] arrived = bytes[..Math.Min(count, bytes.Length)];
            // Two segments, not one per byte: the sequence of the test would then cost more than the parser.
            ReadOnlySequence<byte> input = inSegments ? Segments.SplitAt(arrived, arrived.Length / 2) : Segments.Whole(arrived);
            status = parser.TryParse(input, head, out _, out _);
        }

        Assert.Equal(ParseStatus.Complete, status);
        // Only a CR that arrives without its LF is looked at twice: once a line, of which there are five.
        Assert.InRange(parser.BytesScanned, bytes.Length - 5, bytes.Length + 5);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Parsing_allocates_nothing_once_the_buffer_is_rented(bool inSegments)
    {
        byte[] bytes = Encoding.ASCII.GetBytes(Get);
        ReadOnlySequence<byte> input = inSegments ? Segments.SplitAt(bytes, 30) : Segments.Whole(bytes);
        var parser = new RequestParser(HttpLimits.Default);
        using var head = new RequestHead();
        parser.TryParse(input, head, out _, out _);

        long before = GC.GetAllocatedBytesForCurrentThread();
        bool isComplete = true;
        for (int run = 0; run < 1000; run++)
        {
            isComplete &= parser.TryParse(input, head, out _, out _) == ParseStatus.Complete;
            isComplete &= head.TryGetField("accept"u8, out _) && !head.HasListToken("connection"u8, "upgrade"u8);
        }

        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(isComplete);
        Assert.Equal(0, allocated);
    }

    [Fact]
    public void Limits_that_contradict_each_other_are_refused_at_start() =>
        Assert.Throws<InvariantException>(() => new RequestParser(new HttpLimits { HeadBytesMax = 8192 }));

    /// <summary>
    /// Parses a field with a run of 'x' of every length in it and every octet at every place of the run. <paramref name="lengths"/>
    /// gives those of name and value, from octet, place and length of the run, or null for a line to be refused.
    /// </summary>
    private static List<string> MisreadFields(
        int lengthMax, string before, string after, Func<char, int, int, (int Name, int Value)?> lengths)
    {
        string start = $"GET / HTTP/1.1\r\nHost: a\r\n{before}";
        var parser = new RequestParser(HttpLimits.Default);
        using var head = new RequestHead();
        var misread = new List<string>();
        for (int length = 1; length <= lengthMax; length++)
        {
            byte[] bytes = Encoding.ASCII.GetBytes($"{start}{new string('x', length)}{after}\r\n\r\n");
            ReadOnlySequence<byte> input = Segments.Whole(bytes);
            for (int place = 0; place < length; place++)
            {
                for (int octet = 0; octet < 256; octet++)
                {
                    bytes[start.Length + place] = (byte)octet;
                    bool isComplete = parser.TryParse(input, head, out _, out _) == ParseStatus.Complete;
                    (int Name, int Value)? found = isComplete ? (head.Field(1).Name.Length, head.Field(1).Value.Length) : null;
                    if (found != lengths((char)octet, place, length))
                    {
                        misread.Add($"0x{octet:x2} at {place} of {length}: {found}");
                    }

                    parser.Reset();
                }

                bytes[start.Length + place] = (byte)'x';
            }
        }

        return misread;
    }
}
