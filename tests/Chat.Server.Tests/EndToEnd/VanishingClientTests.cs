using System.Text;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>Clients that vanish at every stage, politely (FIN) or not (RST). The others notice nothing, and nothing stays behind.</summary>
public sealed class VanishingClientTests(SqliteServer fixture) : IClassFixture<SqliteServer>
{
    private const int Rounds = 10;

    private readonly RunningServer _server = fixture.Server;

    public static TheoryData<string, string> HttpStages() => new()
    {
        { "connect", "" },
        { "mid-head", "POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Le" },
        { "mid-body", "POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n{\"email\":" },
        { "mid-chunk", "POST /auth/login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{" },
        { "before 100-continue", "POST /auth/login HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 50\r\n\r\n" },
        { "before the answer", "GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" },
        { "during a login", "POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 46\r\n\r\n{\"email\":\"no@example.com\",\"password\":\"pass12\"}" },
        { "before many answers", string.Concat(Enumerable.Repeat("GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n", 500)) },
        { "after a refusal", "GET /healthz HTTP/1.1\nHost: a\r\n\r\n" },
        { "mid-handshake", RawClient.Handshake("/ws/1?token=TOKEN")[..^2] },
        { "after the handshake", RawClient.Handshake("/ws/1?token=TOKEN") },
        { "after a refused handshake", RawClient.Handshake("/ws/1?token=bad") },
    };

    [Theory]
    [MemberData(nameof(HttpStages))]
    public async Task A_client_that_vanishes_before_its_answer_is_forgotten(string stage, string bytes)
    {
        User user = await _server.RegisterAsync();
        await NothingIsLeftAfterAsync(stage, async isReset =>
        {
            RawClient client = await _server.ConnectRawAsync();
            await client.SendAsync(bytes.Replace("TOKEN", user.Token, StringComparison.Ordinal));
            End(client, isReset);
        });
    }

    public static TheoryData<string, byte[]> SocketStages() => new()
    {
        { "idle", [] },
        { "mid-header", [0x81] },
        { "mid-mask", [0x81, 0x85, 1, 2] },
        { "mid-frame", RawClient.Frame(RawClient.Text, """{"content":"unfinished"}""")[..15] },
        { "mid-message", RawClient.Frame(RawClient.Text, "{\"content\":"u8) },
        { "before its acknowledgement", RawClient.Frame(RawClient.Text, """{"content":"x"}""") },
        { "before its pong", RawClient.Frame(RawClient.Ping, "x") },
        { "during its close", RawClient.CloseFrame(1000) },
        { "during our close", RawClient.Frame(0x80 | RawClient.Binary, "x"u8) },
    };

    [Theory]
    [MemberData(nameof(SocketStages))]
    public async Task A_socket_that_vanishes_is_forgotten_and_its_room_goes_on(string stage, byte[] bytes)
    {
        User user = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);
        await NothingIsLeftAfterAsync(stage, async isReset =>
        {
            RawClient client = await _server.UpgradeRawAsync($"/ws/{room}?token={user.Token}");
            await client.ReadEventAsync();
            await client.SendAsync(bytes);
            End(client, isReset);
        });
        using ChatSocket socket = await _server.EnterAsync(user, room);
        await socket.SayAsync("after");
        await socket.NextMessagesAsync(socket.Welcome.Number("seq") + 1, 1);
    }

    [Fact]
    public async Task Members_that_vanish_during_the_fan_out_do_not_disturb_it()
    {
        const int Messages = 500;
        User user = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);
        using (ChatSocket reader = await _server.EnterAsync(user, room))
        {
            Task filling = _server.FillAsync(user, room, Messages, "x");
            for (int i = 0; i < 20; i++)
            {
                RawClient client = await _server.UpgradeRawAsync($"/ws/{room}?token={user.Token}&since=0");
                await client.ReadEventAsync();
                End(client, isReset: i % 2 == 0);
            }

            await reader.NextMessagesAsync(1, Messages);
            await filling;
        }

        await _server.MetricBecomesAsync("chat_websockets", sockets => sockets == 0);
        Assert.Equal(Messages, (await _server.HistoryAsync(user, room)).Count);
    }

    [Fact]
    public async Task A_message_whose_rest_client_vanished_is_published_all_the_same()
    {
        User user = await _server.RegisterAsync();
        long room = await _server.CreateRoomAsync(user);
        using ChatSocket socket = await _server.EnterAsync(user, room);
        RawClient client = await _server.ConnectRawAsync();
        const string Body = """{"content":"posthumous"}""";
        await client.SendAsync(
            $"POST /rooms/{room}/messages HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {user.Token}\r\nContent-Length: {Encoding.UTF8.GetByteCount(Body)}\r\n\r\n{Body}");

        Assert.Equal("posthumous", (await socket.NextMessagesAsync(1, 1))[0].Text("content"));
        client.Reset();
        await socket.NothingElseAsync();
    }

    [Fact]
    public async Task Passwords_of_clients_who_are_gone_are_not_hashed()
    {
        const int Clients = 20;
        await using RunningServer server = await RunningServer.StartAsync(ServerLaunch.Sqlite
            .With("ARGON2_MEMORY_KIB", "65536").With("ARGON2_ITERATIONS", "8").With("ARGON2_CONCURRENCY", "1"));
        const string Body = """{"email":"no@example.com","password":"pass12"}""";
        var clients = new List<RawClient>();
        for (int i = 0; i < Clients; i++)
        {
            clients.Add(await server.ConnectRawAsync());
            await clients[i].SendAsync($"POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: {Body.Length}\r\n\r\n{Body}");
        }

        await server.MetricBecomesAsync("chat_password_hashes_pending", static pending => pending > Clients * 3 / 4);
        clients.ForEach(static client => client.Reset());
        await server.MetricBecomesAsync("chat_password_hashes_pending", static pending => pending == 0, Deadline.ForHashes);
        Assert.InRange(await server.MetricAsync("chat_password_hashes_total"), 1, Clients / 2);
    }

    private static void End(RawClient client, bool isReset)
    {
        if (isReset)
        {
            client.Reset();
        }
        else
        {
            client.Dispose();
        }
    }

    private async Task NothingIsLeftAfterAsync(string stage, Func<bool, Task> vanish)
    {
        for (int i = 0; i < Rounds; i++)
        {
            await vanish(i % 2 == 0);
        }

        Assert.True((await _server.GetAsync("/healthz")).Status == 200, stage);
        await _server.MetricBecomesAsync("chat_websockets", sockets => sockets == 0);
        await _server.MetricBecomesAsync("chat_connections", connections => connections <= 1); // Ours that asks.
    }
}
