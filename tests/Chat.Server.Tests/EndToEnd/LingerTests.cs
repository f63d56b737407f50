using Chat.Server.Connections;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>Clients that go on sending after the server's last word. What is stored plays no part here.</summary>
public sealed class LingerTests(SqliteServer fixture) : IClassFixture<SqliteServer>
{
    private readonly RunningServer _server = fixture.Server;

    [Fact]
    public async Task Who_sends_on_slowly_after_a_refusal_is_read_and_gets_the_answer()
    {
        const int Pieces = 20;
        const int LateMs = Linger.QuietMs / 2;
        for (bool kept = false; !kept;) // A client that a busy machine holds up falls silent, and shows nothing: that is another test.
        {
            using RawClient client = await _server.ConnectRawAsync();
            await client.SendAsync("POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 80000\r\n\r\n");
            using var pace = new PeriodicTimer(TimeSpan.FromMilliseconds(40)); // 800 ms in all: longer than the server waits for a quiet peer.
            int pieces = 0;
            for (long sentAt = Environment.TickCount64; pieces < Pieces && Environment.TickCount64 - sentAt < LateMs; pieces++)
            {
                await client.SendAsync(new byte[4000]);
                sentAt = Environment.TickCount64;
                await pace.WaitForNextTickAsync(TestContext.Current.CancellationToken);
            }

            kept = pieces == Pieces;
            if (kept)
            {
                Assert.Equal(413, (await client.ReadResponseAsync()).Status);
                await client.IsClosedAsync();
            }
        }
    }

    [Fact]
    public async Task Who_floods_after_a_refusal_is_cut_off()
    {
        const int TimesMax = 400; // 26 MB: more than both kernels' buffers and a pipe; 100 ms of what loopback carries.
        using RawClient client = await _server.ConnectRawAsync();
        Task<RawResponse> answer = client.ReadResponseAsync();
        await client.SendAsync("GET /healthz HTTP/1.1\nHost: a\r\n\r\n");

        Assert.InRange(await client.FloodAsync(new byte[64 * 1024], TimesMax), 0, TimesMax - 1);
        Assert.Equal(400, (await answer).Status);
    }
}
