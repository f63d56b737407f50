using System.Buffers;
using System.Text;
using Chat.Protocol.Http;
using Chat.Protocol.WebSocket;

namespace Chat.Protocol.Tests.WebSocket;

public class HandshakeTests
{
    // RFC 6455 section 1.3.
    private const string RfcExample =
        "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://example.com\r\n"
        + "Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n\r\n";

    [Fact]
    public void RFC_6455_section_1_3_example_is_accepted()
    {
        using RequestHead head = Parse(RfcExample);
        Assert.True(Handshake.IsUpgrade(head));
        Assert.True(Handshake.TryRead(head, out OpeningHandshake handshake, out ProtocolError error));
        Assert.True(error.IsNone);
        Assert.False(handshake.OffersChatV1);
        var output = new ArrayBufferWriter<byte>();
        Handshake.WriteAccepted(output, handshake);
        Assert.Equal(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            Encoding.ASCII.GetString(output.WrittenSpan));
    }

    [Theory]
    [InlineData("Sec-WebSocket-Protocol: chat.v1", true, "")]
    [InlineData("Sec-WebSocket-Protocol: chat.v1, bearer.a.b-_.c", true, "a.b-_.c")]
    [InlineData("Sec-WebSocket-Protocol: bearer.x,chat.v1", true, "x")]
    [InlineData("Sec-WebSocket-Protocol: chat.v1\r\nSec-WebSocket-Protocol: bearer.x", true, "x")]
    [InlineData("Sec-WebSocket-Protocol: bearer.x", false, "x")]
    [InlineData("Sec-WebSocket-Protocol: Chat.v1, bearer", false, "")]
    [InlineData("Sec-WebSocket-Protocol: bearer.", false, "")]
    [InlineData("Sec-WebSocket-Protocol: , chat.v1,", true, "")]
    [InlineData("Sec-WebSocket-Protocol: chat.v1, Chat.v1, chat.v", true, "")]
    public void Subprotocol_is_confirmed_and_the_token_is_not(string line, bool offersChatV1, string token)
    {
        using RequestHead head = Parse(RfcExample.Replace("Sec-WebSocket-Protocol: chat, superchat", line, StringComparison.Ordinal));
        Assert.True(Handshake.TryRead(head, out OpeningHandshake handshake, out _));
        Assert.Equal(offersChatV1, handshake.OffersChatV1);
        Assert.Equal(token, Encoding.ASCII.GetString(handshake.BearerToken));
        var output = new ArrayBufferWriter<byte>();
        Handshake.WriteAccepted(output, handshake);
        string subprotocol = offersChatV1 ? "Sec-WebSocket-Protocol: chat.v1\r\n" : "";
        Assert.EndsWith("Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" + subprotocol + "\r\n", Encoding.ASCII.GetString(output.WrittenSpan), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Upgrade: websocket", "Upgrade: WebSocket")]
    [InlineData("Upgrade: websocket", "Upgrade: h2c, websocket")]
    [InlineData("Connection: Upgrade", "Connection: keep-alive, upgrade")]
    [InlineData("Connection: Upgrade", "Connection: keep-alive\r\nConnection: UPGRADE")]
    [InlineData("Origin: http://example.com", "Content-Length: 0")]
    public void Variation_that_the_RFC_allows_is_accepted(string line, string variation)
    {
        using RequestHead head = Parse(RfcExample.Replace(line, variation, StringComparison.Ordinal));
        Assert.True(Handshake.TryRead(head, out _, out _));
    }

    [Theory]
    [InlineData("GET ", "POST ", nameof(Handshake.NotGet))]
    [InlineData("HTTP/1.1", "HTTP/1.0", nameof(Handshake.NotHttp11))]
    [InlineData("Upgrade: websocket", "A: b", nameof(Handshake.UpgradeMissing))]
    [InlineData("Upgrade: websocket", "Upgrade: websocket/13", nameof(Handshake.UpgradeMissing))]
    [InlineData("Connection: Upgrade", "A: b", nameof(Handshake.ConnectionUpgradeMissing))]
    [InlineData("Connection: Upgrade", "Connection: keep-alive", nameof(Handshake.ConnectionUpgradeMissing))]
    [InlineData("Origin: http://example.com", "Content-Length: 1", nameof(Handshake.ContentNotAllowed))]
    [InlineData("Origin: http://example.com", "Transfer-Encoding: chunked", nameof(Handshake.ContentNotAllowed))]
    [InlineData("Sec-WebSocket-Version: 13", "A: b", nameof(Handshake.VersionUnsupported))]
    [InlineData("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8", nameof(Handshake.VersionUnsupported))]
    [InlineData("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 013", nameof(Handshake.VersionUnsupported))]
    [InlineData("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13, 8", nameof(Handshake.VersionUnsupported))]
    [InlineData("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13", nameof(Handshake.VersionRepeated))]
    [InlineData("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "A: b", nameof(Handshake.KeyMissingOrRepeated))]
    [InlineData("Origin: http://example.com", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", nameof(Handshake.KeyMissingOrRepeated))]
    [InlineData("dGhlIHNhbXBsZSBub25jZQ==", "", nameof(Handshake.KeyMalformed))]
    [InlineData("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ", nameof(Handshake.KeyMalformed))]
    [InlineData("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=", nameof(Handshake.KeyMalformed))]
    [InlineData("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZTE=", nameof(Handshake.KeyMalformed))]
    [InlineData("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZTEy", nameof(Handshake.KeyMalformed))]
    [InlineData("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j Q==", nameof(Handshake.KeyMalformed))]
    [InlineData("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZ_==", nameof(Handshake.KeyMalformed))]
    [InlineData("dGhlIHNhbXBsZSBub25jZQ==", "AAAAAAAAAAAAAAAAAAAAAAAAAAAA", nameof(Handshake.KeyMalformed))]
    [InlineData("chat, superchat", "bearer.a, bearer.b", nameof(Handshake.BearerTokenRepeated))]
    [InlineData("chat, superchat", "chat super", nameof(Handshake.SubprotocolMalformed))]
    [InlineData("chat, superchat", "chat, super/chat", nameof(Handshake.SubprotocolMalformed))]
    [InlineData("chat, superchat", "\"chat\"", nameof(Handshake.SubprotocolMalformed))]
    [InlineData("chat, superchat", "bearer.a=b;c", nameof(Handshake.SubprotocolMalformed))]
    [InlineData("chat, superchat", "", nameof(Handshake.SubprotocolMalformed))]
    [InlineData("chat, superchat", " , ,", nameof(Handshake.SubprotocolMalformed))]
    [InlineData("chat, superchat", "chat, chat", nameof(Handshake.SubprotocolRepeated))]
    [InlineData("chat, superchat", "chat.v1, , superchat,chat.v1", nameof(Handshake.SubprotocolRepeated))]
    [InlineData("chat, superchat", "chat, superchat\r\nSec-WebSocket-Protocol: superchat", nameof(Handshake.SubprotocolRepeated))]
    [InlineData("chat, superchat", "chat\r\nsec-websocket-protocol:\r\nSEC-WEBSOCKET-PROTOCOL: chat", nameof(Handshake.SubprotocolRepeated))]
    [InlineData("chat, superchat", "bearer., bearer.", nameof(Handshake.SubprotocolRepeated))]
    public void Handshake_is_refused(string part, string replacement, string expected)
    {
        using RequestHead head = Parse(RfcExample.Replace(part, replacement, StringComparison.Ordinal));
        Assert.False(Handshake.TryRead(head, out OpeningHandshake handshake, out ProtocolError error));
        Assert.Equal(typeof(Handshake).GetField(expected)!.GetValue(null), error);
        Assert.True(handshake.Key.IsEmpty && handshake.BearerToken.IsEmpty);
    }

    [Theory]
    [InlineData(32, true)]
    [InlineData(33, false)]
    public void No_more_than_32_subprotocols_are_read(int count, bool isAccepted)
    {
        string subprotocols = string.Join(',', Enumerable.Range(0, count).Select(index => $"s{index}"));
        using RequestHead head = Parse(RfcExample.Replace("chat, superchat", subprotocols, StringComparison.Ordinal));
        Assert.Equal(isAccepted, Handshake.TryRead(head, out _, out ProtocolError error));
        Assert.Equal(isAccepted ? default : Handshake.SubprotocolsTooMany, error);
    }

    [Fact]
    public void Unsupported_version_is_answered_with_426_and_the_one_we_speak()
    {
        using RequestHead head = Parse(RfcExample.Replace("Version: 13", "Version: 8", StringComparison.Ordinal));
        Assert.False(Handshake.TryRead(head, out _, out ProtocolError error));
        var output = new ArrayBufferWriter<byte>();
        var response = new ResponseWriter(output, head, error.Code, "Sun, 06 Nov 1994 08:49:37 GMT"u8, keepAlive: true);
        Handshake.WriteRefusalFields(ref response, error);
        response.End();
        Assert.Equal(
            "HTTP/1.1 426 Upgrade Required\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
            + "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n",
            Encoding.ASCII.GetString(output.WrittenSpan));
    }

    [Theory]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\n\r\n", false)]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n", false)]
    [InlineData("GET / HTTP/1.0\r\nUpgrade: websocket\r\n\r\n", true)]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", true)]
    [InlineData("POST / HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\n\r\n", true)]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\nUpgade: websocket\r\nSec-WebSocket-Key: a\r\n\r\n", true)]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Version: 8\r\n\r\n", true)]
    [InlineData("GET / HTTP/1.0\r\nSec-WebSocket-Version: 13\r\n\r\n", true)]
    public void An_attempt_is_told_from_a_plain_request(string text, bool expected)
    {
        using RequestHead head = Parse(text);
        Assert.Equal(expected, Handshake.IsUpgrade(head));
    }

    [Fact]
    public void Handshake_allocates_nothing()
    {
        using RequestHead head = Parse(RfcExample);
        var output = new ArrayBufferWriter<byte>(1024);
        long before = 0;
        bool isAccepted = true;
        for (int run = 0; run < 101; run++)
        {
            before = run == 1 ? GC.GetAllocatedBytesForCurrentThread() : before;
            output.ResetWrittenCount();
            isAccepted &= Handshake.TryRead(head, out OpeningHandshake handshake, out _);
            Handshake.WriteAccepted(output, handshake);
        }

        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(isAccepted);
        Assert.Equal(0, allocated);
    }

    private static RequestHead Parse(string text)
    {
        var head = new RequestHead();
        byte[] bytes = Encoding.ASCII.GetBytes(text);
        ParseStatus status = new RequestParser(HttpLimits.Default).TryParse(Segments.Whole(bytes), head, out _, out _);
        Assert.Equal(ParseStatus.Complete, status);
        return head;
    }
}
