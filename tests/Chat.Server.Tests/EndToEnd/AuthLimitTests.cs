using System.Globalization;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>How often passwords may be guessed. The tests stand behind a proxy of ours, so that they can be many clients.</summary>
public sealed class AuthLimitTests(AuthLimitTests.Fixture fixture) : IClassFixture<AuthLimitTests.Fixture>
{
    private const int PerAccount = 5;
    private const int PerAddress = 12;
    private const int Registrations = 20;

    private static int _clients;

    private readonly RunningServer _server = fixture.Server;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task An_account_can_be_guessed_at_so_often_by_all_together_whether_it_exists_or_not(bool exists)
    {
        string email = exists ? (await RegisterAsync(NextClient())).Email : $"nobody-{Guid.NewGuid():N}@example.com";
        for (int i = 0; i < PerAccount; i++)
        {
            (await LoginAsync(NextClient(), i % 2 == 0 ? email : email.ToUpperInvariant(), "wrong")).IsProblem(401, "bad_credentials");
        }

        Answer refused = await LoginAsync(NextClient(), email, "wrong");

        refused.IsProblem(429, "too_many_attempts");
        Assert.InRange(int.Parse(refused.Fields["Retry-After"], CultureInfo.InvariantCulture), 1, 3600 / PerAccount);
        (await LoginAsync(NextClient(), email, "pass123")).IsProblem(429, "too_many_attempts"); // Not even told that it was right.
    }

    [Fact]
    public async Task Right_passwords_use_nothing_up()
    {
        string client = NextClient();
        (_, string email) = await RegisterAsync(client);
        for (int i = 0; i < PerAddress * 2; i++)
        {
            Assert.Equal(200, (await LoginAsync(client, email, "pass123")).Status);
        }

        (await LoginAsync(client, email, "wrong")).IsProblem(401, "bad_credentials");
    }

    [Fact]
    public async Task An_address_can_guess_so_often_at_all_accounts_together_and_others_go_on()
    {
        string client = NextClient();
        (string _, string taken) = await RegisterAsync(NextClient());
        for (int i = 0; i < PerAddress; i++)
        {
            if (i % 2 == 0)
            {
                (await LoginAsync(client, $"{Guid.NewGuid():N}@example.com", "wrong")).IsProblem(401, "bad_credentials");
            }
            else
            {
                // Tells as much as a wrong password would.
                (await RegisterAsync(client, taken)).IsProblem(409, "email_taken");
            }
        }

        (await LoginAsync(client, taken, "pass123")).IsProblem(429, "too_many_attempts");
        (await RegisterAsync(client, taken)).IsProblem(429, "too_many_attempts");
        Assert.Equal(200, (await LoginAsync(NextClient(), taken, "pass123")).Status);
    }

    [Fact]
    public async Task An_address_can_make_so_many_accounts()
    {
        string client = NextClient();
        for (int i = 0; i < Registrations; i++)
        {
            await RegisterAsync(client);
        }

        (await RegisterAsync(client, $"{Guid.NewGuid():N}@example.com")).IsProblem(429, "too_many_attempts");
        await RegisterAsync(NextClient());
    }

    /// <summary>An address of a network of its own.</summary>
    private static string NextClient() => $"2001:db8:{Interlocked.Increment(ref _clients):x}::1";

    private async Task<(string Client, string Email)> RegisterAsync(string client)
    {
        string email = $"{Guid.NewGuid():N}@example.com";
        Assert.Equal(201, (await RegisterAsync(client, email)).Status);
        return (client, email);
    }

    private Task<Answer> RegisterAsync(string client, string email) =>
        CallAsync(client, "/auth/register", $$"""{"email":"{{email}}","password":"pass123","username":"x"}""");

    private Task<Answer> LoginAsync(string client, string email, string password) =>
        CallAsync(client, "/auth/login", $$"""{"email":"{{email}}","password":"{{password}}"}""");

    private async Task<Answer> CallAsync(string client, string path, string body)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path)
        {
            Content = new StringContent(body, System.Text.Encoding.UTF8, "application/json"),
        };
        request.Headers.TryAddWithoutValidation("X-Forwarded-For", client);
        return await _server.CallAsync(request);
    }

    public sealed class Fixture() : ServerFixture(ServerLaunch.Sqlite
        .With("TRUSTED_PROXIES", "127.0.0.0/8, ::1")
        .With("LOGIN_FAILURES_PER_ACCOUNT_MAX", $"{PerAccount}")
        .With("LOGIN_FAILURES_PER_IP_MAX", $"{PerAddress}")
        .With("REGISTRATIONS_PER_IP_MAX", $"{Registrations}"));
}
