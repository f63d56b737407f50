using System.Text;
using Chat.Protocol.Http;

namespace Chat.Protocol.Tests.Http;

/// <summary>Requests that must not be understood, each for its own reason. Most of them are known ways to smuggle a request.</summary>
public class RequestRefusalTests
{
    public static TheoryData<string, string> RequestLines => new()
    {
        { "GET / HTTP/1.1\nHost: a\r\n\r\n", nameof(RequestErrors.BareLf) },
        { "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", nameof(RequestErrors.BareLf) },
        { "GET / HTTP/1.1\rHost: a\r\n\r\n", nameof(RequestErrors.BareCr) },
        { "GET / HTTP/1.1\r\rHost: a\r\n\r\n", nameof(RequestErrors.BareCr) },
        { "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", nameof(RequestErrors.BareCr) },
        { "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", nameof(RequestErrors.RequestLineMalformed) },
        { "GET /\0 HTTP/1.1\r\n", nameof(RequestErrors.ControlCharacter) },
        { "GET /\u007F HTTP/1.1\r\n", nameof(RequestErrors.ControlCharacter) },
        { "GET\r\n", nameof(RequestErrors.RequestLineMalformed) },
        { "GET \r\n", nameof(RequestErrors.RequestLineMalformed) },
        { "GET /\r\n", nameof(RequestErrors.RequestLineMalformed) },
        { "GET  / HTTP/1.1\r\n", nameof(RequestErrors.RequestLineMalformed) },
        { "GET /  HTTP/1.1\r\n", nameof(RequestErrors.VersionMalformed) },
        { "GET / HTTP/1.1 \r\n", nameof(RequestErrors.VersionMalformed) },
        { "GET /a b HTTP/1.1\r\n", nameof(RequestErrors.VersionMalformed) },
        { "GET / http/1.1\r\n", nameof(RequestErrors.VersionMalformed) },
        { "GET / HTTP/1.10\r\n", nameof(RequestErrors.VersionMalformed) },
        { "GET / HTTP/1.\r\n", nameof(RequestErrors.VersionMalformed) },
        { "GET / HTTP/1.2\r\n", nameof(RequestErrors.VersionUnsupported) },
        { "GET / HTTP/0.9\r\n", nameof(RequestErrors.VersionUnsupported) },
        { "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", nameof(RequestErrors.VersionUnsupported) },
        { " GET / HTTP/1.1\r\n", nameof(RequestErrors.MethodMalformed) },
        { "GET\t/ HTTP/1.1\r\n", nameof(RequestErrors.MethodMalformed) },
        { "G(T / HTTP/1.1\r\n", nameof(RequestErrors.MethodMalformed) },
        { "\u0016\u0003\u0001", nameof(RequestErrors.ControlCharacter) },
        { new string('A', 33) + " / HTTP/1.1\r\n", nameof(RequestErrors.MethodTooLong) },
        { "CONNECT a.example:80 HTTP/1.1\r\n", nameof(RequestErrors.ConnectRefused) },
        { "GET a.example:80 HTTP/1.1\r\n", nameof(RequestErrors.TargetMalformed) },
        { "GET rooms HTTP/1.1\r\n", nameof(RequestErrors.TargetMalformed) },
        { "GET * HTTP/1.1\r\n", nameof(RequestErrors.TargetMalformed) },
        { "OPTIONS ** HTTP/1.1\r\n", nameof(RequestErrors.TargetMalformed) },
        { "GET /a#b HTTP/1.1\r\n", nameof(RequestErrors.TargetMalformed) },
        { "GET /\u00E9 HTTP/1.1\r\n", nameof(RequestErrors.TargetMalformed) },
        { "GET /\t HTTP/1.1\r\n", nameof(RequestErrors.TargetMalformed) },
        { "GET http:///a HTTP/1.1\r\n", nameof(RequestErrors.TargetMalformed) },
        { "GET http://:80/a HTTP/1.1\r\n", nameof(RequestErrors.TargetMalformed) },
        { "GET http://user@a/ HTTP/1.1\r\n", nameof(RequestErrors.TargetMalformed) },
        { "GET ftp://a/ HTTP/1.1\r\n", nameof(RequestErrors.TargetMalformed) },
        { "GET http:/a HTTP/1.1\r\n", nameof(RequestErrors.TargetMalformed) },
    };

