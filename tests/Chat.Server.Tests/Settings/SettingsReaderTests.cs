using System.Net;
using Chat.Server.Nodes;
using Chat.Server.Settings;
using Microsoft.Extensions.Logging;
using StackExchange.Redis;

namespace Chat.Server.Tests.Settings;

public sealed class SettingsReaderTests
{
    private const string Secret = "correct-horse-battery-staple-0123456789";

    private static SettingsOutcome Read(string[]? args = null, (string Name, string Value)[]? environment = null, string file = "") =>
        SettingsReader.Read(args ?? [], (environment ?? []).ToDictionary(pair => pair.Name, pair => pair.Value), file);

    [Fact]
    public void Without_any_source_the_defaults_start_the_server()
    {
        var settings = Read().Settings!;

        Assert.Equal(("localhost", 3000, "./data", ""), (settings.Host, settings.Port, settings.DataDir, settings.DatabaseUrl));
        Assert.Equal(DeliveryOrder.Immediate, settings.Rooms.Delivery);
        Assert.Equal(new LogSettings(LogFormat.Text, LogLevel.Information), settings.Log);
        Assert.Equal(1440, settings.Token.LifetimeMinutes);
        Assert.Equal(Math.Max(1, Environment.ProcessorCount - 1), settings.Argon2.Concurrency);
        Assert.Empty(settings.CorsOrigins);
        Assert.Null(settings.Tls);
    }

    [Fact]
    public void A_flag_wins_over_the_environment_which_wins_over_the_file_which_wins_over_the_default()
    {
        const string File = "PORT=1\nWS_PING_INTERVAL_MS=30001\nHTTP_FIELDS_MAX=51";
        (string, string)[] environment = [("PORT", "2"), ("WS_PING_INTERVAL_MS", "30002")];

        var settings = Read(["--port", "3"], environment, File).Settings!;

        Assert.Equal(3, settings.Port);
        Assert.Equal(30002, settings.WebSocket.PingIntervalMs);
        Assert.Equal(51, settings.Http.FieldsMax);
        Assert.Equal(20000, settings.WebSocket.PongTimeoutMs);
    }

    [Fact]
    public void Only_the_value_that_wins_is_checked() =>
        Assert.Equal(3000, Read(["--port=3000"], [("PORT", "abc")], "PORT=99999").Settings!.Port);

    [Fact]
    public void An_empty_value_means_the_default_and_hides_what_lies_below() =>
        Assert.Equal(3000, Read(environment: [("PORT", "")], file: "PORT=4000").Settings!.Port);

    [Fact]
    public void The_same_bad_value_is_named_with_whichever_source_it_came_from()
    {
        const string Expected = "is not accepted: expected an integer from 0 to 65535.";

        Assert.Equal($"PORT: \"abc\" (from environment) {Expected}", Read(environment: [("PORT", "abc")]).Problem);
        Assert.Equal($"PORT: \"abc\" (from .env line 3) {Expected}", Read(file: "# a\n\nexport PORT=abc").Problem);
        Assert.Equal($"PORT: \"abc\" (from flag --port) {Expected}", Read(["--port", "abc"]).Problem);
    }

    [Theory]
    [InlineData("PORT", "65536", "an integer from 0 to 65535")]
    [InlineData("PORT", "-1", "an integer from 0 to 65535")]
    [InlineData("PORT", " 1", "an integer from 0 to 65535")]
    [InlineData("PORT", "99999999999999999999", "an integer from 0 to 65535")]
    [InlineData("RING_BYTES_MIN", "5000", "a power of two from 1024 to 2097152")]
    [InlineData("DELIVERY", "later", "one of immediate, committed")]
    [InlineData("DELIVERY", "1", "one of immediate, committed")]
    [InlineData("TRANSPORT", "pigeon", "one of auto, sockets, shards")]
    [InlineData("LOG_LEVEL", "loud", "one of trace, debug, information, warning, error, critical, none")]
    [InlineData("HOST", "not a host", "localhost, an IP address")]
    [InlineData("DATA_DIR", "   ", "a folder path")]
    [InlineData("JWT_ISSUER", " ", "text that is not blank")]
    [InlineData("CORS_ORIGINS", "https://a.example/", "a comma list of origins")]
    [InlineData("CORS_ORIGINS", "https://a.example,*", "a comma list of origins")]
    [InlineData("CORS_ORIGINS", "a.example", "a comma list of origins")]
    public void An_invalid_value_of_each_kind_names_the_setting_and_what_it_accepts(string name, string value, string accepts)
    {
        var outcome = Read(environment: [(name, value)]);

        Assert.Null(outcome.Settings);
        Assert.StartsWith($"{name}: \"{value}\" (from environment) is not accepted: expected {accepts}", outcome.Problem);
    }

