using System.Collections.Immutable;
using System.Net;
using System.Text;
using Chat.Server.Nodes;
using Chat.Server.Rooms;
using Microsoft.Extensions.Logging;
using static Chat.Server.Settings.Setting;

namespace Chat.Server.Settings;

/// <summary>
/// Every setting, in the order in which help and <c>.env.example</c> show them. To add one: a field here, a member of
/// <see cref="ServerSettings"/>, and the generated <c>.env.example</c>.
/// </summary>
internal static class SettingTable
{
    private const int Kib = 1024;
    private const int Mib = 1024 * Kib;
    private const int HourMs = 3_600_000;

    /// <summary>Outside the accepted range: nobody chose, and the store knows best.</summary>
    public const int StoreDefault = -1;

    // Where it listens and keeps its data.
    public static readonly Setting<string> Host = Text("HOST", "localhost", "name",
        "localhost, an IP address (0.0.0.0 or :: for every interface) or a host name",
        "Address to listen on; localhost so that nothing is exposed before it is meant to be.",
        static text => IPAddress.TryParse(text, out _) || Uri.CheckHostName(text) != UriHostNameType.Unknown);
    public static readonly Setting<int> Port = Integer("PORT", 3000, 0, 65535, "port",
        "Port to listen on; 0 takes any free one, for tests.");
    public static readonly Setting<string> DataDir = Text("DATA_DIR", "./data", "path", "a folder path",
        "Folder of the SQLite file and the signing key; made at the first start.", IsPath);
    public static readonly Setting<string> DatabaseUrl = Text("DATABASE_URL", "", "url",
        "postgres://user:password@host:port/database, postgresql://... or an Npgsql connection string (Host=...)",
        "PostgreSQL to use; empty keeps messages in SQLite in DATA_DIR, which needs no setup.", IsDatabase, isSecret: true);
    public static readonly Setting<string> RedisUrl = Text("REDIS_URL", "", "url",
        "redis://[user:password@]host[:port], or rediss:// for TLS",
        "Redis through which several servers that share DATABASE_URL tell each other what they store; empty for one server, which has its database alone.",
        static text => BrokerUrl.TryParse(text, out _), isSecret: true);
    public static readonly Setting<string> TlsCertFile = Text("TLS_CERT_FILE", "", "path", "a path to a PEM file",
        "Certificate chain for HTTPS, read again when it changes; empty serves plain HTTP, for use behind a proxy that ends TLS.", IsPath);
    public static readonly Setting<string> TlsKeyFile = Text("TLS_KEY_FILE", "", "path", "a path to a PEM file",
        "Private key of TLS_CERT_FILE; both or neither.", IsPath);
    public static readonly Setting<TransportKind> Transport = Choice("TRANSPORT", TransportKind.Auto,
        "How bytes reach the sockets: sockets (any system, TLS) or shards (Linux: a thread for each core that owns its connections); auto takes shards where it can.");
    public static readonly Setting<EngineKind> Engine = Choice("ENGINE", EngineKind.Auto,
        "How shards send: send (a system call for each socket) or uring (one for all, through io_uring); auto takes uring where the kernel allows it.");
    public static readonly Setting<int> Shards = MeasuredInteger("SHARDS", Environment.ProcessorCount, 1, 1024, "loops",
        "Loops that serve connections; by default one a core, more would only add switches.");
    public static readonly Setting<int> TurnIntervalUs = Integer("TURN_INTERVAL_US", 1_000, 0, 10_000, "us",
        "Turns of a shard that is woken more than 2,000 times a second are kept so far apart, which saves processor time and costs latency; 0 never waits.");
    public static readonly Setting<int> DrainTimeoutMs = Integer("DRAIN_TIMEOUT_MS", 10_000, 0, HourMs, "ms",
        "Time of a stop, to store what was accepted and to close connections (3 s at least); container runtimes commonly wait 10 s before they kill.");

    public static readonly Setting<bool> Conformance = Switch("CONFORMANCE", false,
        "Adds /conformance/echo and /conformance/http/, without a token, for protocol test suites; never for real use.");

    // What it logs.
    public static readonly Setting<LogFormat> Format = Choice("LOG_FORMAT", LogFormat.Text,
        "text is for people, json (one object a line) for log collectors.");
    public static readonly Setting<LogLevel> Level = Choice("LOG_LEVEL", LogLevel.Information,
        "Least severe level that is written; information is silent per message.");

