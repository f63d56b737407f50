using System.Text;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>What a kept connection costs while nothing is asked.</summary>
public sealed class IdleConnectionTests
{
    [Fact]
    public async Task A_connection_that_waits_for_its_next_request_holds_nothing_of_the_last()
    {
        // 30 heads of 1 MB would not fit, nor would 30 contents.
        await using RunningServer server = await RunningServer.StartAsync(ServerLaunch.Sqlite
            .With("DOTNET_GCHeapHardLimit", "0x2000000") // 32 MiB.
            .With("HTTP_HEAD_BYTES_MAX", "1048576")
            .With("HTTP_BODY_BYTES_MAX", "1048576"));
        string megabyte = new('x', 1_000_000);
        byte[] request = Encoding.ASCII.GetBytes(
            $"POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: {megabyte.Length}\r\nX: {megabyte}\r\n\r\n{megabyte}");
        var clients = new List<RawClient>();
        try
        {
            for (int i = 0; i < 30; i++)
            {
                clients.Add(await server.ConnectRawAsync());
                await clients[^1].SendAsync(request);
                Assert.Equal(400, (await clients[^1].ReadResponseAsync()).Status);
            }
        }
        finally
        {
            clients.ForEach(client => client.Dispose());
        }
    }
}