    [Theory]
    [InlineData("JWT_SECRET", "short-secret")]
    [InlineData("DATABASE_URL", "mysql://root:hunter2@db/chat")]
    [InlineData("REDIS_URL", "redis://:hunter2@cache")]
    public void A_secret_is_never_echoed(string name, string value)
    {
        var flag = "--" + name.ToLowerInvariant().Replace('_', '-');
        SettingsOutcome[] outcomes =
        [
            Read(environment: [(name, value)]), Read(file: $"{name}={value}"), Read([flag, value]), Read([$"{flag}={value}"]),
            Read([flag, value, flag, value]), Read([$"{flag}x", value]), Read([$"{flag}x={value}"]), Read([value]),
            Read(file: $"{name} {value}"), Read(file: $"{name}='{value}"),
        ];

        Assert.All(outcomes, outcome =>
        {
            Assert.Null(outcome.Settings);
            Assert.NotNull(outcome.Problem);
            Assert.DoesNotContain(value, outcome.Problem);
        });
        Assert.Contains(name, outcomes[0].Problem);
    }

    [Theory]
    [InlineData("redis://cache", "cache", 6379, false, null)]
    [InlineData("redis://10.0.0.7:7000", "10.0.0.7", 7000, false, null)]
    [InlineData("redis://:hunter%402@cache:6380/", "cache", 6380, false, "hunter@2")]
    [InlineData("rediss://chat:hunter2@cache/0", "cache", 6379, true, "hunter2")]
    public void A_Redis_URL_is_read(string url, string host, int port, bool isTls, string? password)
    {
        Assert.True(BrokerUrl.TryParse(url, out ConfigurationOptions options));

        Assert.Equal(new DnsEndPoint(host, port).ToString().Split('/')[1], options.EndPoints.Single().ToString()!.Split('/')[^1]);
        Assert.Equal((isTls, password), (options.Ssl, options.Password));
    }

    [Theory]
    [InlineData("cache:6379")]
    [InlineData("http://cache")]
    [InlineData("redis://")]
    [InlineData("redis://cache:99999")]
    [InlineData("redis://hunter2@cache")]
    [InlineData("redis://cache/3")]
    public void What_is_no_Redis_URL_is_refused(string url)
    {
        var outcome = Read(environment: [("REDIS_URL", url)]);

        Assert.StartsWith("REDIS_URL: the value (from environment) is not accepted: expected redis://", outcome.Problem);
    }

    [Theory]
    [InlineData("DATABASE_URL", "", "DATABASE_URL: expected the PostgreSQL that all nodes share, because REDIS_URL (from environment) is set.")]
    [InlineData("JWT_SECRET", "", "JWT_SECRET: expected the key that all nodes sign with, because REDIS_URL (from environment) is set.")]
    [InlineData("DELIVERY", "immediate", "DELIVERY: expected committed, because REDIS_URL (from environment) is set: the database numbers what several nodes write.")]
    [InlineData("DELIVERY", "committed", null)]
    [InlineData("DELIVERY", "", null)]
    public void Several_nodes_need_what_they_share(string name, string value, string? problem)
    {
        var environment = new Dictionary<string, string>
        {
            ["REDIS_URL"] = "redis://cache",
            ["DATABASE_URL"] = "postgres://chat@db/chat",
            ["JWT_SECRET"] = Secret,
            [name] = value,
        };

        var outcome = SettingsReader.Read([], environment, "");

        Assert.Equal(problem, outcome.Problem);
        Assert.Equal(problem is null ? DeliveryOrder.Committed : null, outcome.Settings?.Rooms.Delivery);
    }