    public static TheoryData<string, string> FieldLines => new()
    {
        { "A: b\nC: d\r\n", nameof(RequestErrors.BareLf) },
        { "A: b\n\r\n", nameof(RequestErrors.BareLf) },
        { "A: b\rC: d\r\n", nameof(RequestErrors.BareCr) },
        { "A: b\r\r\n", nameof(RequestErrors.BareCr) },
        { "A: b\0c\r\n", nameof(RequestErrors.ControlCharacter) },
        { "A: b\u000Bc\r\n", nameof(RequestErrors.ControlCharacter) },
        { "A: b\u007Fc\r\n", nameof(RequestErrors.ControlCharacter) },
        { "A\0: b\r\n", nameof(RequestErrors.ControlCharacter) },
        { "A: b\r\n c\r\n", nameof(RequestErrors.ObsFold) },
        { "A: b\r\n\tc\r\n", nameof(RequestErrors.ObsFold) },
        { " A: b\r\n", nameof(RequestErrors.ObsFold) },
        { "A : b\r\n", nameof(RequestErrors.SpaceBeforeColon) },
        { "A\t: b\r\n", nameof(RequestErrors.SpaceBeforeColon) },
        { "Content-Length : 5\r\n", nameof(RequestErrors.SpaceBeforeColon) },
        { ": b\r\n", nameof(RequestErrors.FieldNameMalformed) },
        { "A\r\n", nameof(RequestErrors.FieldNameMalformed) },
        { "A b: c\r\n", nameof(RequestErrors.FieldNameMalformed) },
        { "A(b): c\r\n", nameof(RequestErrors.FieldNameMalformed) },
        { "\u00C0: c\r\n", nameof(RequestErrors.FieldNameMalformed) },
        { "Host: b\r\n", nameof(RequestErrors.HostRepeated) },
        { "Expect: 200-ok\r\n", nameof(RequestErrors.ExpectationFailed) },
        { "Expect:\r\n", nameof(RequestErrors.ExpectationFailed) },
        { "Expect: 100-continue, 100-continue\r\n", nameof(RequestErrors.ExpectationFailed) },
        { "Content-Length:\r\n", nameof(RequestErrors.ContentLengthMalformed) },
        { "Content-Length: +5\r\n", nameof(RequestErrors.ContentLengthMalformed) },
        { "Content-Length: -5\r\n", nameof(RequestErrors.ContentLengthMalformed) },
        { "Content-Length: 0x5\r\n", nameof(RequestErrors.ContentLengthMalformed) },
        { "Content-Length: 5 5\r\n", nameof(RequestErrors.ContentLengthMalformed) },
        { "Content-Length: 5, 5\r\n", nameof(RequestErrors.ContentLengthMalformed) },
        { "Content-Length: 5,\r\n", nameof(RequestErrors.ContentLengthMalformed) },
        { "Content-Length: 1_000\r\n", nameof(RequestErrors.ContentLengthMalformed) },
        { "Content-Length: \u00B2\r\n", nameof(RequestErrors.ContentLengthMalformed) },
        { "Content-Length: 9223372036854775808\r\n", nameof(RequestErrors.ContentLengthMalformed) },
        { "Content-Length: 18446744073709551621\r\n", nameof(RequestErrors.ContentLengthMalformed) },
        { "Content-Length: 9223372036854775807\r\n", nameof(RequestErrors.BodyTooLarge) },
        { "Content-Length: 65537\r\n", nameof(RequestErrors.BodyTooLarge) },
        { "Content-Length: 5\r\nContent-Length: 5\r\n", nameof(RequestErrors.ContentLengthRepeated) },
        { "Content-Length: 5\r\nContent-Length: 6\r\n", nameof(RequestErrors.ContentLengthRepeated) },
        { "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", nameof(RequestErrors.TwoBodyLengths) },
        { "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", nameof(RequestErrors.TwoBodyLengths) },
        { "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", nameof(RequestErrors.TransferEncodingRepeated) },
        { "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", nameof(RequestErrors.TransferEncodingRepeated) },
        { "Transfer-Encoding:\r\n", nameof(RequestErrors.TransferEncodingMalformed) },
        { "Transfer-Encoding: xchunked\r\n", nameof(RequestErrors.TransferEncodingMalformed) },
        { "Transfer-Encoding: identity\r\n", nameof(RequestErrors.TransferEncodingMalformed) },
        { "Transfer-Encoding: gzip\r\n", nameof(RequestErrors.TransferEncodingMalformed) },
        { "Transfer-Encoding: \"chunked\"\r\n", nameof(RequestErrors.TransferEncodingMalformed) },
        { "Transfer-Encoding: chunked, chunked\r\n", nameof(RequestErrors.TransferEncodingMalformed) },
        { "Transfer-Encoding: chunked, gzip\r\n", nameof(RequestErrors.TransferEncodingMalformed) },
        { "Transfer-Encoding: chunked,\r\n", nameof(RequestErrors.TransferEncodingMalformed) },
        { "Transfer-Encoding: ,chunked\r\n", nameof(RequestErrors.TransferEncodingMalformed) },
        { "Transfer-Encoding: chunked;a=b\r\n", nameof(RequestErrors.TransferEncodingMalformed) },
        { "Transfer-Encoding: chunked\u00A0\r\n", nameof(RequestErrors.TransferEncodingMalformed) },
        { "Transfer-Encoding: chunked\u000B\r\n", nameof(RequestErrors.ControlCharacter) },
        { "Transfer-Encoding:\u000Bchunked\r\n", nameof(RequestErrors.ControlCharacter) },
        { "Transfer-Encoding\r\n: chunked\r\n", nameof(RequestErrors.FieldNameMalformed) },
        { "Transfer-Encoding: gzip, chunked\r\n", nameof(RequestErrors.TransferCodingUnknown) },
    };