    // Who may come in.
    public static readonly Setting<string> JwtSecret = Text("JWT_SECRET", "", "text",
        "at least 32 bytes of UTF-8, such as the output of: openssl rand -base64 32",
        "Key that signs tokens (HS256 asks for 32 bytes, RFC 7518 section 3.2); empty makes one in DATA_DIR/jwt.key.",
        static text => Encoding.UTF8.GetByteCount(text) >= 32, isSecret: true);
    public static readonly Setting<string> JwtIssuer = Text("JWT_ISSUER", "chat", "text", "text that is not blank",
        "Issuer written into tokens and asked of them.", IsNotBlank);
    public static readonly Setting<string> JwtAudience = Text("JWT_AUDIENCE", "chat", "text", "text that is not blank",
        "Audience written into tokens and asked of them.", IsNotBlank);
    public static readonly Setting<int> TokenLifetimeMinutes = Integer("TOKEN_LIFETIME_MINUTES", 1440, 1, 525_600, "minutes",
        "Life of a token; a day, because there is no refresh token and a stolen one cannot be called back.");
    public static readonly Setting<int> TokenCacheMax = Integer("TOKEN_CACHE_MAX", 32_768, 2, Mib, "tokens",
        "Validated tokens remembered (about 200 bytes each); above CONNECTIONS_MAX, so that all may reconnect at once cheaply.");
    public static readonly Setting<ImmutableArray<string>> CorsOrigins = Origins("CORS_ORIGINS",
        "Web origins other than our own that may call; empty for none, * for any over REST.");
    public static readonly Setting<int> UsernameCharsMax = Integer("USERNAME_CHARS_MAX", 50, 1, 50, "characters",
        "Longest username; it travels with every message.");
    public static readonly Setting<int> PasswordCharsMin = Integer("PASSWORD_CHARS_MIN", 6, 1, 1024, "characters",
        "Shortest password for a new account; NIST SP 800-63B advises 8 or more, 6 keeps the quick start's example valid.");
    public static readonly Setting<int> PasswordCharsMax = Integer("PASSWORD_CHARS_MAX", 1024, 64, 4096, "characters",
        "Longest password for a new account; enough for any passphrase (NIST SP 800-63B asks for at least 64).");
    public static readonly Setting<int> Argon2MemoryKib = Integer("ARGON2_MEMORY_KIB", 19_456, 64, 262_144, "KiB",
        "Memory of one password hash; the OWASP minimum for 2 iterations. Changed, older hashes are made anew when their users log in.");
    public static readonly Setting<int> Argon2Iterations = Integer("ARGON2_ITERATIONS", 2, 1, 16, "passes",
        "Passes over that memory; the OWASP minimum for 19 MiB.");
    public static readonly Setting<int> Argon2Parallelism = Integer("ARGON2_PARALLELISM", 1, 1, 16, "lanes",
        "Lanes of one hash; 1, because parallel logins already use the cores.");
    public static readonly Setting<int> Argon2Concurrency = MeasuredInteger(
        "ARGON2_CONCURRENCY", Math.Max(1, Environment.ProcessorCount - 1), 1, 1024, "hashes",
        "Password hashes at a time; by default the cores - 1 (at least 1), which leaves one for live chat.");
    public static readonly Setting<int> Argon2QueueMax = Integer("ARGON2_QUEUE_MAX", 64, 0, 65_536, "requests",
        "Logins that wait for a hash; 64 wait about a second on one core, beyond that clients are told to come back (429).");

    public static readonly Setting<int> LoginFailuresPerAccountMax = Integer("LOGIN_FAILURES_PER_ACCOUNT_MAX", 100, 0, 3_600_000, "failures/hour",
        "Wrong passwords for one account, by anybody; the 100 that NIST SP 800-63B allows in a row. Beyond: 429. 0 for any number.");
    public static readonly Setting<int> LoginFailuresPerIpMax = Integer("LOGIN_FAILURES_PER_IP_MAX", 1000, 0, 3_600_000, "failures/hour",
        "Wrong passwords and taken e-mails from one address (IPv6: one /64), for any account; an office behind one address stays far below. 0 for any number.");
    public static readonly Setting<int> RegistrationsPerIpMax = Integer("REGISTRATIONS_PER_IP_MAX", 20_000, 0, 3_600_000, "accounts/hour",
        "Accounts made from one address (IPv6: one /64); lets a load test register everybody, stops a script that never ends. 0 for any number.");