    [Fact]
    public void Settings_that_are_printed_show_no_secret()
    {
        var settings = Read(environment: [("JWT_SECRET", Secret), ("DATABASE_URL", "postgres://chat:hunter2@db/chat")]).Settings!;

        Assert.Equal(Secret, settings.Token.Secret);
        Assert.DoesNotContain("hunter2", settings.ToString());
        Assert.DoesNotContain(Secret, settings.ToString() + settings.Token);
    }

    [Fact]
    public void A_value_with_control_characters_or_of_great_length_is_echoed_safely()
    {
        Assert.Contains("\"a?[2Jb\"", Read(environment: [("PORT", "a\u001b[2Jb")]).Problem);
        Assert.True(Read(environment: [("PORT", new string('9', 10_000))]).Problem!.Length < 200);
    }

    [Fact]
    public void Unknown_environment_variables_are_ignored_and_unknown_names_in_the_file_are_warned_about()
    {
        var outcome = Read(environment: [("PATH", "/bin")], file: "PORTT=1\nPORT=2");

        Assert.Equal(2, outcome.Settings!.Port);
        Assert.Equal([".env line 1: PORTT is not a setting of this server and has no effect."], outcome.Warnings);
    }

    [Theory]
    [InlineData("--prot=3", "--prot is not a flag of this server. See --help.")]
    [InlineData("stray", "The command line has a value that belongs to no flag. See --help.")]
    [InlineData("@args.txt", "The command line has a value that belongs to no flag. See --help.")]
    [InlineData("--port", "PORT: the flag --port needs a value: expected an integer from 0 to 65535.")]
    public void An_unknown_or_incomplete_flag_stops_the_start(string arg, string problem) => Assert.Equal(problem, Read([arg]).Problem);

    [Theory]
    [InlineData(false)]
    [InlineData(true, "--conformance")]
    [InlineData(true, "--conformance", "--port=1")]
    [InlineData(true, "--conformance", "on")]
    [InlineData(false, "--conformance=off")]
    public void A_switch_may_stand_alone(bool isOn, params string[] args) => Assert.Equal(isOn, Read(args).Settings!.Conformance);

    [Fact]
    public void A_flag_given_twice_stops_the_start() =>
        Assert.Equal("PORT: the flag --port is given more than once.", Read(["--port", "1", "--port", "2"]).Problem);

    [Theory]
    [InlineData("RING_BYTES_MIN=8192\nRING_BYTES_MAX=4096\nCONTENT_CHARS_MAX=1",
        "RING_BYTES_MIN is 8192 (from .env line 1): expected at most RING_BYTES_MAX, which is 4096 (from .env line 2).")]
    [InlineData("PASSWORD_CHARS_MIN=100\nPASSWORD_CHARS_MAX=64", "PASSWORD_CHARS_MIN is 100 (from .env line 1): expected at most PASSWORD_CHARS_MAX, ")]
    [InlineData("WS_PONG_TIMEOUT_MS=30000", "WS_PONG_TIMEOUT_MS is 30000 (from .env line 1): expected at most WS_PING_INTERVAL_MS, which is 25000 (from default).")]
    [InlineData("BATCH_ROWS_MAX=100000", "BATCH_ROWS_MAX is 100000 (from .env line 1): expected at most MESSAGE_LOG_ROWS_MAX, ")]
    [InlineData("MESSAGE_LOG_BYTES_MAX=4096", "BATCH_BYTES_MAX is 1048576 (from default): expected at most MESSAGE_LOG_BYTES_MAX, ")]
    [InlineData("RING_BYTES_MAX=4096", "RING_BYTES_MAX is 4096 (from .env line 1): expected at least 49024, to hold CONTENT_CHARS_MAX = 4000 (from default) as JSON.")]
    [InlineData("CONTENT_CHARS_MAX=10000", "WS_MESSAGE_BYTES_MAX is 65536 (from default): expected at least 121024, ")]
    [InlineData("HTTP_BODY_BYTES_MAX=1024", "HTTP_BODY_BYTES_MAX is 1024 (from .env line 1): expected at least 49024, ")]
    [InlineData("ARGON2_MEMORY_KIB=64\nARGON2_PARALLELISM=16", "ARGON2_MEMORY_KIB is 64 (from .env line 1): expected at least 128, ")]
    [InlineData("TLS_CERT_FILE=cert.pem", "TLS_KEY_FILE: expected a path, because TLS_CERT_FILE (from .env line 1) is set.")]
    [InlineData("TLS_KEY_FILE=key.pem", "TLS_CERT_FILE: expected a path, because TLS_KEY_FILE (from .env line 1) is set.")]
    public void Limits_that_contradict_each_other_stop_the_start(string file, string problem) =>
        Assert.StartsWith(problem, Read(file: file).Problem);

