using System.Collections.Immutable;
using System.Net;
using Chat.Server.Connections;
using Microsoft.Extensions.Logging;

namespace Chat.Server.Settings;

/// <summary>
/// All settings of one start, checked alone and against each other. Immutable: any thread may read it, and parts are given
/// to the classes that need them. Meaning, unit, range and reason of each are in <see cref="SettingTable"/>.
/// Made by <see cref="SettingsReader"/>; tests start from <see cref="Default"/> and use <c>with</c>.
/// </summary>
internal sealed record ServerSettings
{
    /// <summary>What a start without any setting gets.</summary>
    public static ServerSettings Default { get; } = SettingsReader.Build(SettingValues.Defaults);

    public required string Host { get; init; }

    /// <summary>0: any free port.</summary>
    public required int Port { get; init; }

    /// <summary>As given: relative to the current folder of the process.</summary>
    public required string DataDir { get; init; }

    /// <summary>Secret: may hold a password. Empty: SQLite in <see cref="DataDir"/>.</summary>
    public required string DatabaseUrl { get; init; }

    /// <summary>Secret: may hold a password. Empty: a single node.</summary>
    public required string RedisUrl { get; init; }

    /// <summary>Lower case, as browsers send them; or <c>*</c> alone; or none.</summary>
    public required ImmutableArray<string> CorsOrigins { get; init; }

    /// <summary>Null: plain HTTP.</summary>
    public required TlsFiles? Tls { get; init; }

    public required TransportKind Transport { get; init; }

    public required EngineKind Engine { get; init; }

    public required int Shards { get; init; }

    /// <summary>In microseconds; 0: turns are never kept apart.</summary>
    public required int TurnIntervalUs { get; init; }

    public required int ConnectionsMax { get; init; }

    /// <summary>0: no limit.</summary>
    public required int ConnectionsPerIpMax { get; init; }

    public required ProxySettings Proxies { get; init; }

    public required ImmutableArray<IPNetwork> MetricsFrom { get; init; }

    public required AttemptSettings Attempts { get; init; }

    public required int DrainTimeoutMs { get; init; }

    /// <summary>Serves the endpoints of <see cref="Rest.ConformanceEndpoint"/>.</summary>
    public required bool Conformance { get; init; }

    public required LogSettings Log { get; init; }

    public required TokenSettings Token { get; init; }

    public required CredentialLimits Credentials { get; init; }

    public required Argon2Settings Argon2 { get; init; }

    public required HttpLimits Http { get; init; }

    public required WebSocketLimits WebSocket { get; init; }

    public required RoomSettings Rooms { get; init; }

    public required RateSettings Rates { get; init; }

    public required MessageLogLimits MessageLog { get; init; }

    /// <summary>Only the name: the compiler's version would print <see cref="DatabaseUrl"/> into the first log that formats it.</summary>
    public override string ToString() => nameof(ServerSettings);
}

internal enum TransportKind
{
    Auto,
    Sockets,
    Shards,
}

internal enum EngineKind
{
    Auto,
    Send,
    Uring,
}

internal enum ProxyProtocolUse
{
    Off,
    On,
}

internal enum LogFormat
{
    Text,
    Json,
}

internal enum DeliveryOrder
{
    /// <summary>Fanned out once numbered in memory; the ack follows the commit.</summary>
    Immediate,

    /// <summary>Fanned out after the commit.</summary>
    Committed,
}

internal enum Switch
{
    On,
    Off,
}

internal sealed record TlsFiles(string CertFile, string KeyFile);

internal sealed record ProxySettings(ImmutableArray<IPNetwork> Trusted, bool ReadsForwarded, bool ExpectsProxyHeader);

/// <summary>An hour each; 0: no limit.</summary>
internal sealed record AttemptSettings(int FailuresPerAccountMax, int FailuresPerAddressMax, int RegistrationsPerAddressMax);

internal sealed record LogSettings(LogFormat Format, LogLevel Level);

/// <summary>The secret is empty when the key file in the data folder is to be used.</summary>
internal sealed record TokenSettings(string Secret, string Issuer, string Audience, int LifetimeMinutes, int CacheMax)
{
    /// <summary>Without <see cref="Secret"/>.</summary>
    public override string ToString() => $"{nameof(TokenSettings)} {{ Issuer = {Issuer}, Audience = {Audience} }}";
}

/// <summary>In characters, which are Unicode code points here as in the database.</summary>
internal sealed record CredentialLimits(int UsernameCharsMax, int PasswordCharsMin, int PasswordCharsMax);

internal sealed record Argon2Settings(int MemoryKib, int Iterations, int Parallelism, int Concurrency, int QueueMax);

internal sealed record HttpLimits(
    int HeadBytesMax, int FieldsMax, int BodyBytesMax, int HeadTimeoutMs, int BodyTimeoutMs, int KeepAliveTimeoutMs);

internal sealed record WebSocketLimits(
    int MessageBytesMax, int PingIntervalMs, int PongTimeoutMs, int CloseTimeoutMs, bool Deflate, int DeflateBytesMin);

internal sealed record RoomSettings
{
    public required DeliveryOrder Delivery { get; init; }

    public required int ContentCharsMax { get; init; }

    public required int NameCharsMax { get; init; }

    public required int PerUserMax { get; init; }

    public required int SubscriptionsMax { get; init; }

    public required int RingBytesMin { get; init; }

    public required int RingBytesMax { get; init; }

    public required int BacklogBytesMax { get; init; }

    public required int BacklogTimeMaxMs { get; init; }

    public required int ResumeEventsMax { get; init; }

    public required int ResumeBytesMax { get; init; }

    public required int NonceWindowMs { get; init; }

    public required int NoncesPerRoomMax { get; init; }
}

internal sealed record RateSettings(bool AreOn, int BurstMs, Rate Connection, Rate User);

internal sealed record MessageLogLimits(int RowsMax, int BytesMax, int BatchRowsMax, int BatchBytesMax, int Lanes, int CommitIntervalMs);
