using System.Data.Common;
using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text.Json;
using Chat.Storage;
using Chat.TestKit;
using Microsoft.Data.Sqlite;
using Npgsql;
using Xunit.Sdk;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>
/// A server with a folder and a database of its own, which outlive its process: kill it, start it again, and it goes on
/// with what it stored. At the end an error in its log fails the test, unless the test said that there will be one.
/// </summary>
public sealed class RunningServer : IAsyncDisposable
{
    private readonly ServerLaunch _launch;
    private readonly TempFolder _folder = new();
    private readonly List<ServerProcess> _ended = [];
    private HttpClient _http = new();
    private int _users;

    private RunningServer(ServerLaunch launch) => _launch = launch;

    /// <summary>How it was started, its database included.</summary>
    public ServerLaunch Launch => _launch;

    public ServerProcess Process { get; private set; } = null!;

    /// <summary>Such as http://127.0.0.1:40001/.</summary>
    public Uri Url { get; private set; } = null!;

    public string Folder => _folder.Path;

    /// <summary>The test makes the server fail in a way that has to be logged.</summary>
    public bool ErrorsAreExpected { get; set; }

    private string Log => string.Concat(_ended.Append(Process).Select(process => $"---- server\n{process.Output}"));

    /// <summary>Starts one, or skips the test when there is no PostgreSQL to run it on.</summary>
    /// <param name="launch">Settings and kind of store.</param>
    /// <param name="database">The URL of a database of the test's own; null for a new one of the cluster that all tests share.</param>
    public static async Task<RunningServer> StartAsync(ServerLaunch launch, string? database = null)
    {
        SkipWhenUnavailable(launch);
        database ??= launch.Store == StoreKind.Postgres ? await PostgresDatabases.CreateAsync() : "";
        var server = new RunningServer(launch.With("DATABASE_URL", database));
        try
        {
            await server.StartAgainAsync();
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    public static void SkipWhenUnavailable(ServerLaunch launch) =>
        Assert.SkipWhen(launch.Store == StoreKind.Postgres && PostgresCluster.WhyUnavailable is not null, PostgresCluster.WhyUnavailable ?? "");

    /// <summary>Starts the server after <see cref="ServerProcess.KillAsync"/> or a stop. Its URL is another one.</summary>
    public async Task StartAgainAsync()
    {
        if (Process is not null)
        {
            await Process.ExitAsync();
            _ended.Add(Process);
        }

        Process = ServerProcess.Start(_launch, Folder);
        Url = await Process.ListeningAsync();
        _http.Dispose();
        _http = new HttpClient(new SocketsHttpHandler
        {
            // A call must not meet the close of an idle connection (RFC 9112 §9.5), which some tests make early; the
            // pool looks for idle connections once a second at most, so there is none to reuse then.
            PooledConnectionLifetime = _launch.Sets("HTTP_KEEPALIVE_TIMEOUT_MS") ? TimeSpan.Zero : Timeout.InfiniteTimeSpan,
            SslOptions = { RemoteCertificateValidationCallback = static (_, certificate, _, _) => TestCertificate.IsOurs(certificate) },
        })
        {
            BaseAddress = Url,
            Timeout = Deadline.ForAnswer,
        };
    }

    public async Task KillAndStartAgainAsync()
    {
        await Process.KillAsync();
        await StartAgainAsync();
    }

    /// <summary>One REST call. <paramref name="body"/> is JSON as it is.</summary>
    public async Task<Answer> CallAsync(HttpMethod method, string path, string? body = null, string? token = null)
    {
        using var request = new HttpRequestMessage(method, path);
        if (body is not null)
        {
            request.Content = new StringContent(body, System.Text.Encoding.UTF8, "application/json");
        }

        return await CallAsync(request, token);
    }

    public async Task<Answer> CallAsync(HttpRequestMessage request, string? token = null)
    {
        if (token is not null)
        {
            request.Headers.TryAddWithoutValidation("Authorization", $"Bearer {token}");
        }

        using HttpResponseMessage response = await Within(_http.SendAsync(request), $"{request.Method} {request.RequestUri}");
        string content = await response.Content.ReadAsStringAsync();
        var fields = response.Headers.Concat(response.Content.Headers)
            .ToDictionary(field => field.Key, field => string.Join(", ", field.Value), StringComparer.OrdinalIgnoreCase);
        return new Answer((int)response.StatusCode, fields, content);
    }

    public Task<Answer> GetAsync(string path, string? token = null) => CallAsync(HttpMethod.Get, path, null, token);

    public Task<Answer> PostAsync(string path, string body, string? token = null) => CallAsync(HttpMethod.Post, path, body, token);

    /// <summary>A new account with a name of its own.</summary>
    public async Task<User> RegisterAsync(string? username = null)
    {
        int number = Interlocked.Increment(ref _users);
        string email = $"user{number}-{Guid.NewGuid():N}@example.com";
        username ??= $"User {number}";
        Answer answer = await PostAsync(
            "/auth/register", $$"""{"email":"{{email}}","password":"pass123","username":{{JsonSerializer.Serialize(username)}}}""");
        Assert.Equal(201, answer.Status);
        return new User(answer.Json.GetProperty("user").GetProperty("id").GetInt64(), username, email, answer.Json.Text("token"));
    }

    /// <summary>A new room, so that tests which share the server do not see each other.</summary>
    public async Task<long> CreateRoomAsync(User user)
    {
        Answer answer = await PostAsync("/rooms", """{"name":"a room"}""", user.Token);
        Assert.Equal(201, answer.Status);
        return answer.Json.Number("id");
    }

    /// <summary>Publishes over REST. Returns the seq.</summary>
    public async Task<long> PublishAsync(User user, long room, string content)
    {
        Answer answer = await PostAsync(
            $"/rooms/{room}/messages", $$"""{"content":{{JsonSerializer.Serialize(content)}}}""", user.Token);
        Assert.Equal(201, answer.Status);
        return answer.Json.Number("seq");
    }

    /// <summary>Publishes many messages over one socket, and waits until all are durable.</summary>
    public async Task FillAsync(User user, long room, int count, string content)
    {
        using ChatSocket socket = await EnterAsync(user, room);
        for (int acknowledged = 0, sent = 0; acknowledged < count;)
        {
            for (; sent < count && sent - acknowledged < 50; sent++)
            {
                await socket.SayAsync(content);
            }

            await socket.SkipToAsync("ack");
            acknowledged++;
        }
    }

    /// <summary>A whole history, by pages.</summary>
    public async Task<IReadOnlyList<JsonElement>> HistoryAsync(User user, long room)
    {
        var messages = new List<JsonElement>();
        for (bool hasMore = true; hasMore;)
        {
            long after = messages.Count == 0 ? 0 : messages[^1].Number("seq");
            Answer page = await GetAsync($"/rooms/{room}/messages?after={after}&limit=200", user.Token);
            Assert.Equal(200, page.Status);
            messages.AddRange(page.Json.GetProperty("messages").EnumerateArray());
            hasMore = page.Json.GetProperty("has_more").GetBoolean();
        }

        return messages;
    }

    /// <summary>One value of /metrics.</summary>
    public async Task<long> MetricAsync(string name)
    {
        Answer answer = await GetAsync("/metrics");
        string line = answer.Text.Split('\n').Single(line => line.StartsWith(name + " ", StringComparison.Ordinal));
        return Number(line[(name.Length + 1)..]);
    }

    /// <summary>How many values a histogram of /metrics has, which must add up as Prometheus expects it.</summary>
    public async Task<long> HistogramCountAsync(string name)
    {
        string[] lines = (await GetAsync("/metrics")).Text.Split('\n');
        Assert.Contains($"# TYPE {name} histogram", lines);
        string[][] buckets = [.. lines.Where(line => line.StartsWith(name + "_bucket{le=", StringComparison.Ordinal)).Select(static line => line.Split('"', ' '))];
        long[] counts = [.. buckets.Select(static bucket => Number(bucket[^1]))];
        Assert.Equal("+Inf", buckets[^1][1]);
        Assert.Equal(buckets[..^1].Select(static bucket => double.Parse(bucket[1], CultureInfo.InvariantCulture)), DurationHistogram.BoundsSeconds);
        Assert.Equal(counts.Order(), counts);
        long count = Number(Value("_count"));
        Assert.Equal(count, counts[^1]);
        Assert.Equal(count > 0, double.Parse(Value("_sum"), CultureInfo.InvariantCulture) > 0);
        return count;

        string Value(string suffix) => lines.Single(line => line.StartsWith(name + suffix + " ", StringComparison.Ordinal)).Split(' ')[1];
    }

    /// <summary>Asks for a metric until it fits, for at most <see cref="Deadline.ForAnswer"/> or as long as is said.</summary>
    public async Task MetricBecomesAsync(string name, Predicate<long> fits, TimeSpan? atMost = null)
    {
        long value = 0;
        await AskUntilAsync(async () => fits(value = await MetricAsync(name)), atMost ?? Deadline.ForAnswer, () => $"{name} is still {value}.");
    }

    /// <summary>Asks /readyz until it says so.</summary>
    public Task ReadyBecomesAsync(bool isReady) => AskUntilAsync(
        async () => (await GetAsync("/readyz")).Status == (isReady ? 200 : 503),
        Deadline.ForStart,
        () => $"The server is still{(isReady ? " not" : "")} ready.");

    /// <summary>Asks the server, which has no event to wait for, every 20 ms until the answer is right.</summary>
    /// <param name="isRight">Asks once.</param>
    /// <param name="atMost">How long.</param>
    /// <param name="otherwise">What is wrong when that is over.</param>
    public async Task AskUntilAsync(Func<Task<bool>> isRight, TimeSpan atMost, Func<string> otherwise)
    {
        for (long startedAt = Stopwatch.GetTimestamp(); !await isRight(); await Task.Delay(20))
        {
            if (Stopwatch.GetElapsedTime(startedAt) > atMost)
            {
                throw new XunitException($"{otherwise()}\n{Log}");
            }
        }
    }

    private static long Number(string text) => long.Parse(text, CultureInfo.InvariantCulture);

    /// <summary>Changes the database behind the server's back.</summary>
    public Task ExecuteSqlAsync(string sql) => ScalarSqlAsync(sql);

    /// <summary>The first column of the first row; null when there is none.</summary>
    public async Task<object?> ScalarSqlAsync(string sql)
    {
        await using DbConnection connection = _launch.Store == StoreKind.Sqlite
            ? new SqliteConnection($"Data Source={Path.Combine(Folder, "data", "chat.db")};Foreign Keys=True;Pooling=False")
            : new NpgsqlConnection($"{Storage.DatabaseUrl.ToConnectionString(_launch.Settings["DATABASE_URL"])};Pooling=False");
        await connection.OpenAsync();
        await using DbCommand command = connection.CreateCommand();
        command.CommandText = sql;
        return await command.ExecuteScalarAsync();
    }

    /// <summary>Keeps everybody else from writing to the database, until it is disposed. On SQLite.</summary>
    public async Task<IAsyncDisposable> LockDatabaseAsync()
    {
        var connection = new SqliteConnection($"Data Source={Path.Combine(Folder, "data", "chat.db")};Pooling=False");
        await connection.OpenAsync();
        connection.BeginTransaction(deferred: false); // Closing rolls it back.
        return connection;
    }

    /// <summary>A WebSocket on which the welcome has been read.</summary>
    public async Task<ChatSocket> EnterAsync(User user, long room, string query = "")
    {
        ChatSocket socket = await ChatSocket.ConnectAsync(this, $"/ws/{room}?token={user.Token}{query}");
        socket.Welcome = await socket.NextAsync("welcome");
        return socket;
    }

    public async Task<RawClient> ConnectRawAsync(int? receiveBufferBytes = null) => await RawClient.ConnectAsync(this, receiveBufferBytes);

    /// <summary>A raw connection after its handshake.</summary>
    public async Task<RawClient> UpgradeRawAsync(string path, int? receiveBufferBytes = null)
    {
        RawClient client = await ConnectRawAsync(receiveBufferBytes);
        await client.SendAsync(RawClient.Handshake(path));
        Assert.Equal(101, (await client.ReadResponseAsync()).Status);
        return client;
    }

    /// <summary>Waits for what the server must do, or fails with its log.</summary>
    public async Task<T> Within<T>(Task<T> task, string what)
    {
        try
        {
            return await task.WaitAsync(Deadline.ForAnswer);
        }
        catch (Exception exception) when (exception is TimeoutException or OperationCanceledException)
        {
            throw new XunitException($"{what}: nothing within {Deadline.ForAnswer.TotalSeconds} s.\n{Log}", exception);
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException or SocketException or System.Net.WebSockets.WebSocketException)
        {
            throw new XunitException($"{what}: {exception.GetBaseException().Message}\n{Log}", exception);
        }
    }

    public async ValueTask DisposeAsync()
    {
        _http.Dispose();
        var errors = new List<string>();
        foreach (ServerProcess process in Process is null ? _ended : [.. _ended, Process])
        {
            await process.DisposeAsync();
            errors.AddRange(process.Errors);
        }

        _folder.Dispose();
        if (errors.Count > 0 && !ErrorsAreExpected)
        {
            throw new XunitException($"The server logged errors:\n{string.Join('\n', errors)}");
        }
    }
}

public sealed record User(long Id, string Username, string Email, string Token);

/// <summary>An answer to a REST call.</summary>
public sealed record Answer(int Status, IReadOnlyDictionary<string, string> Fields, string Text)
{
    public JsonElement Json { get; } = Fields.GetValueOrDefault("Content-Type") is "application/json" or "application/problem+json" && Text.Length > 0
        ? JsonElement.Parse(Text)
        : default;

    /// <summary>Asserts a refusal as RFC 9457 problem details.</summary>
    public void IsProblem(int status, string code)
    {
        Assert.Equal(status, Status);
        Assert.Equal("application/problem+json", Fields["Content-Type"]);
        Assert.Equal(code, Json.Text("code"));
        Assert.Equal(status, Json.Number("status"));
    }

    /// <summary>Asserts a refusal that names the field at fault.</summary>
    public void IsBadField(string field, string reason)
    {
        IsProblem(400, "bad_field");
        Assert.Equal((field, reason), (Json.Text("field"), Json.Text("reason")));
    }
}

internal static class JsonElementReading
{
    public static string Text(this JsonElement json, string name) => json.GetProperty(name).GetString()!;

    public static long Number(this JsonElement json, string name) => json.GetProperty(name).GetInt64();

    public static bool Flag(this JsonElement json, string name) => json.TryGetProperty(name, out JsonElement value) && value.GetBoolean();
}
