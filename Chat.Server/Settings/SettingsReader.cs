using System.Collections;
using Chat.Server.Connections;

namespace Chat.Server.Settings;

/// <summary>
/// Joins the sources into <see cref="ServerSettings"/>: defaults, then <c>.env</c> in the current folder, then the environment, then the
/// command line; the later one wins, and only the winning value is checked. Called once, at the start, before anything else exists.
/// </summary>
internal static class SettingsReader
{
    private const string EnvFileName = ".env";

    // All settings with comments take 10 KiB; more is the wrong file.
    private const int EnvFileBytesMax = 1024 * 1024;

    /// <summary>Reads the sources of this process.</summary>
    public static SettingsOutcome ReadProcess(string[] args)
    {
        var environment = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (DictionaryEntry variable in Environment.GetEnvironmentVariables())
        {
            environment[(string)variable.Key] = (string?)variable.Value ?? "";
        }
        return TryReadEnvFile(out var envFileText, out var problem)
            ? Read(args, environment, envFileText)
            : SettingsOutcome.Fail(problem);
    }

    /// <param name="args">The command line without the program name.</param>
    /// <param name="environment">Names that are no settings are ignored: the environment belongs to others as well.</param>
    /// <param name="envFileText">The content of <c>.env</c>; empty when there is none.</param>
    public static SettingsOutcome Read(string[] args, IReadOnlyDictionary<string, string> environment, string envFileText)
    {
        if (!CommandLineFlags.TryParse(args, out var flags, out var output, out var problem))
        {
            return output.Length > 0 ? SettingsOutcome.Print(output) : SettingsOutcome.Fail(problem);
        }
        if (!EnvFile.TryParse(envFileText, out var entries, out problem))
        {
            return SettingsOutcome.Fail(problem);
        }

        var file = entries.ToDictionary(static entry => entry.Name, StringComparer.Ordinal);
        var values = new SettingValues();
        foreach (var setting in SettingTable.All)
        {
            var (text, source) =
                flags.TryGetValue(setting, out var flag) ? (flag, $"flag {setting.Flag}")
                : environment.TryGetValue(setting.Name, out var variable) ? (variable, "environment")
                : file.TryGetValue(setting.Name, out var entry) ? (entry.Value, $".env line {entry.Line}")
                : ("", SettingValues.DefaultSource);
            if (!values.TrySet(setting, text, source, out problem))
            {
                return SettingsOutcome.Fail(problem);
            }
        }
        if (SettingRelations.FindBroken(values) is { } broken)
        {
            return SettingsOutcome.Fail(broken);
        }

        var known = SettingTable.All.Select(static setting => setting.Name).ToHashSet(StringComparer.Ordinal);
        return SettingsOutcome.Start(Build(values), [.. entries
            .Where(entry => !known.Contains(entry.Name))
            .Select(static entry => $".env line {entry.Line}: {entry.Name} is not a setting of this server and has no effect.")]);
    }