    // HTTP.
    public static readonly Setting<ImmutableArray<IPNetwork>> TrustedProxies = Networks("TRUSTED_PROXIES", "",
        "Proxies of ours: for connections from them the client's address is the one they tell; empty, nobody is believed.");
    public static readonly Setting<string> ForwardedField = Text("FORWARDED_FIELD", "X-Forwarded-For", "field", "X-Forwarded-For or Forwarded",
        "Where trusted proxies tell the client's address; only this one is read, the other they would pass on as the client sent it.",
        static text => text is "X-Forwarded-For" or "Forwarded");
    public static readonly Setting<ProxyProtocolUse> ProxyProtocol = Choice("PROXY_PROTOCOL", ProxyProtocolUse.Off,
        "on: connections from TRUSTED_PROXIES begin with a header of the PROXY protocol (version 1 or 2), and others never do.");
    public static readonly Setting<ImmutableArray<IPNetwork>> MetricsFrom = Networks(
        "METRICS_FROM", "127.0.0.0/8, ::1, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7",
        "Who may read /metrics; this machine and private networks (RFC 1918, RFC 4193). 0.0.0.0/0, ::/0 for everybody.");
    public static readonly Setting<int> ConnectionsPerIpMax = Integer("CONNECTIONS_PER_IP_MAX", 0, 0, Mib, "connections",
        "Open connections from one address (IPv6: one /64); 0, no limit, because a NAT or a proxy that is not in TRUSTED_PROXIES looks like one client. 200 suits a public server.");
    public static readonly Setting<int> ConnectionsMax = Integer("CONNECTIONS_MAX", 19_000, 1, Mib, "connections",
        "Open connections; leaves 1,000 of a 20,000 descriptor limit to files and the database.");
    public static readonly Setting<int> HttpHeadBytesMax = Integer("HTTP_HEAD_BYTES_MAX", 32 * Kib, 16 * Kib, Mib, "bytes",
        "Request line and field lines; as the usual servers allow, and room for a token in the query.");
    public static readonly Setting<int> HttpFieldsMax = Integer("HTTP_FIELDS_MAX", 100, 8, 1000, "field lines",
        "Field lines of a request; browsers send about 20.");
    public static readonly Setting<int> HttpBodyBytesMax = Integer("HTTP_BODY_BYTES_MAX", 64 * Kib, Kib, 16 * Mib, "bytes",
        "Content of a request; holds the longest message even when every character is escaped.");
    public static readonly Setting<int> HttpHeadTimeoutMs = Integer("HTTP_HEAD_TIMEOUT_MS", 5_000, 100, HourMs, "ms",
        "Time for a whole head from its first byte; ends clients that send a byte now and then.");
    public static readonly Setting<int> HttpBodyTimeoutMs = Integer("HTTP_BODY_TIMEOUT_MS", 5_000, 100, HourMs, "ms",
        "Time for the whole content after the head; 64 KiB at 7 KB/s.");
    public static readonly Setting<int> HttpKeepAliveTimeoutMs = Integer("HTTP_KEEPALIVE_TIMEOUT_MS", 60_000, 100, HourMs, "ms",
        "Idle time between two requests; common proxies reuse a connection within a minute.");

    // WebSocket.
    public static readonly Setting<int> WsMessageBytesMax = Integer("WS_MESSAGE_BYTES_MAX", 64 * Kib, Kib, 16 * Mib, "bytes",
        "Assembled message from a client; holds the longest content even when every character is escaped.");
    public static readonly Setting<int> WsPingIntervalMs = Integer("WS_PING_INTERVAL_MS", 25_000, 100, HourMs, "ms",
        "Between pings; below the 30 s to 60 s after which proxies and phone networks drop idle connections.");
    public static readonly Setting<int> WsPongTimeoutMs = Integer("WS_PONG_TIMEOUT_MS", 20_000, 100, HourMs, "ms",
        "Time for the pong; within the ping interval, so that one ping is open at a time.");
    public static readonly Setting<int> WsCloseTimeoutMs = Integer("WS_CLOSE_TIMEOUT_MS", 5_000, 100, HourMs, "ms",
        "Time for the peer's close frame before the connection is cut; a live peer answers in one round trip.");

    public static readonly Setting<bool> WsDeflate = Switch("WS_DEFLATE", true,
        "Accepts permessage-deflate (RFC 7692) without context takeover; an idle connection holds nothing for it.");
    public static readonly Setting<int> WsDeflateBytesMin = Integer("WS_DEFLATE_BYTES_MIN", Kib, 64, 16 * Mib, "bytes",
        "Smallest event that is sent compressed to those who agreed; a short one gains less than it costs, and goes out uncompressed.");