    [Theory]
    [InlineData("BACKLOG_BYTES_MAX=524288", 524288)]
    [InlineData("RESUME_BYTES_MAX=65536", 65536)]
    public void A_replay_is_no_larger_than_what_a_member_may_be_behind(string file, int expected) =>
        Assert.Equal(expected, Read(file: file).Settings!.Rooms.ResumeBytesMax);

    [Fact]
    public void Every_kind_of_setting_takes_a_valid_value()
    {
        var settings = Read(
            ["--delivery", "Committed", "--log-format", "json", "--log-level", "none", "--data-dir", "/srv/chat", "--host", "::", "--port", "0"],
            [("CORS_ORIGINS", "https://A.example, http://localhost:5173"), ("TLS_CERT_FILE", "c.pem"), ("TLS_KEY_FILE", "k.pem"),
                ("DATABASE_URL", "Host=db;Username=chat")]).Settings!;

        Assert.Equal(DeliveryOrder.Committed, settings.Rooms.Delivery);
        Assert.Equal(new LogSettings(LogFormat.Json, LogLevel.None), settings.Log);
        Assert.Equal(("::", 0, "/srv/chat"), (settings.Host, settings.Port, settings.DataDir));
        Assert.Equal(["https://a.example", "http://localhost:5173"], settings.CorsOrigins);
        Assert.Equal(new TlsFiles("c.pem", "k.pem"), settings.Tls);
        Assert.Equal("Host=db;Username=chat", settings.DatabaseUrl);
        Assert.Equal(["*"], Read(environment: [("CORS_ORIGINS", "*")]).Settings!.CorsOrigins);
    }

    [Fact]
    public void Help_lists_every_flag_with_its_default_and_range()
    {
        var outcome = Read(["--help"]);

        Assert.Null(outcome.Settings);
        var help = string.Join(' ', outcome.Output!.Split((char[])[' ', '\n', '\r'], StringSplitOptions.RemoveEmptyEntries));
        Assert.All(SettingTable.All, setting => Assert.Contains($"{setting.Flag} <{setting.Unit}> ", help));
        Assert.Contains("Default: 3000.", help);
        Assert.Contains("--version", help);
    }

    [Fact]
    public void Version_prints_a_version() => Assert.Matches(@"^\d+\.\d+\.\d+", Read(["--version"]).Output);

    [Fact]
    public void Each_setting_has_a_flag_a_unit_a_reason_and_a_default_that_it_accepts()
    {
        Assert.Equal(SettingTable.All.Length, SettingTable.All.Select(setting => setting.Name).Distinct().Count());
        Assert.All(SettingTable.All, setting =>
        {
            Assert.Matches("^[A-Z][A-Z0-9_]*$", setting.Name);
            Assert.NotEmpty(setting.Unit);
            Assert.NotEmpty(setting.Doc);
            Assert.True(setting.TryParse(setting.DefaultText, out _), setting.Name);
        });
        var declared = typeof(SettingTable).GetFields().Count(field => field.FieldType.IsAssignableTo(typeof(Setting)));
        Assert.Equal(declared, SettingTable.All.Length);
    }

    [Fact]
    public void The_smallest_head_that_may_be_set_holds_the_longest_request_line()
    {
        int smallest = Enumerable.Range(1, 64 * 1024).First(static bytes => SettingTable.HttpHeadBytesMax.TryParse($"{bytes}", out _));

        new Protocol.Http.HttpLimits { HeadBytesMax = smallest }.RequireConsistent(); // It throws otherwise, at every connection.
    }
}
