using System.Text;
using Chat.TestKit;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>
/// What leaves the server, searched for the secrets it was given in good requests, in bad ones, and in those that fail at each
/// stage: its log at the most talkative levels, every answer, event and close reason, its metrics and its files.
/// <see cref="LogCanaryTests"/> is about the content of messages in logs.
/// </summary>
public sealed class SecretCanaryTests : IDisposable
{
    private const string Password = "canary-password-5c1e";
    private const string WrongPassword = "canary-wrong-77d0";
    private const string DatabasePassword = "canary-database-41ab";
    private const string BadToken = "canary90fe.canary90fe.canary90fe";
    private const string Email = "canary-email-2b6d@example.com";

    private readonly TempFolder _folder = new();

    [Theory]
    [InlineData(StoreKind.Sqlite, "trace", "text")]
    [InlineData(StoreKind.Sqlite, "debug", "json")]
    [InlineData(StoreKind.Postgres, "trace", "text")]
    public async Task Secrets_leave_the_server_neither_in_logs_nor_in_answers_events_metrics_or_files(StoreKind store, string level, string format)
    {
        ServerLaunch launch = (store == StoreKind.Sqlite ? ServerLaunch.Sqlite : ServerLaunch.Postgres)
            .With("LOG_LEVEL", level)
            .With("LOG_FORMAT", format)
            .With("HTTP_HEAD_TIMEOUT_MS", "1000")
            .With("HTTP_BODY_TIMEOUT_MS", "1000")
            .With("HTTP_KEEPALIVE_TIMEOUT_MS", "1000");
        RunningServer.SkipWhenUnavailable(launch);
        string? database = null;
        if (store == StoreKind.Postgres)
        {
            // The cluster trusts whoever comes: any password will do.
            var url = new UriBuilder(await PostgresDatabases.CreateAsync()) { Password = DatabasePassword };
            database = url.Uri.AbsoluteUri;
        }

        await using RunningServer server = await RunningServer.StartAsync(launch, database);
        var seen = new StringBuilder();

        // A session is the one answer that brings a token to its owner.
        Answer registered = await server.PostAsync("/auth/register", Account(Password));
        Answer loggedIn = await server.PostAsync("/auth/login", Account(Password));
        Assert.Equal((201, 200), (registered.Status, loggedIn.Status));
        string[] tokens = [registered.Json.Text("token"), loggedIn.Json.Text("token")];
        Assert.DoesNotContain(Password, registered.Text + loggedIn.Text, StringComparison.Ordinal);
        string token = tokens[0];
        long room = await server.CreateRoomAsync(new User(0, "", "", token));
        foreach (string answer in await Task.WhenAll(Requests(token, room).Select(request => AskAsync(server, request))))
        {
            Assert.StartsWith("HTTP/1.1 ", answer, StringComparison.Ordinal);
            seen.Append(answer);
        }

        foreach (byte[] frames in Frames(token))
        {
            using RawClient client = await server.ConnectRawAsync();
            await client.SendAsync(RawClient.Handshake($"/ws/{room}", $"Sec-WebSocket-Protocol: chat.v1, bearer.{token}\r\n"));
            await client.SendAsync(frames);
            seen.Append(await client.ReadToEndAsync());
        }

        seen.Append((await server.GetAsync("/metrics")).Text).Append((await server.GetAsync("/openapi.json")).Text);
        await server.MetricBecomesAsync("chat_websockets", static sockets => sockets == 0);
        server.Process.Terminate();
        Assert.Equal(0, await server.Process.ExitAsync());

        string[] secrets = [
            Password, WrongPassword, DatabasePassword, BadToken, ServerLaunch.JwtSecret, "argon2",
            .. tokens, .. tokens.Select(static issued => issued.Split('.')[2]), .. tokens.Select(static issued => issued.Split('.')[1])];
        string log = server.Process.Output;
        Assert.Contains("Stopped", log, StringComparison.Ordinal);
        Assert.Contains("101 Switching", seen.ToString(), StringComparison.Ordinal);
        Assert.All(secrets, secret => Assert.DoesNotContain(secret, log, StringComparison.Ordinal));
        Assert.All(secrets, secret => Assert.DoesNotContain(secret, seen.ToString(), StringComparison.Ordinal));
        Assert.DoesNotContain(Email, log, StringComparison.Ordinal);
        foreach (string file in Directory.GetFiles(server.Folder, "*", SearchOption.AllDirectories))
        {
            string bytes = Encoding.Latin1.GetString(await File.ReadAllBytesAsync(file, TestContext.Current.CancellationToken));
            Assert.All(secrets.Where(static secret => secret != "argon2"), secret => Assert.False(bytes.Contains(secret, StringComparison.Ordinal), $"{file} has {secret}"));
        }
    }

