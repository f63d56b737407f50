using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;

namespace Chat.LoadTests.Hosting;

/// <summary>An account with a token for a day.</summary>
internal sealed record Account(long UserId, string Email, string Password, string Username, string Token);

/// <summary>
/// Registers the users of a run. They are few and shared among the connections: each costs the server a password hash, which takes
/// tens of milliseconds by design. Also makes rooms.
/// </summary>
internal sealed class Accounts : IDisposable
{
    /// <summary>For a password; the accounts are worth nothing.</summary>
    private const string Password = "load test";

    private const int TriesMax = 100;

    private readonly HttpClient _http;
    private readonly Account[] _accounts;

    private Accounts(HttpClient http, Account[] accounts)
    {
        _http = http;
        _accounts = accounts;
    }

    public int Count => _accounts.Length;

    /// <summary>The account of a connection: they take turns.</summary>
    public Account For(int connection) => _accounts[connection % _accounts.Length];

    /// <param name="url">The server.</param>
    /// <param name="count">How many accounts, from 1 on.</param>
    /// <param name="cancellation">Ends it.</param>
    /// <exception cref="CannotRunException">The server refuses, or does not answer.</exception>
    public static async Task<Accounts> RegisterAsync(Uri url, int count, CancellationToken cancellation)
    {
        var http = new HttpClient { BaseAddress = url, Timeout = TimeSpan.FromSeconds(30) };
        try
        {
            var accounts = new Account[count];
            string run = $"{Guid.NewGuid():N}"; // Of this run, so that a server may be used by many.
            for (int i = 0; i < count; i++)
            {
                accounts[i] = await RegisterAsync(http, $"load-{run}-{i}@example.com", $"Load {i}", cancellation);
            }

            return new Accounts(http, accounts);
        }
        catch
        {
            http.Dispose();
            throw;
        }
    }

    /// <summary>Makes rooms. Returns their ids.</summary>
    /// <exception cref="CannotRunException">The server refuses, or does not answer.</exception>
    public async Task<long[]> CreateRoomsAsync(int count, string name, CancellationToken cancellation)
    {
        long[] rooms = new long[count];
        for (int i = 0; i < count; i++)
        {
            JsonElement room = await PostAsync(_http, "/rooms", new { name = $"{name} {i}" }, For(i).Token, cancellation);
            rooms[i] = room.GetProperty("id").GetInt64();
        }

        return rooms;
    }

    public void Dispose() => _http.Dispose();

    private static async Task<Account> RegisterAsync(HttpClient http, string email, string username, CancellationToken cancellation)
    {
        JsonElement session = await PostAsync(http, "/auth/register", new { email, password = Password, username }, null, cancellation);
        return new Account(
            session.GetProperty("user").GetProperty("id").GetInt64(), email, Password, username, session.GetProperty("token").GetString()!);
    }

    /// <summary>One call that must be answered with 201; waits when the server asks for it.</summary>
    private static async Task<JsonElement> PostAsync(HttpClient http, string path, object body, string? token, CancellationToken cancellation)
    {
        for (int tries = 1; ; tries++)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = JsonContent.Create(body) };
            request.Headers.Authorization = token is null ? null : new AuthenticationHeaderValue("Bearer", token);
            try
            {
                using HttpResponseMessage response = await http.SendAsync(request, cancellation);
                string text = await response.Content.ReadAsStringAsync(cancellation);
                if (response.StatusCode == HttpStatusCode.Created)
                {
                    return JsonElement.Parse(text);
                }

                bool isBusy = response.StatusCode is HttpStatusCode.TooManyRequests or HttpStatusCode.ServiceUnavailable;
                if (!isBusy || tries == TriesMax)
                {
                    throw new CannotRunException($"POST {new Uri(http.BaseAddress!, path)} answers {(int)response.StatusCode}: {text}");
                }

                await Task.Delay(response.Headers.RetryAfter?.Delta ?? TimeSpan.FromSeconds(1), cancellation);
            }
            catch (Exception exception) when (exception is HttpRequestException or TaskCanceledException && !cancellation.IsCancellationRequested)
            {
                throw new CannotRunException($"No server answers at {http.BaseAddress}: {exception.GetBaseException().Message}.", exception);
            }
            catch (JsonException exception)
            {
                throw new CannotRunException($"{http.BaseAddress} is no Chat server: its answer to POST {path} is not JSON.", exception);
            }
        }
    }
}
