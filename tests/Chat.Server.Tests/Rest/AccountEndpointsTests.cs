using Chat.Server.Auth;
using Chat.Server.Connections;
using Chat.Server.Rest;
using Chat.Server.Settings;
using Chat.Storage;
using Chat.TestKit;
using Microsoft.Extensions.Logging.Abstractions;

namespace Chat.Server.Tests.Rest;

/// <summary>What counts as an attempt: nothing that the database or a departure kept from being one.</summary>
public sealed class AccountEndpointsTests : IDisposable
{
    private const string Login = "/auth/login";
    private const string Register = "/auth/register";
    private const int AttemptsMax = 2;

    private static readonly Argon2Settings Cheap = new(MemoryKib: 64, Iterations: 1, Parallelism: 1, Concurrency: 1, QueueMax: 10);

    private readonly TempFolder _folder = new();
    private readonly AuthLimits _limits = new(new AttemptSettings(AttemptsMax, AttemptsMax, AttemptsMax), TimeProvider.System);

    [Theory]
    [InlineData(Login, 401)]
    [InlineData(Register, 201)]
    public async Task A_database_that_is_away_uses_up_no_attempt(string path, int status)
    {
        await using IChatStore away = StoreFactory.Create($"postgres://chat@127.0.0.1:{FreePort.Next()}/chat", _folder.Path);
        AccountEndpoints endpoints = Endpoints(away, new PasswordHasher(Cheap, NullLogger<PasswordHasher>.Instance));
        for (int i = 0; i <= AttemptsMax; i++)
        {
            await Assert.ThrowsAsync<StoreUnavailableException>(() => CallAsync(endpoints, path, CancellationToken.None));
        }

        await using IChatStore back = await OpenAsync();
        Assert.Equal(status, (await CallAsync(Endpoints(back, new PasswordHasher(Cheap, NullLogger<PasswordHasher>.Instance)), path, CancellationToken.None)).Status);
    }

    [Theory]
    [InlineData(Login, 401)]
    [InlineData(Register, 201)]
    public async Task Who_leaves_while_the_password_waits_for_its_turn_has_used_up_no_attempt(string path, int status)
    {
        var gate = new TaskCompletionSource();
        var hasher = new PasswordHasher(Cheap, NullLogger<PasswordHasher>.Instance, async (password, salt, cost, tagBytes) =>
        {
            await gate.Task;
            return new byte[tagBytes];
        });
        await using IChatStore store = await OpenAsync();
        AccountEndpoints endpoints = Endpoints(store, hasher);
        Task<string?> running = hasher.HashAsync("another's", CancellationToken.None);
        for (int i = 0; i <= AttemptsMax; i++)
        {
            using var leaving = new CancellationTokenSource();
            Task<Response> waiting = CallAsync(endpoints, path, leaving.Token);
            Assert.False(waiting.IsCompleted);
            await leaving.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        }

        gate.SetResult();
        await running;
        Assert.Equal(status, (await CallAsync(endpoints, path, CancellationToken.None)).Status);
    }

    public void Dispose() => _folder.Dispose();

    private async Task<IChatStore> OpenAsync()
    {
        IChatStore store = StoreFactory.Create(null, _folder.Path);
        await store.InitializeAsync(CancellationToken.None);
        await store.BeginSessionAsync(CancellationToken.None);
        return store;
    }

    private AccountEndpoints Endpoints(IChatStore store, PasswordHasher hasher)
    {
        ServerSettings settings = ServerSettings.Default;
        Assert.True(SigningKey.TryOpen("0123456789abcdef0123456789abcdef", "", out SigningKey? key, out _));
        return new AccountEndpoints(
            store,
            new Credentials(settings.Credentials),
            hasher,
            new TokenService(settings.Token, key!, TimeProvider.System),
            _limits,
            new ClientAddresses([], readsForwarded: false, expectsProxyHeader: false),
            new ServerMetrics());
    }

    private static Task<Response> CallAsync(AccountEndpoints endpoints, string path, CancellationToken aborted) =>
        endpoints.Routes.PostAsync(path, """{"email":"ann@example.com","password":"pass123","username":"Ann"}""", aborted: aborted);
}