    [Theory]
    [InlineData("postgres://canary:canary-database-41ab@127.0.0.1:1/chat", false)] // Nobody listens there: it waits, and says why.
    [InlineData("postgres://canary:canary-database-41ab@127.0.0.1:port/chat", true)]
    [InlineData("mysql://canary:canary-database-41ab@127.0.0.1/chat", true)]
    [InlineData("Host=127.0.0.1;Password=canary-database-41ab;Port=x", true)]
    [InlineData("Host=127.0.0.1;Passwort=canary-database-41ab", true)]
    public async Task The_password_of_a_database_that_cannot_be_used_is_not_repeated(string url, bool isRefused)
    {
        await using var server = ServerProcess.Start(ServerLaunch.Postgres.With("DATABASE_URL", url).With("LOG_LEVEL", "trace"), _folder.Path);
        if (isRefused)
        {
            Assert.Equal(1, await server.ExitAsync());
        }
        else
        {
            Uri address = await server.ListeningAsync();
            using var http = new HttpClient { BaseAddress = address };
            Assert.DoesNotContain(DatabasePassword, await http.GetStringAsync("/healthz", TestContext.Current.CancellationToken), StringComparison.Ordinal);
            using HttpResponseMessage ready = await http.GetAsync("/readyz", TestContext.Current.CancellationToken);
            Assert.DoesNotContain(DatabasePassword, await ready.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
            server.Terminate();
            await server.ExitAsync();
        }

        Assert.NotEmpty(server.Output);
        Assert.DoesNotContain(DatabasePassword, server.Output, StringComparison.Ordinal);
    }

    public void Dispose() => _folder.Dispose();

    /// <summary>All that is answered until the server closes: at once, when nothing more comes, or when we do.</summary>
    private static async Task<string> AskAsync(RunningServer server, string request)
    {
        using RawClient client = await server.ConnectRawAsync();
        await client.SendAsync(request);
        return await client.ReadToEndAsync(leavesAfterHead: true);
    }

    private static string Account(string password) => $$"""{"email":"{{Email}}","password":"{{password}}","username":"x"}""";

    /// <summary>Requests that carry a secret and end at every stage of the server.</summary>
    private static IEnumerable<string> Requests(string token, long room)
    {
        string bearer = $"Authorization: Bearer {token}\r\n";
        string good = Account(Password);
        string wrong = Account(WrongPassword);

        // The lines.
        yield return $"GET /rooms?token={token} HTTP/1.1\nHost: a\r\n\r\n";
        yield return $"GET /rooms?token={token} HTTP/9.9\r\nHost: a\r\n\r\n";
        yield return $"GET {token} HTTP/1.1\r\nHost: a\r\n\r\n";
        yield return $"{token} / HTTP/1.1\r\nHost: a\r\n\r\n";
        yield return $"GET http://{Password}@a/ HTTP/1.1\r\nHost: a\r\n\r\n";
        yield return $"GET /?token={token}{new string('x', 9000)} HTTP/1.1\r\nHost: a\r\n\r\n";
        yield return $"GET / HTTP/1.1\r\nHost: {token}:x\r\n\r\n";
        yield return $"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\rX: y\r\n\r\n";
        yield return $"GET / HTTP/1.1\r\nHost: a\r\nAuthorization Bearer {token}\r\n\r\n";
        yield return $"GET / HTTP/1.1\r\nHost: a\r\nExpect: {token}\r\n\r\n";
        yield return $"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: {token}\r\n\r\n";
        yield return $"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {token}\r\n\r\n";
        yield return $"GET / HTTP/1.1\r\nHost: a\r\n{bearer}X: {new string('x', 40_000)}\r\n\r\n";
        yield return $"GET / HTTP/1.1\r\nHost: a\r\n{string.Concat(Enumerable.Repeat(bearer, 101))}\r\n";

        // The content.
        foreach (string path in (string[])["/auth/register", "/auth/login"])
        {
            yield return Post(path, wrong);
            yield return Post(path, good[..^1]);
            yield return Post(path, good + good);
            yield return Post(path, $"[{good}]");
            yield return Post(path, good.Replace("\"email\"", "\"mail\"", StringComparison.Ordinal));
            yield return Post(path, good.Replace("@", "", StringComparison.Ordinal));
            yield return Post(path, $$"""{"email":{"x":"{{Password}}"},"password":["{{Password}}"],"username":"{{Password}}"}""");
            yield return Post(path, Account(Password + new string('x', 2000)));
            yield return Post(path, Account(Password + "\\u0000\\ud800"));
            yield return Post(path, good + new string(' ', 70_000));
            yield return $"POST {path}?password={Password} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: {good.Length}\r\nConnection: close\r\n\r\n{good}";
            yield return $"POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{Password}\r\n";
            yield return $"GET {path}?password={Password} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        }

        // The token.
        foreach (string bad in (string[])[BadToken, token + "x", token[..^1], "x" + token, token[..token.LastIndexOf('.')], token + new string('x', 5000)])
        {
            yield return $"GET /auth/me HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {bad}\r\nConnection: close\r\n\r\n";
            yield return RawClient.Handshake($"/ws/{room}?token={bad}");
            yield return RawClient.Handshake($"/ws/{room}", $"Sec-WebSocket-Protocol: bearer.{bad}\r\n");
        }

        yield return $"GET /auth/me HTTP/1.1\r\nHost: a\r\nAuthorization: Basic {token}\r\nConnection: close\r\n\r\n";
        yield return $"GET /nothing/{token}?token={token} HTTP/1.1\r\nHost: a\r\n{bearer}Connection: close\r\n\r\n";
        yield return $"PUT /rooms HTTP/1.1\r\nHost: a\r\n{bearer}Connection: close\r\n\r\n";
        yield return $"GET /rooms/{room}/messages?after={token} HTTP/1.1\r\nHost: a\r\n{bearer}Connection: close\r\n\r\n";
        yield return $"GET /rooms/999999/messages HTTP/1.1\r\nHost: a\r\n{bearer}Connection: close\r\n\r\n";
        yield return $"GET /rooms HTTP/1.1\r\nHost: a\r\n{bearer}Origin: https://{BadToken}\r\nConnection: close\r\n\r\n";

        // The handshake.
        yield return RawClient.Handshake($"/ws/999999?token={token}");
        yield return RawClient.Handshake($"/ws/{room}?token={token}&since={token}");
        yield return RawClient.Handshake($"/ws/{room}?token={token}").Replace("13", token, StringComparison.Ordinal);
        yield return RawClient.Handshake($"/ws/{room}?token={token}").Replace("dGhlIHNhbXBsZSBub25jZQ==", token, StringComparison.Ordinal);
        yield return RawClient.Handshake($"/ws/{room}?token={token}", $"Sec-WebSocket-Protocol: bearer.{token}, bearer.{token}\r\n");
        yield return RawClient.Handshake($"/ws/{room}?token={token}", $"Sec-WebSocket-Protocol: {token}/x\r\n");
        yield return RawClient.Handshake($"/ws/{room}?token={token}", $"Sec-WebSocket-Extensions: permessage-deflate; {token}=\"\r\n");
        yield return RawClient.Handshake($"/ws/{room}?token={token}", $"Origin: https://{BadToken}\r\n");
        yield return RawClient.Handshake($"/ws/{room}?token={token}"); // Accepted.
    }

    private static string Post(string path, string json) =>
        $"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {json.Length}\r\nConnection: close\r\n\r\n{json}";

    /// <summary>What a client may send by mistake, each behind a handshake, and each ended by the server.</summary>
    private static IEnumerable<byte[]> Frames(string token)
    {
        byte[] secret = Encoding.UTF8.GetBytes(token);
        byte[] close = RawClient.CloseFrame(1000);
        yield return [.. RawClient.Frame(RawClient.Text, $$"""{"type":"{{token}}"}"""), .. close];
        yield return [.. RawClient.Frame(RawClient.Text, $$"""{"token":"{{token}}","password":"{{Password}}"}"""), .. close];
        yield return [.. RawClient.Frame(RawClient.Text, $$"""{"type":"subscribe","room_id":"{{token}}"}"""), .. close];
        yield return [.. RawClient.Frame(RawClient.Text, Password), .. close];
        yield return RawClient.Frame(0x80 | RawClient.Binary, secret);
        yield return RawClient.Frame(0x83, secret.AsSpan(0, 100));
        yield return RawClient.Frame(0x80 | RawClient.Text, secret, isMasked: false);
        yield return RawClient.Frame(0x80 | RawClient.Text, [.. secret, 0xFF]);
        yield return RawClient.Frame(0x80 | RawClient.Close, [3, 231, .. secret.AsSpan(0, 100)]);
        yield return RawClient.Frame(0x80 | RawClient.Close, [3, 232, .. secret.AsSpan(0, 100)]);
    }
}
