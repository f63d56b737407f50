namespace Chat.Server.Tests.EndToEnd;

/// <summary>Tokens as strangers would bring them, to REST and to the handshake. The store plays no part here.</summary>
public sealed class TokenTests(SqliteServer fixture) : IClassFixture<SqliteServer>
{
    private const string Header = """{"alg":"HS256","typ":"JWT"}""";

    private static readonly DateTimeOffset Later = DateTimeOffset.UtcNow.AddHours(1);

    private readonly RunningServer _server = fixture.Server;

    public static TheoryData<string, string, string> Refused()
    {
        string good = Tokens.Sign(Header, Tokens.Claims(1, Later), ServerLaunch.JwtSecret);
        string[] parts = good.Split('.');
        string Signed(string claims) => Tokens.Sign(Header, claims, ServerLaunch.JwtSecret);
        return new TheoryData<string, string, string>
        {
            { "empty", "missing_token", "" },
            { "no token at all", "bad_token", "hello" },
            { "expired", "token_expired", Signed(Tokens.Claims(1, DateTimeOffset.UtcNow.AddMinutes(-1))) },
            { "another key", "bad_token", Tokens.Sign(Header, Tokens.Claims(1, Later), ServerLaunch.JwtSecret + "!") },
            { "tampered claims", "bad_token", $"{parts[0]}.{Tokens.Encode(Tokens.Claims(2, Later))}.{parts[2]}" },
            { "tampered signature", "bad_token", good[..^8] + (good[^8] == 'A' ? 'B' : 'A') + good[^7..] },
            { "no signature", "bad_token", $"{parts[0]}.{parts[1]}." },
            { "two parts", "bad_token", $"{parts[0]}.{parts[1]}" },
            { "alg none", "bad_token", $"{Tokens.Encode("""{"alg":"none"}""")}.{parts[1]}." },
            { "alg None with a signature", "bad_token", Tokens.Sign("""{"alg":"None"}""", Tokens.Claims(1, Later), ServerLaunch.JwtSecret) },
            { "alg HS512", "bad_token", Tokens.Sign("""{"alg":"HS512"}""", Tokens.Claims(1, Later), ServerLaunch.JwtSecret) },
            { "alg RS256", "bad_token", Tokens.Sign("""{"alg":"RS256"}""", Tokens.Claims(1, Later), ServerLaunch.JwtSecret) },
            { "five parts", "bad_token", $"{parts[0]}.{parts[1]}.{parts[2]}.x.y" },
            { "wrong issuer", "bad_token", Signed(Tokens.Claims(1, Later, issuer: "another")) },
            { "wrong audience", "bad_token", Signed(Tokens.Claims(1, Later, audience: "another")) },
            { "no expiry", "bad_token", Signed("""{"sub":"1","name":"x","iss":"chat","aud":"chat"}""") },
            { "no subject", "bad_token", Signed($$"""{"name":"x","iss":"chat","aud":"chat","exp":{{Later.ToUnixTimeSeconds()}}}""") },
            { "negative subject", "bad_token", Signed(Tokens.Claims(-1, Later)) },
            { "not yet valid", "bad_token", Signed(Tokens.Claims(1, Later).Replace("{", $$"""{"nbf":{{Later.AddMinutes(-10).ToUnixTimeSeconds()}},""", StringComparison.Ordinal)) },
            { "over 4096 bytes", "bad_token", good + new string('A', 4096) },
            { "not base64", "bad_token", good.Replace('.', '!') },
        };
    }

    [Theory]
    [MemberData(nameof(Refused))]
    public async Task A_bad_token_is_401_over_rest_and_before_the_upgrade(string what, string code, string token)
    {
        Answer answer = await _server.GetAsync("/rooms", token);
        Assert.True(answer.Status == 401, what);
        answer.IsProblem(401, code);
        Assert.StartsWith("Bearer", answer.Fields["WWW-Authenticate"], StringComparison.Ordinal);
        (await _server.PostAsync("/rooms/1/messages", """{"content":"x"}""", token)).IsProblem(401, code);

        Assert.Equal(401, await ChatSocket.RefusedAsync(_server, $"/ws/1?token={Uri.EscapeDataString(token)}"));
        Assert.Equal(401, await ChatSocket.RefusedAsync(_server, $"/ws?token={Uri.EscapeDataString(token)}"));
        if (token.Length > 0)
        {
            Assert.Equal(401, await ChatSocket.RefusedAsync(
                _server, "/ws/1", options => options.SetRequestHeader("Authorization", $"Bearer {token}")));
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("Authorization: Basic dXNlcjpwYXNz\r\n")]
    [InlineData("Authorization: Bearer\r\n")]
    [InlineData("Authorization: Bearer \r\n")]
    public async Task A_call_without_a_bearer_token_is_401(string field)
    {
        using RawClient client = await _server.ConnectRawAsync();
        foreach (string path in (string[])["/auth/me", "/rooms", "/rooms/1", "/rooms/1/messages", "/rooms/1/members", "/rooms/999/messages"])
        {
            await client.SendAsync($"GET {path} HTTP/1.1\r\nHost: a\r\n{field}\r\n");
            RawResponse response = await client.ReadResponseAsync();
            Assert.Equal((401, "Bearer"), (response.Status, response.Fields["WWW-Authenticate"]));
        }
    }

    [Fact]
    public async Task A_token_that_we_made_ourselves_is_accepted()
    {
        User user = await _server.RegisterAsync();

        Answer answer = await _server.GetAsync("/auth/me", Tokens.Make(user, Later));

        Assert.Equal((200, user.Id), (answer.Status, answer.Json.Number("id")));
    }

    [Fact]
    public async Task A_good_token_of_an_account_that_does_not_exist_is_401()
    {
        string token = Tokens.Make(new User(999_999, "ghost", "", ""), Later);

        (await _server.GetAsync("/auth/me", token)).IsProblem(401, "unknown_user");
        (await _server.PostAsync("/rooms/1/messages", """{"content":"x"}""", token)).IsProblem(401, "unknown_user");
        (await _server.PostAsync("/rooms/1/members", "", token)).IsProblem(401, "unknown_user");
        Assert.Equal(401, await ChatSocket.RefusedAsync(_server, $"/ws/1?token={token}"));
    }
}
