using System.Buffers;
using System.Text;
using Chat.Protocol.Http;
using Chat.Protocol.WebSocket;

namespace Chat.Protocol.Tests.WebSocket;

public class DeflateParametersTests
{
    [Theory]
    [InlineData("permessage-deflate", "permessage-deflate")]
    [InlineData("Permessage-Deflate;client_max_window_bits", "permessage-deflate")]
    [InlineData("permessage-deflate; client_max_window_bits=8", "permessage-deflate")]
    [InlineData("permessage-deflate; server_no_context_takeover", "permessage-deflate; server_no_context_takeover")]
    [InlineData("permessage-deflate; client_no_context_takeover", "permessage-deflate; client_no_context_takeover")]
    [InlineData("permessage-deflate; server_max_window_bits=10", "permessage-deflate; server_max_window_bits=10")]
    [InlineData("permessage-deflate; server_max_window_bits=\"10\"", "permessage-deflate; server_max_window_bits=10")]
    [InlineData("permessage-deflate; server_max_window_bits=\"\\1\\0\"", "permessage-deflate; server_max_window_bits=10")]
    [InlineData("permessage-deflate; server_max_window_bits=8", "permessage-deflate; server_max_window_bits=8")]
    [InlineData("permessage-deflate ;\tserver_max_window_bits = 15 ; SERVER_no_context_takeover", "permessage-deflate; server_no_context_takeover; server_max_window_bits=15")]
    [InlineData("foo, permessage-deflate; server_max_window_bits=9,permessage-deflate", "permessage-deflate; server_max_window_bits=9")]
    [InlineData("permessage-deflate; server_max_window_bits=16, permessage-deflate", "permessage-deflate")]
    [InlineData("permessage-deflate; x, permessage-deflate; client_no_context_takeover", "permessage-deflate; client_no_context_takeover")]
    [InlineData(", ,permessage-deflate,", "permessage-deflate")]
    [InlineData("x; a=\"b\\c\"; d\r\nSec-WebSocket-Extensions: permessage-deflate", "permessage-deflate")]
    public void First_valid_offer_is_accepted(string offers, string answer)
    {
        Assert.True(TryNegotiate(offers, ContextTakeover.AsOffered, out DeflateParameters? agreed));
        Assert.Equal(answer, Written(agreed!.Value));
    }

    [Theory]
    [InlineData("")]
    [InlineData("permessage-bzip2")]
    [InlineData("permessage-deflate; unknown")]
    [InlineData("permessage-deflate; server_max_window_bits")]
    [InlineData("permessage-deflate; server_max_window_bits=7")]
    [InlineData("permessage-deflate; server_max_window_bits=16")]
    [InlineData("permessage-deflate; server_max_window_bits=010")]
    [InlineData("permessage-deflate; server_max_window_bits=10000000000000000000")]
    [InlineData("permessage-deflate; server_max_window_bits=10; server_max_window_bits=10")]
    [InlineData("permessage-deflate; client_max_window_bits; client_max_window_bits")]
    [InlineData("permessage-deflate; client_max_window_bits=16")]
    [InlineData("permessage-deflate; client_max_window_bits=x")]
    [InlineData("permessage-deflate; server_no_context_takeover=1")]
    [InlineData("permessage-deflate; server_no_context_takeover; server_no_context_takeover")]
    [InlineData("permessage-deflate; client_no_context_takeover=\"x\"")]
    public void Offer_that_is_not_valid_is_declined(string offers)
    {
        Assert.True(TryNegotiate(offers, ContextTakeover.AsOffered, out DeflateParameters? agreed));
        Assert.Null(agreed);
    }

    [Theory]
    [InlineData("permessage-deflate;")]
    [InlineData("permessage-deflate; server_max_window_bits=")]
    [InlineData("permessage-deflate; server_max_window_bits=\"10")]
    [InlineData("permessage-deflate; server_max_window_bits=\"\"")]
    [InlineData("permessage-deflate; server_max_window_bits=\"1 0\"")]
    [InlineData("permessage-deflate; =10")]
    [InlineData("permessage-deflate permessage-deflate")]
    [InlineData("(permessage-deflate)")]
    [InlineData("permessage-deflate; x=\"\\")]
    [InlineData("; permessage-deflate")]
    [InlineData("permessage-deflate\r\nSec-WebSocket-Extensions: ;")]
    public void Field_that_is_malformed_fails_the_handshake(string offers) =>
        Assert.False(TryNegotiate(offers, ContextTakeover.AsOffered, out _));

    [Theory]
    [InlineData("permessage-deflate", "permessage-deflate; server_no_context_takeover; client_no_context_takeover")]
    [InlineData("permessage-deflate; server_max_window_bits=12", "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12")]
    public void Server_that_keeps_no_contexts_says_so_unasked(string offers, string answer)
    {
        Assert.True(TryNegotiate(offers, ContextTakeover.None, out DeflateParameters? agreed));
        Assert.Equal(answer, Written(agreed!.Value));
    }

    [Fact]
    public void Accepted_handshake_names_the_extension()
    {
        using RequestHead head = Parse("permessage-deflate");
        Assert.True(Handshake.TryRead(head, out OpeningHandshake handshake, out _));
        Assert.True(DeflateParameters.TryNegotiate(head, ContextTakeover.AsOffered, out DeflateParameters? agreed));
        var output = new ArrayBufferWriter<byte>();
        Handshake.WriteAccepted(output, handshake, agreed);
        Assert.EndsWith("=\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", Encoding.ASCII.GetString(output.WrittenSpan), StringComparison.Ordinal);
    }

    private static bool TryNegotiate(string offers, ContextTakeover takeover, out DeflateParameters? agreed)
    {
        using RequestHead head = Parse(offers);
        return DeflateParameters.TryNegotiate(head, takeover, out agreed);
    }

    private static string Written(DeflateParameters parameters)
    {
        var output = new ArrayBufferWriter<byte>();
        parameters.Write(output);
        return Encoding.ASCII.GetString(output.WrittenSpan);
    }

    private static RequestHead Parse(string offers)
    {
        var head = new RequestHead();
        string request = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            + $"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: {offers}\r\n\r\n";
        var input = new ReadOnlySequence<byte>(Encoding.ASCII.GetBytes(request));
        Assert.Equal(ParseStatus.Complete, new RequestParser(HttpLimits.Default).TryParse(input, head, out _, out _));
        return head;
    }
}