    internal static ServerSettings Build(SettingValues values) => new()
    {
        Host = values.Get(SettingTable.Host),
        Port = values.Get(SettingTable.Port),
        DataDir = values.Get(SettingTable.DataDir),
        DatabaseUrl = values.Get(SettingTable.DatabaseUrl),
        RedisUrl = values.Get(SettingTable.RedisUrl),
        CorsOrigins = values.Get(SettingTable.CorsOrigins),
        Tls = values.Get(SettingTable.TlsCertFile) is { Length: > 0 } certFile
            ? new TlsFiles(certFile, values.Get(SettingTable.TlsKeyFile))
            : null,
        Transport = values.Get(SettingTable.Transport),
        Engine = values.Get(SettingTable.Engine),
        Shards = values.Get(SettingTable.Shards),
        TurnIntervalUs = values.Get(SettingTable.TurnIntervalUs),
        ConnectionsMax = values.Get(SettingTable.ConnectionsMax),
        ConnectionsPerIpMax = values.Get(SettingTable.ConnectionsPerIpMax),
        Proxies = new ProxySettings(
            Trusted: values.Get(SettingTable.TrustedProxies),
            ReadsForwarded: values.Get(SettingTable.ForwardedField) == "Forwarded",
            ExpectsProxyHeader: values.Get(SettingTable.ProxyProtocol) == ProxyProtocolUse.On),
        MetricsFrom = values.Get(SettingTable.MetricsFrom),
        Attempts = new AttemptSettings(
            FailuresPerAccountMax: values.Get(SettingTable.LoginFailuresPerAccountMax),
            FailuresPerAddressMax: values.Get(SettingTable.LoginFailuresPerIpMax),
            RegistrationsPerAddressMax: values.Get(SettingTable.RegistrationsPerIpMax)),
        DrainTimeoutMs = values.Get(SettingTable.DrainTimeoutMs),
        Conformance = values.Get(SettingTable.Conformance),
        Log = new LogSettings(values.Get(SettingTable.Format), values.Get(SettingTable.Level)),
        Token = new TokenSettings(
            Secret: values.Get(SettingTable.JwtSecret),
            Issuer: values.Get(SettingTable.JwtIssuer),
            Audience: values.Get(SettingTable.JwtAudience),
            LifetimeMinutes: values.Get(SettingTable.TokenLifetimeMinutes),
            CacheMax: values.Get(SettingTable.TokenCacheMax)),
        Credentials = new CredentialLimits(
            UsernameCharsMax: values.Get(SettingTable.UsernameCharsMax),
            PasswordCharsMin: values.Get(SettingTable.PasswordCharsMin),
            PasswordCharsMax: values.Get(SettingTable.PasswordCharsMax)),
        Argon2 = new Argon2Settings(
            MemoryKib: values.Get(SettingTable.Argon2MemoryKib),
            Iterations: values.Get(SettingTable.Argon2Iterations),
            Parallelism: values.Get(SettingTable.Argon2Parallelism),
            Concurrency: values.Get(SettingTable.Argon2Concurrency),
            QueueMax: values.Get(SettingTable.Argon2QueueMax)),
        Http = new HttpLimits(
            HeadBytesMax: values.Get(SettingTable.HttpHeadBytesMax),
            FieldsMax: values.Get(SettingTable.HttpFieldsMax),
            BodyBytesMax: values.Get(SettingTable.HttpBodyBytesMax),
            HeadTimeoutMs: values.Get(SettingTable.HttpHeadTimeoutMs),
            BodyTimeoutMs: values.Get(SettingTable.HttpBodyTimeoutMs),
            KeepAliveTimeoutMs: values.Get(SettingTable.HttpKeepAliveTimeoutMs)),
        WebSocket = new WebSocketLimits(
            MessageBytesMax: values.Get(SettingTable.WsMessageBytesMax),
            PingIntervalMs: values.Get(SettingTable.WsPingIntervalMs),
            PongTimeoutMs: values.Get(SettingTable.WsPongTimeoutMs),
            CloseTimeoutMs: values.Get(SettingTable.WsCloseTimeoutMs),
            Deflate: values.Get(SettingTable.WsDeflate),
            DeflateBytesMin: values.Get(SettingTable.WsDeflateBytesMin)),
        Rooms = new RoomSettings
        {
            Delivery = values.Get(SettingTable.RedisUrl).Length > 0 ? DeliveryOrder.Committed : values.Get(SettingTable.Delivery),
            ContentCharsMax = values.Get(SettingTable.ContentCharsMax),
            NameCharsMax = values.Get(SettingTable.RoomNameCharsMax),
            PerUserMax = values.Get(SettingTable.RoomsPerUserMax),
            SubscriptionsMax = values.Get(SettingTable.SubscriptionsMax),
            RingBytesMin = values.Get(SettingTable.RingBytesMin),
            RingBytesMax = values.Get(SettingTable.RingBytesMax),
            BacklogBytesMax = values.Get(SettingTable.BacklogBytesMax),
            BacklogTimeMaxMs = values.Get(SettingTable.BacklogTimeMaxMs),
            ResumeEventsMax = values.Get(SettingTable.ResumeEventsMax),
            ResumeBytesMax = Math.Min(values.Get(SettingTable.ResumeBytesMax), values.Get(SettingTable.BacklogBytesMax)),
            NonceWindowMs = values.Get(SettingTable.NonceWindowMs),
            NoncesPerRoomMax = values.Get(SettingTable.NoncesPerRoomMax),
        },
        Rates = new RateSettings(
            AreOn: values.Get(SettingTable.RateLimits) == Switch.On,
            BurstMs: values.Get(SettingTable.RateBurstMs),
            Connection: new Rate(
                MessagesPerS: values.Get(SettingTable.ConnectionMessagesPerS),
                BytesPerS: values.Get(SettingTable.ConnectionBytesPerS),
                CommandsPerS: values.Get(SettingTable.ConnectionCommandsPerS)),
            User: new Rate(
                MessagesPerS: values.Get(SettingTable.UserMessagesPerS),
                BytesPerS: values.Get(SettingTable.UserBytesPerS),
                CommandsPerS: values.Get(SettingTable.UserCommandsPerS))),
        MessageLog = new MessageLogLimits(
            RowsMax: values.Get(SettingTable.MessageLogRowsMax),
            BytesMax: values.Get(SettingTable.MessageLogBytesMax),
            BatchRowsMax: values.Get(SettingTable.BatchRowsMax),
            BatchBytesMax: values.Get(SettingTable.BatchBytesMax),
            Lanes: values.Get(SettingTable.MessageLogLanes),
            CommitIntervalMs: values.Get(SettingTable.CommitIntervalMs)),
    };

    private static bool TryReadEnvFile(out string text, out string problem)
    {
        text = problem = "";
        try
        {
            var file = new FileInfo(EnvFileName);
            if (!file.Exists)
            {
                return true;
            }
            if (file.Length > EnvFileBytesMax)
            {
                problem = $".env is larger than {EnvFileBytesMax} bytes.";
                return false;
            }
            text = File.ReadAllText(file.FullName);
            return true;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            problem = $".env cannot be read: {exception.Message}";
            return false;
        }
    }
}
