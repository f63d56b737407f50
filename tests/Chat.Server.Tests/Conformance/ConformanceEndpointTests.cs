using System.Text.Json;
using Chat.Server.Tests.EndToEnd;

namespace Chat.Server.Tests.Conformance;

/// <summary>The endpoints exist with the flag and not without.</summary>
public sealed class ConformanceEndpointTests(ConformanceServer conformance, SqliteServer plain) : IClassFixture<ConformanceServer>, IClassFixture<SqliteServer>
{
    [Theory]
    [InlineData("GET /conformance/http/ HTTP/1.1\r\nHost: x\r\n\r\n", "GET", "/conformance/http/", 0)]
    [InlineData("POST /conformance/http/a?b=%22 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", "POST", "/conformance/http/a?b=%22", 5)]
    [InlineData("PUT /conformance/http/c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n", "PUT", "/conformance/http/c", 7)]
    [InlineData("OPTIONS /conformance/http/o HTTP/1.1\r\nHost: x\r\n\r\n", "OPTIONS", "/conformance/http/o", 0)]
    [InlineData("BREW /conformance/http/\"pot\" HTTP/1.1\r\nHost: x\r\n\r\n", "BREW", "/conformance/http/\"pot\"", 0)]
    public async Task Http_says_what_was_read(string request, string method, string target, int bodyBytes)
    {
        using RawClient client = await conformance.Server.ConnectRawAsync();
        for (int i = 0; i < 2; i++) // The connection stays.
        {
            await client.SendAsync(request);
            RawResponse response = await client.ReadResponseAsync();
            JsonElement json = JsonElement.Parse(response.Content);
            Assert.Equal(
                (200, method, target, (long)bodyBytes),
                (response.Status, json.Text("method"), json.Text("target"), json.Number("body_bytes")));
        }
    }

    [Fact]
    public async Task Http_counts_content_up_to_16_MiB_without_keeping_it()
    {
        const int Bytes = 16 * 1024 * 1024;
        byte[] piece = new byte[64 * 1024];
        using RawClient client = await conformance.Server.ConnectRawAsync();
        for (int i = 0; i < 2; i++)
        {
            bool isChunked = i == 1;
            string length = isChunked ? "Transfer-Encoding: chunked" : $"Content-Length: {Bytes}";
            await client.SendAsync($"POST /conformance/http/large HTTP/1.1\r\nHost: x\r\n{length}\r\n\r\n");
            for (int sent = 0; sent < Bytes; sent += piece.Length)
            {
                await client.SendAsync(isChunked ? [.. "10000\r\n"u8, .. piece, .. "\r\n"u8] : piece);
            }

            await client.SendAsync(isChunked ? "0\r\nX: y\r\n\r\n" : "");
            Assert.Equal(Bytes, JsonElement.Parse((await client.ReadResponseAsync()).Content).Number("body_bytes"));
        }

        await client.SendAsync("POST /conformance/http/larger HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1000001\r\n");
        Assert.Equal(413, (await client.ReadResponseAsync()).Status);
        await client.IsClosedAsync();
    }

    [Theory]
    [InlineData("GET /conformance/echo HTTP/1.1\r\nHost: x\r\n\r\n")]
    [InlineData("GET /conformance/echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")]
    public async Task Echo_without_a_handshake_is_told_to_upgrade(string request)
    {
        using RawClient client = await conformance.Server.ConnectRawAsync();
        await client.SendAsync(request);
        RawResponse response = await client.ReadResponseAsync();
        Assert.Equal((426, "websocket", "13"), (response.Status, response.Fields["Upgrade"], response.Fields["Sec-WebSocket-Version"]));
    }

    [Fact]
    public async Task Without_the_flag_there_is_nothing()
    {
        (await plain.Server.GetAsync("/conformance/http/")).IsProblem(404, "not_found");
        using RawClient client = await plain.Server.ConnectRawAsync();
        await client.SendAsync(RawClient.Handshake("/conformance/echo"));
        Assert.Equal(404, (await client.ReadResponseAsync()).Status);
    }
}
