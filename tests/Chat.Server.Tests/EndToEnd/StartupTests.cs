using System.Net;
using System.Net.Sockets;
using System.Reflection;
using Chat.Server.Settings;
using Chat.TestKit;
using Microsoft.Data.Sqlite;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>The program as its operator meets it.</summary>
public sealed class StartupTests : IDisposable
{
    private readonly TempFolder _folder = new();

    [Theory]
    [InlineData("PORT", "http", "PORT")]
    [InlineData("PORT", "65536", "PORT")]
    [InlineData("LOG_LEVEL", "loud", "LOG_LEVEL")]
    [InlineData("JWT_SECRET", "short", "JWT_SECRET")]
    [InlineData("TLS_CERT_FILE", "cert.pem", "TLS_KEY_FILE")]
    [InlineData("DATABASE_URL", "mysql://localhost/chat", "DATABASE_URL")]
    [InlineData("BACKLOG_BYTES_MAX", "4096", "BACKLOG_BYTES_MAX")] // Less than one message.
    [InlineData("DELIVERY", "sometimes", "DELIVERY")]
    public async Task An_invalid_setting_stops_the_start_with_a_message_that_names_it(string name, string value, string named)
    {
        (int code, string output) = await RunAsync(ServerLaunch.Sqlite.With(name, value));

        Assert.Equal(1, code);
        Assert.Contains(named, output, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", output, StringComparison.Ordinal); // A sentence, not a stack trace.
        Assert.False(Directory.Exists(_folder.File("data"))); // Nothing was begun.
    }

    [Fact]
    public async Task A_secret_that_is_refused_is_not_repeated()
    {
        (_, string output) = await RunAsync(ServerLaunch.Sqlite.With("JWT_SECRET", "hunter2"));

        Assert.DoesNotContain("hunter2", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_unknown_flag_stops_the_start()
    {
        (int code, string output) = await RunAsync(ServerLaunch.Sqlite, "--prot", "3000");

        Assert.Equal(1, code);
        Assert.Contains("--prot", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Help_lists_every_setting_and_starts_nothing()
    {
        (int code, string output) = await RunAsync(ServerLaunch.Sqlite, "--help");

        Assert.Equal(0, code);
        Assert.All(SettingTable.All, setting => Assert.Contains(setting.Flag, output, StringComparison.Ordinal));
        Assert.Empty(Directory.GetFileSystemEntries(_folder.Path));
    }

    [Fact]
    public async Task Version_prints_the_version()
    {
        (int code, string output) = await RunAsync(ServerLaunch.Sqlite, "--version");

        Assert.Equal(0, code);
        string version = typeof(ChatServer).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion;
        Assert.Equal(version, output.Trim());
    }

    [Fact]
    public async Task A_port_in_use_is_told_in_one_line()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        string port = $"{((IPEndPoint)taken.LocalEndpoint).Port}";

        (int code, string output) = await RunAsync(ServerLaunch.Sqlite.With("PORT", port).With("LOG_FORMAT", "text"));

        Assert.Equal(1, code);
        string line = Assert.Single(output.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.Contains(port, line, StringComparison.Ordinal);
        Assert.Contains("in use", line, StringComparison.Ordinal);
        Assert.False(File.Exists(_folder.File("data/chat.db"))); // It might be another server's, who would have been replaced.
    }

    [Theory]
    [InlineData("192.0.2.1", "auto")] // RFC 5737: nobody's.
    [InlineData("192.0.2.1", "sockets")]
    [InlineData("host.invalid", "auto")] // RFC 6761.
    [InlineData("host.invalid", "sockets")]
    public async Task A_host_that_cannot_be_listened_at_is_told_in_one_line(string host, string transport)
    {
        (int code, string output) = await RunAsync(ServerLaunch.Sqlite.With("HOST", host).With("TRANSPORT", transport).With("LOG_FORMAT", "text"));

        Assert.Equal(1, code);
        string line = Assert.Single(output.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.Contains("Cannot start: HOST: ", line, StringComparison.Ordinal);
        Assert.Contains(host, line, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(TestCertificate.Unusable), MemberType = typeof(TestCertificate))]
    public async Task A_certificate_that_cannot_be_used_is_told_in_one_line(string what)
    {
        TestCertificate.WriteUnusable(_folder.File("cert.pem"), _folder.File("key.pem"), what);

        (int code, string output) = await RunAsync(ServerLaunch.Sqlite
            .With("TRANSPORT", "").With("TLS_CERT_FILE", _folder.File("cert.pem")).With("TLS_KEY_FILE", _folder.File("key.pem")).With("LOG_FORMAT", "text"));

        Assert.Equal(1, code);
        string line = Assert.Single(output.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.Contains("Cannot start: TLS_CERT_FILE, TLS_KEY_FILE: ", line, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_file_that_is_no_database_is_told_in_one_line_and_stays()
    {
        const string Content = "not a database, but somebody's letter, which is longer than the header of one: SQLite looks at the first hundred bytes of a file";
        Directory.CreateDirectory(_folder.File("data"));
        await File.WriteAllTextAsync(_folder.File("data/chat.db"), Content, TestContext.Current.CancellationToken);

        (int code, string output) = await RunAsync(ServerLaunch.Sqlite.With("LOG_FORMAT", "text"));

        Assert.Equal(1, code);
        Assert.Contains("no database of SQLite", Assert.Single(output.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
        Assert.Equal(Content, await File.ReadAllTextAsync(_folder.File("data/chat.db"), TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Two_servers_do_not_share_one_folder()
    {
        await using RunningServer server = await RunningServer.StartAsync(ServerLaunch.Sqlite);
        await using var database = new SqliteConnection($"Data Source={Path.Combine(server.Folder, "data", "chat.db")};Pooling=False");
        await database.OpenAsync(TestContext.Current.CancellationToken);
        await using var command = new SqliteCommand("DELETE FROM schema_version WHERE version > 1", database); // As if the first were an older build.
        await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
        await using var second = ServerProcess.Start(ServerLaunch.Sqlite, server.Folder);

        Assert.Equal(1, await second.ExitAsync());
        Assert.Contains("Another server", Assert.Single(second.Errors), StringComparison.Ordinal);
        Assert.Equal(200, (await server.GetAsync("/readyz")).Status);
        command.CommandText = "SELECT max(version) FROM schema_version";
        Assert.Equal(1L, await command.ExecuteScalarAsync(TestContext.Current.CancellationToken)); // The second has changed nothing.
    }

    [Fact]
    public async Task Nothing_has_to_be_configured()
    {
        // All but the port, which belongs to whoever runs this machine.
        ServerLaunch launch = ServerLaunch.Sqlite.With("JWT_SECRET", "");
        await using RunningServer server = await RunningServer.StartAsync(launch);

        Assert.Equal("127.0.0.1", server.Url.Host);
        Assert.True(File.Exists(Path.Combine(server.Folder, "data", "chat.db")));
        string key = Path.Combine(server.Folder, "data", "jwt.key");
        if (!OperatingSystem.IsWindows())
        {
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(key));
        }

        Assert.Contains(key.Split('/')[^1], server.Process.Output, StringComparison.Ordinal);
        User user = await server.RegisterAsync();
        await server.KillAndStartAgainAsync();
        Assert.Equal(200, (await server.GetAsync("/rooms", user.Token)).Status); // The key was kept.
        Assert.DoesNotContain("jwt.key", server.Process.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_flag_overrides_the_environment_which_overrides_the_file()
    {
        await File.WriteAllTextAsync(
            _folder.File(".env"), "DATA_DIR=from-the-file\nLOG_LEVEL=nonsense\nLOG_FORMAT=text\n", TestContext.Current.CancellationToken);
        await using var process = ServerProcess.Start(
            ServerLaunch.Sqlite.With("LOG_LEVEL", "nonsense").With("DATA_DIR", _folder.File("elsewhere")), _folder.Path, "--log-level", "information");

        await process.ListeningAsync();

        Assert.True(File.Exists(_folder.File("elsewhere/chat.db")));
        Assert.False(Directory.Exists(_folder.File("from-the-file")));
        Assert.StartsWith("{", process.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(StoreKind.Sqlite)]
    [InlineData(StoreKind.Postgres)]
    public async Task A_running_server_tells_how_it_is(StoreKind store)
    {
        await using RunningServer server = await RunningServer.StartAsync(store == StoreKind.Sqlite ? ServerLaunch.Sqlite : ServerLaunch.Postgres);
        User user = await server.RegisterAsync();
        using ChatSocket member = await server.EnterAsync(user, 1);
        await server.PublishAsync(user, 1, "x");

        Assert.Equal((200, "ok"), await server.GetAsync("/healthz") is var health ? (health.Status, health.Json.Text("status")) : default);
        Answer ready = await server.GetAsync("/readyz");
        Assert.Equal((200, true, true), (ready.Status, ready.Json.Flag("database"), ready.Json.Flag("message_log")));
        Assert.StartsWith("text/plain; version=0.0.4", (await server.GetAsync("/metrics")).Fields["Content-Type"], StringComparison.Ordinal);
        Assert.Equal(1, await server.MetricAsync("chat_message_log_committed_total"));
        Assert.Equal(0, await server.MetricAsync("chat_message_log_queued_rows"));
        Assert.Equal(1, await server.HistogramCountAsync("chat_message_log_commit_seconds"));
        Assert.True(await server.HistogramCountAsync("chat_shard_turn_seconds") > 0);
        Assert.StartsWith("text/html", (await server.GetAsync("/")).Fields["Content-Type"], StringComparison.Ordinal);
        Assert.Equal("application/json", (await server.GetAsync("/openapi.json")).Fields["Content-Type"]);
    }

    public void Dispose() => _folder.Dispose();

    private async Task<(int Code, string Output)> RunAsync(ServerLaunch launch, params string[] arguments)
    {
        await using var process = ServerProcess.Start(launch, _folder.Path, arguments);
        int code = await process.ExitAsync();
        return (code, process.Output);
    }
}