    // Rooms.
    public static readonly Setting<DeliveryOrder> Delivery = Choice("DELIVERY", DeliveryOrder.Immediate,
        "immediate shows a message before its commit (lowest latency), committed after it; the ack follows the commit in both. With REDIS_URL always committed.");
    public static readonly Setting<int> ContentCharsMax = Integer("CONTENT_CHARS_MAX", 4000, 1, 100_000, "characters",
        "Longest message; about two pages, longer text is a file.");
    public static readonly Setting<int> RoomNameCharsMax = Integer("ROOM_NAME_CHARS_MAX", 100, 1, 100, "characters",
        "Longest room name; a line in a list of rooms.");
    public static readonly Setting<int> RoomsPerUserMax = Integer("ROOMS_PER_USER_MAX", 10_000, 0, 3_600_000, "rooms/hour",
        "Rooms made by one user; lets a load test make its rooms, stops a script that never ends. 0 for any number.");
    public static readonly Setting<int> SubscriptionsMax = Integer("SUBSCRIPTIONS_MAX", 1000, 1, 100_000, "rooms",
        "Rooms per socket; bounds what one client can make the server keep.");
    public static readonly Setting<int> RingBytesMin = PowerOfTwo("RING_BYTES_MIN", 4 * Kib, Kib, RoomRing.CapacityMax, "bytes",
        "First ring of a room in which somebody writes; a quiet one has none. One memory page, so that 10,000 rooms take 40 MiB.");
    public static readonly Setting<int> RingBytesMax = PowerOfTwo("RING_BYTES_MAX", Mib, 4 * Kib, RoomRing.CapacityMax, "bytes",
        "Ring of a busy room; about 5,000 short messages for readers that lag.");
    public static readonly Setting<int> BacklogBytesMax = Integer("BACKLOG_BYTES_MAX", Mib, 4 * Kib, 256 * Mib, "bytes",
        "Unsent bytes a member may fall behind before it is closed as slow (4002); it resumes from history.");
    public static readonly Setting<int> BacklogTimeMaxMs = Integer("BACKLOG_TIME_MAX_MS", 10_000, 100, HourMs, "ms",
        "Age of the oldest unsent event before the same; 10 s late is no longer live.");
    public static readonly Setting<int> ResumeEventsMax = Integer("RESUME_EVENTS_MAX", 500, 1, 10_000, "events",
        "Longest gap replayed over the socket; beyond it, paging over REST costs the server less.");
    public static readonly Setting<int> ResumeBytesMax = Integer("RESUME_BYTES_MAX", Mib, 4 * Kib, 256 * Mib, "bytes",
        "Largest gap replayed over the socket; at most BACKLOG_BYTES_MAX, or it would be cut off as a slow consumer's.");
    public static readonly Setting<int> NonceWindowMs = Integer("NONCE_WINDOW_MS", 600_000, 1000, 24 * HourMs, "ms",
        "How long a nonce is known after its message became durable; 10 minutes outlast any resend after a lost connection.");
    public static readonly Setting<int> NoncesPerRoomMax = Integer("NONCES_PER_ROOM_MAX", 10_000, 1, 10_000_000, "nonces",
        "Nonces known per room; 10 minutes at 16 messages a second.");

    // How fast one client may be. Token buckets: each limit is an average, and a burst of RATE_BURST_MS may come at once.
    public static readonly Setting<Switch> RateLimits = Choice("RATE_LIMITS", Switch.On,
        "Whether clients are held to the limits below; off for a load test, or where every client is trusted.");
    public static readonly Setting<int> RateBurstMs = Integer("RATE_BURST_MS", 5_000, 100, 600_000, "ms",
        "How much of its average a client may use at once; 5 s let a client resend or subscribe to what it has after a reconnect.");
    public static readonly Setting<int> ConnectionMessagesPerS = Integer("CONNECTION_MESSAGES_PER_S", 200, 0, 10_000_000, "messages/s",
        "Messages of one socket; people type 5 a second at most, bots and bridges send more. 0 for no limit.");
    public static readonly Setting<int> ConnectionBytesPerS = Integer("CONNECTION_BYTES_PER_S", Mib, 0, 1024 * Mib, "bytes/s",
        "Bytes of one socket's commands; 64 of the longest a second. 0 for no limit.");
    public static readonly Setting<int> ConnectionCommandsPerS = Integer("CONNECTION_COMMANDS_PER_S", 200, 0, 10_000_000, "commands/s",
        "Commands other than messages of one socket, pings included; with the burst as many subscriptions as it may have. 0 for no limit.");
    public static readonly Setting<int> UserMessagesPerS = Integer("USER_MESSAGES_PER_S", 400, 0, 10_000_000, "messages/s",
        "Messages of one user over all sockets and REST; two sockets in full flow. 0 for no limit.");
    public static readonly Setting<int> UserBytesPerS = Integer("USER_BYTES_PER_S", 2 * Mib, 0, 1024 * Mib, "bytes/s",
        "Bytes of one user's commands and calls; two sockets in full flow. 0 for no limit.");
    public static readonly Setting<int> UserCommandsPerS = Integer("USER_COMMANDS_PER_S", 1_000, 0, 10_000_000, "commands/s",
        "Other commands and REST calls of one user; five devices that reconnect at once. 0 for no limit.");

