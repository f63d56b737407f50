namespace Chat.Server.Tests.EndToEnd;

public abstract class AccountTests(ServerFixture fixture)
{
    private readonly RunningServer _server = fixture.Server;

    [Fact]
    public async Task An_address_has_one_account_whatever_its_case()
    {
        User user = await _server.RegisterAsync();

        foreach (string email in (string[])[user.Email, user.Email.ToUpperInvariant(), $"  {user.Email} "])
        {
            Answer again = await _server.PostAsync("/auth/register", $$"""{"email":"{{email}}","password":"another1","username":"x"}""");
            again.IsProblem(409, "email_taken");
            Answer login = await _server.PostAsync("/auth/login", $$"""{"email":"{{email}}","password":"pass123"}""");
            Assert.Equal((200, user.Id), (login.Status, login.Json.GetProperty("user").Number("id")));
        }
    }

    [Fact]
    public async Task One_of_many_registrations_at_once_wins()
    {
        string email = $"{Guid.NewGuid():N}@example.com";

        Answer[] answers = await Task.WhenAll(Enumerable.Range(0, 10).Select(i => _server.PostAsync(
            "/auth/register", $$"""{"email":"{{(i % 2 == 0 ? email : email.ToUpperInvariant())}}","password":"pass123","username":"x"}""")));

        Assert.Single(answers, answer => answer.Status == 201);
        Assert.All(answers.Where(answer => answer.Status != 201), answer => answer.IsProblem(409, "email_taken"));
    }

    /// <summary>Of the reference implementation, at a cost that is not the server's.</summary>
    [Fact]
    public async Task A_login_stores_a_hash_of_todays_cost_in_place_of_an_older_one()
    {
        User user = await _server.RegisterAsync();
        await _server.ExecuteSqlAsync($$"""
            UPDATE users SET password_hash = '$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4' WHERE id = {{user.Id}}
            """);

        (await LoginAsync("wrong")).IsProblem(401, "bad_credentials");
        Assert.StartsWith("$argon2id$v=19$m=256,t=2,p=1$", await HashAsync());
        Assert.Equal(200, (await LoginAsync("password")).Status);
        string stored = await HashAsync();
        Assert.StartsWith("$argon2id$v=19$m=64,t=1,p=1$", stored);
        Assert.Equal(200, (await LoginAsync("password")).Status);
        Assert.Equal(stored, await HashAsync());

        Task<Answer> LoginAsync(string password) =>
            _server.PostAsync("/auth/login", $$"""{"email":"{{user.Email}}","password":"{{password}}"}""");

        async Task<string> HashAsync() => (string)(await _server.ScalarSqlAsync($"SELECT password_hash FROM users WHERE id = {user.Id}"))!;
    }

    [Fact]
    public async Task A_wrong_password_and_an_unknown_address_are_told_in_the_same_words()
    {
        User user = await _server.RegisterAsync();

        Answer wrong = await _server.PostAsync("/auth/login", $$"""{"email":"{{user.Email}}","password":"pass124"}""");
        Answer unknown = await _server.PostAsync("/auth/login", """{"email":"nobody@example.com","password":"pass123"}""");
        Answer impossible = await _server.PostAsync("/auth/login", """{"email":"no address","password":"x"}""");

        wrong.IsProblem(401, "bad_credentials");
        Assert.Equal("Bearer", wrong.Fields["WWW-Authenticate"]); // RFC 9110 section 15.5.2: every 401 has one.
        Assert.Equal((wrong.Status, wrong.Text), (unknown.Status, unknown.Text));
        Assert.Equal((wrong.Status, wrong.Text), (impossible.Status, impossible.Text));
        Assert.Equal(wrong.Fields.Keys.Order(), unknown.Fields.Keys.Order());
    }