    public static TheoryData<string> BadHosts => new()
    {
        "a b", "a/b", "a@b", "a:b", "a:80:80", "a:65536", "a:18446744073709551696", "a:+80", "a:8\u00E9", "[::1", "[]", "[::1]a", "[g]", "::1", "a#", "a\\b", "\u00E9.example", "a?b", "a,b",
        "[1::2::3]", "[1:2:3]", "[1:2:3:4:5:6:7:8:9]", "[12345::1]", "[::256.1.1.1]", "[::1.2.3]", "[1.2.3.4]", "[:]", "[:::]", "[::1%25eth0]",
        "a%zz", "a%", "a%4", "%:80", "a%4%41",
    };

    [Theory]
    [MemberData(nameof(RequestLines))]
    public void Request_line_is_refused(string text, string error) => AssertRefused(text, error);

    [Theory]
    [MemberData(nameof(FieldLines))]
    public void Field_line_is_refused(string lines, string error) =>
        AssertRefused("POST / HTTP/1.1\r\nHost: a\r\n" + lines + "\r\n", error);

    [Theory]
    [MemberData(nameof(BadHosts))]
    public void Host_is_refused(string host) =>
        AssertRefused($"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n", nameof(RequestErrors.HostMalformed));

    [Theory]
    [InlineData("http://a/", "b")]
    [InlineData("http://a/", "")]
    [InlineData("http://a:81/", "a")]
    [InlineData("http://a/", "a:443")]
    [InlineData("https://a/", "a:80")]
    [InlineData("http://a.b/", "a")]
    public void Target_in_absolute_form_that_names_another_host_is_refused(string target, string host) =>
        AssertRefused($"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n", nameof(RequestErrors.HostMismatch));

    [Theory]
    [InlineData("GET / HTTP/1.1\r\n\r\n")]
    [InlineData("GET http://a/ HTTP/1.1\r\nX-Host: a\r\n\r\n")]
    public void HTTP_1_1_without_host_is_refused(string text) => AssertRefused(text, nameof(RequestErrors.HostMissing));