    // Message log.
    public static readonly Setting<int> MessageLogRowsMax = Integer("MESSAGE_LOG_ROWS_MAX", 65_536, 1, 16 * Mib, "rows",
        "Messages that wait for the database; about one second of its best rate, beyond it senders are told overloaded.");
    public static readonly Setting<int> MessageLogBytesMax = Integer("MESSAGE_LOG_BYTES_MAX", 64 * Mib, 4 * Kib, 2047 * Mib, "bytes",
        "The same in bytes; bounds memory when messages are long.");
    public static readonly Setting<int> BatchRowsMax = Integer("BATCH_ROWS_MAX", 1000, 1, 100_000, "rows",
        "Messages in one transaction; a COPY of 1,000 wrote 65,000 rows a second when measured.");
    public static readonly Setting<int> BatchBytesMax = Integer("BATCH_BYTES_MAX", Mib, 4 * Kib, 256 * Mib, "bytes",
        "Bytes in one transaction; bounds its time when messages are long.");
    public static readonly Setting<int> MessageLogLanes = Integer("MESSAGE_LOG_LANES", 1, 1, 64, "writers",
        "Writers with a database connection each; one already writes 65,000 rows a second.");
    public static readonly Setting<int> CommitIntervalMs = MeasuredInteger("COMMIT_INTERVAL_MS", StoreDefault, 0, 1000, "ms",
        "Commits of a writer begin at least this far apart, unless a batch is full; by default 1 on PostgreSQL, 5 to 25 on SQLite, by how many rooms are busy: hundreds of commits a second instead of thousands.");

    /// <summary>All of the above, in order.</summary>
    public static readonly ImmutableArray<Setting> All =
    [
        Host, Port, DataDir, DatabaseUrl, RedisUrl, TlsCertFile, TlsKeyFile, Transport, Engine, Shards, TurnIntervalUs, DrainTimeoutMs, Conformance,
        Format, Level,
        JwtSecret, JwtIssuer, JwtAudience, TokenLifetimeMinutes, TokenCacheMax, CorsOrigins,
        UsernameCharsMax, PasswordCharsMin, PasswordCharsMax,
        Argon2MemoryKib, Argon2Iterations, Argon2Parallelism, Argon2Concurrency, Argon2QueueMax,
        LoginFailuresPerAccountMax, LoginFailuresPerIpMax, RegistrationsPerIpMax,
        TrustedProxies, ForwardedField, ProxyProtocol, MetricsFrom, ConnectionsPerIpMax,
        ConnectionsMax, HttpHeadBytesMax, HttpFieldsMax, HttpBodyBytesMax, HttpHeadTimeoutMs, HttpBodyTimeoutMs, HttpKeepAliveTimeoutMs,
        WsMessageBytesMax, WsPingIntervalMs, WsPongTimeoutMs, WsCloseTimeoutMs, WsDeflate, WsDeflateBytesMin,
        Delivery, ContentCharsMax, RoomNameCharsMax, RoomsPerUserMax, SubscriptionsMax, RingBytesMin, RingBytesMax, BacklogBytesMax, BacklogTimeMaxMs,
        ResumeEventsMax, ResumeBytesMax, NonceWindowMs, NoncesPerRoomMax,
        RateLimits, RateBurstMs, ConnectionMessagesPerS, ConnectionBytesPerS, ConnectionCommandsPerS, UserMessagesPerS, UserBytesPerS, UserCommandsPerS,
        MessageLogRowsMax, MessageLogBytesMax, BatchRowsMax, BatchBytesMax, MessageLogLanes, CommitIntervalMs,
    ];

    private static bool IsPath(string text) => !text.Contains('\0') && IsNotBlank(text);

    private static bool IsNotBlank(string text) => !string.IsNullOrWhiteSpace(text);

    // Only the shape: the storage parses it and answers for the rest.
    private static bool IsDatabase(string text) =>
        text.StartsWith("postgres://", StringComparison.Ordinal)
        || text.StartsWith("postgresql://", StringComparison.Ordinal)
        || text.Contains("Host=", StringComparison.OrdinalIgnoreCase);
}