    [Theory]
    [InlineData("email", "required", """{"password":"pass123","username":"x"}""")]
    [InlineData("email", "required", """{"email":null,"password":"pass123","username":"x"}""")]
    [InlineData("email", "required", """{"email":"","password":"pass123","username":"x"}""")]
    [InlineData("email", "invalid", """{"email":"x","password":"pass123","username":"x"}""")]
    [InlineData("email", "invalid", """{"email":"x@","password":"pass123","username":"x"}""")]
    [InlineData("email", "invalid", """{"email":"@example.com","password":"pass123","username":"x"}""")]
    [InlineData("email", "invalid", """{"email":"a b@example.com","password":"pass123","username":"x"}""")]
    [InlineData("email", "invalid", """{"email":"a@b@example.com","password":"pass123","username":"x"}""")]
    [InlineData("email", "invalid", """{"email":"a\u0000@example.com","password":"pass123","username":"x"}""")]
    [InlineData("email", "invalid", """{"email":"a@exam\r\nple.com","password":"pass123","username":"x"}""")]
    [InlineData("password", "required", """{"email":"a@example.com","username":"x"}""")]
    [InlineData("password", "too_short", """{"email":"a@example.com","password":"12345","username":"x"}""")]
    [InlineData("username", "required", """{"email":"a@example.com","password":"pass123"}""")]
    [InlineData("username", "required", """{"email":"a@example.com","password":"pass123","username":" "}""")]
    [InlineData("username", "invalid", """{"email":"a@example.com","password":"pass123","username":"a\u0000b"}""")]
    [InlineData("username", "invalid", """{"email":"a@example.com","password":"pass123","username":"a\u202Eb"}""")]
    public async Task A_registration_tells_the_field_at_fault(string field, string reason, string body) =>
        (await _server.PostAsync("/auth/register", body)).IsBadField(field, reason);

    [Theory]
    [InlineData("email", 255)]
    [InlineData("password", 1025)]
    [InlineData("username", 51)]
    public async Task A_field_may_not_be_too_long(string field, int length)
    {
        string Value(string name, string value) => name == field ? value.PadLeft(length, 'a') : value;
        string body =
            $$"""{"email":"{{Value("email", "a@example.com")}}","password":"{{Value("password", "pass123")}}","username":"{{Value("username", "x")}}"}""";

        (await _server.PostAsync("/auth/register", body)).IsBadField(field, "too_long");
    }

    [Theory]
    [InlineData("/auth/register", "")]
    [InlineData("/auth/register", "not json")]
    [InlineData("/auth/register", "null")]
    [InlineData("/auth/register", "[]")]
    [InlineData("/auth/register", "{\"email\":\"a@example.com\"")]
    [InlineData("/auth/register", """{"email":["a@example.com"],"password":"pass123","username":"x"}""")]
    [InlineData("/auth/register", """{"email":1,"password":"pass123","username":"x"}""")]
    [InlineData("/auth/register", """{"email":"a@example.com","password":true,"username":"x"}""")]
    [InlineData("/auth/register", """{"email":"a@example.com","email":"b@example.com","password":"pass123","username":"x"}""")]
    [InlineData("/auth/register", """{"email":"a@example.com","password":"pass\uD800","username":"x"}""")]
    [InlineData("/auth/register", """{"email":"a@example.com","password":"pass123","username":"x"} {}""")]
    [InlineData("/auth/login", "")]
    [InlineData("/auth/login", "{")]
    [InlineData("/auth/login", """{"email":"a@example.com","password":123456}""")]
    [InlineData("/auth/login", """{"email":{},"password":"pass123"}""")]
    public async Task Content_of_another_shape_is_bad_json(string path, string body) => (await _server.PostAsync(path, body)).IsProblem(400, "bad_json");

    [Fact]
    public async Task Content_that_is_not_utf8_or_too_deep_is_bad_json()
    {
        using var invalid = new HttpRequestMessage(HttpMethod.Post, "/auth/login")
        {
            Content = new ByteArrayContent([.. "{\"email\":\""u8, 0xC3, 0x28, .. "\",\"password\":\"x\"}"u8]),
        };
        (await _server.CallAsync(invalid)).IsProblem(400, "bad_json");
        string deep = "{\"x\":" + new string('[', 10_000) + new string(']', 10_000) + "}";
        (await _server.PostAsync("/auth/login", deep)).IsProblem(400, "bad_json");
    }

    [Theory]
    [InlineData("email", """{"password":"x"}""")]
    [InlineData("password", """{"email":"a@example.com"}""")]
    public async Task A_login_tells_what_is_missing(string field, string body) =>
        (await _server.PostAsync("/auth/login", body)).IsBadField(field, "required");
}

public sealed class AccountsOnSqlite(SqliteServer fixture) : AccountTests(fixture), IClassFixture<SqliteServer>;

public sealed class AccountsOnPostgres(PostgresServer fixture) : AccountTests(fixture), IClassFixture<PostgresServer>;
