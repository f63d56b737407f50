namespace Chat.Server.Tests.EndToEnd;

/// <summary>What people trust the server with never appears in its log, however much it logs and whatever goes wrong.</summary>
public sealed class LogCanaryTests
{
    [Theory]
    [InlineData(StoreKind.Sqlite, "text")]
    [InlineData(StoreKind.Sqlite, "json")]
    [InlineData(StoreKind.Postgres, "text")]
    public async Task Passwords_tokens_and_messages_never_appear(StoreKind store, string format)
    {
        const string Password = "canary-password-b1f3";
        const string WrongPassword = "canary-password-97aa";
        const string Content = "canary-content-60d2";
        ServerLaunch launch = (store == StoreKind.Sqlite ? ServerLaunch.Sqlite : ServerLaunch.Postgres)
            .With("LOG_LEVEL", "trace").With("LOG_FORMAT", format);
        await using RunningServer server = await RunningServer.StartAsync(launch);
        Answer registered = await server.PostAsync(
            "/auth/register", $$"""{"email":"canary@example.com","password":"{{Password}}","username":"x"}""");
        string token = registered.Json.Text("token");
        var user = new User(registered.Json.GetProperty("user").Number("id"), "x", "canary@example.com", token);

        await server.PostAsync("/auth/login", $$"""{"email":"canary@example.com","password":"{{Password}}"}""");
        await server.PostAsync("/auth/login", $$"""{"email":"canary@example.com","password":"{{WrongPassword}}"}""");
        await server.PostAsync("/auth/login", $$"""{"email":"canary@example.com","password":"{{WrongPassword}}" ...""");
        await server.PublishAsync(user, 1, Content);
        await server.PostAsync("/rooms/1/messages", $$"""{"content":"{{Content}}\u0000"}""", token);
        await server.GetAsync("/rooms", token + "x");
        await ChatSocket.RefusedAsync(server, $"/ws/999?token={token}");
        await ChatSocket.RefusedAsync(server, $"/ws/1?token={token}x");
        using (ChatSocket socket = await server.EnterAsync(user, 1, "&since=0"))
        {
            await socket.NextMessagesAsync(1, 1);
            await socket.SayAsync(Content, "n");
            await socket.SkipToAsync("ack");
            await socket.SendAsync($$"""{"content":"{{Content}}""");
            await socket.NextErrorAsync("bad_json");
        }

        foreach (string bytes in (string[])[
            $"GET /rooms?token={token} HTTP/1.1\nHost: a\r\n\r\n",
            $"GET /rooms HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\nX: y\r\n\r\n"])
        {
            using RawClient client = await server.ConnectRawAsync();
            await client.SendAsync(bytes);
            Assert.Equal(400, (await client.ReadResponseAsync()).Status);
        }

        using (RawClient client = await server.UpgradeRawAsync($"/ws/1?token={token}"))
        {
            await client.SendAsync(RawClient.Frame(RawClient.Text, Content)[..10]);
            client.Reset();
        }

        await server.MetricBecomesAsync("chat_websockets", sockets => sockets == 0);
        server.Process.Terminate();
        Assert.Equal(0, await server.Process.ExitAsync());

        string log = server.Process.Output;
        Assert.Contains("Stopped", log, StringComparison.Ordinal);
        string signature = token.Split('.')[2];
        foreach (string canary in (string[])[Password, WrongPassword, Content, token, signature, ServerLaunch.JwtSecret])
        {
            Assert.DoesNotContain(canary, log, StringComparison.Ordinal);
        }
    }
}