    [Fact]
    public void Transfer_encoding_in_HTTP_1_0_is_refused() =>
        AssertRefused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", nameof(RequestErrors.TransferEncodingInHttp10));

    [Fact]
    public void Good_request_that_turns_bad_is_refused_at_its_first_bad_line_without_waiting_for_the_rest()
    {
        Assert.Equal(ParseStatus.NeedMore, Parsed.EveryWay("GET / HTTP/1.1\r\nHost: a\r\nA : b\r").Status);
        AssertRefused("GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n", nameof(RequestErrors.SpaceBeforeColon));
        AssertRefused("GET / HTTP/1.1\r\nHost: a\n", nameof(RequestErrors.BareLf));
    }

    [Fact]
    public void Target_is_refused_one_byte_beyond_its_limit_and_before_its_line_ends()
    {
        var limits = new HttpLimits { TargetBytesMax = 20, HeadBytesMax = 200 };
        string longest = "/" + new string('a', 19);
        Assert.Equal(ParseStatus.Complete, Parsed.EveryWay($"GET {longest} HTTP/1.1\r\nHost: a\r\n\r\n", limits).Status);
        AssertRefused($"GET {longest}a HTTP/1.1\r\nHost: a\r\n\r\n", nameof(RequestErrors.TargetTooLong), limits);
        string longestLine = new string('M', 32) + " " + longest + " HTTP/1.1";
        Assert.Equal(ParseStatus.Complete, Parsed.EveryWay(longestLine + "\r\nHost: a\r\n\r\n", limits).Status);
        AssertRefused(longestLine + "1", nameof(RequestErrors.TargetTooLong), limits);
        AssertRefused("GET /" + new string('a', 70), nameof(RequestErrors.TargetTooLong), limits);
        AssertRefused("GET /" + new string('a', 70) + "\n", nameof(RequestErrors.TargetTooLong), limits);
        AssertRefused(new string('A', 90), nameof(RequestErrors.MethodTooLong), limits);
    }

    [Fact]
    public void Head_is_refused_one_byte_beyond_its_limit_and_before_it_ends()
    {
        var limits = new HttpLimits { TargetBytesMax = 20, HeadBytesMax = 200 };
        const string Start = "GET / HTTP/1.1\r\nHost: a\r\nA: ";
        string largest = Start + new string('b', 200 - Start.Length - 4) + "\r\n\r\n";
        Assert.Equal(ParseStatus.Complete, Parsed.EveryWay(largest, limits).Status);
        Assert.Equal(ParseStatus.Complete, Parsed.EveryWay(largest + "body", limits).Status);
        AssertRefused(largest.Replace("A: ", "A: b", StringComparison.Ordinal), nameof(RequestErrors.HeadTooLarge), limits);
        AssertRefused(Start + new string('b', 200), nameof(RequestErrors.HeadTooLarge), limits);
        AssertRefused(Start + new string('b', 200) + "\0", nameof(RequestErrors.HeadTooLarge), limits);
    }

    [Fact]
    public void More_field_lines_than_the_limit_are_refused()
    {
        string lines = string.Concat(Enumerable.Repeat("A: b\r\n", 99));
        Assert.Equal(ParseStatus.Complete, Parsed.EveryWay("GET / HTTP/1.1\r\nHost: a\r\n" + lines + "\r\n").Status);
        AssertRefused("GET / HTTP/1.1\r\nHost: a\r\n" + lines + "A: b\r\n", nameof(RequestErrors.TooManyFields));
    }

    private static void AssertRefused(string text, string error, HttpLimits? limits = null)
    {
        Parsed parsed = Parsed.EveryWay(Encoding.Latin1.GetBytes(text), limits);
        Assert.Equal(ParseStatus.Invalid, parsed.Status);
        Assert.Equal(typeof(RequestErrors).GetField(error)!.GetValue(null), parsed.Error);
    }
}
