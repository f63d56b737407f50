using System.Runtime.InteropServices;
using Chat.Protocol.Http;
using Chat.Protocol.WebSocket;
using Chat.Server.Auth;
using Chat.Server.Connections;
using Chat.Server.Logging;
using Chat.Server.Nodes;
using Chat.Server.Rest;
using Chat.Server.Rooms;
using Chat.Server.Settings;
using Chat.Server.Transport;
using Chat.Storage;
using Chat.Storage.Postgres;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;

namespace Chat.Server;

/// <summary>
/// The composition root: makes every part of the server, in the order in which they need each other, runs it until a
/// signal comes, and takes it apart in the reverse order. Nothing is found by a container; what a part needs is in its constructor.
/// </summary>
internal sealed partial class ChatServer
{
    private const int HttpSweepMs = 250;
    private const int SessionSweepMs = 1000;
    private const int RoomSweepMs = 30_000;
    private const int RoomQuietMs = 60_000;

    /// <summary>Longer than anything lasts that has found a room and not entered it yet.</summary>
    private const int RoomUnusedMs = 600_000;

    /// <summary>What a stop leaves the clients to answer a close frame, and the database to note a clean stop, however late it is.</summary>
    private static readonly TimeSpan CloseTimeMin = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan StoreTimeMin = TimeSpan.FromSeconds(1);

    private readonly ServerSettings _settings;
    private readonly ILoggerFactory _loggers;
    private readonly ILogger _logger;
    private readonly TimeProvider _time = TimeProvider.System;
    private readonly ServerMetrics _metrics = new();

    private ChatServer(ServerSettings settings, ILoggerFactory loggers)
    {
        _settings = settings;
        _loggers = loggers;
        _logger = loggers.CreateLogger<ChatServer>();
    }

    /// <summary>Runs a server until SIGTERM, Ctrl-C or the end of its terminal. Returns the process's exit code.</summary>
    public static async Task<int> RunAsync(ServerSettings settings, IReadOnlyList<string> warnings)
    {
        using ILoggerFactory loggers = LoggingSetup.Create(settings.Log);
        var server = new ChatServer(settings, loggers);
        foreach (string warning in warnings)
        {
            SettingWarning(server._logger, warning);
        }

        try
        {
            return await server.RunAsync();
        }
        catch (Exception exception) when (exception is StoreInUseException or StoreSchemaException or StartException or IOException or UnauthorizedAccessException)
        {
            CannotStart(server._logger, exception.Message);
            return 1;
        }
    }

    private async Task<int> RunAsync()
    {
        using var stopping = new CancellationTokenSource();
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        // Its terminal was closed. The runtime leaves the signal alone for whoever was started by nohup.
        using PosixSignalRegistration hangup = PosixSignalRegistration.Create(PosixSignal.SIGHUP, Stop);

        if (!SigningKey.TryOpen(_settings.Token.Secret, _settings.DataDir, out SigningKey? key, out string problem))
        {
            throw new StartException(problem);
        }

        if (key!.GeneratedFile is not null)
        {
            SigningKeyGenerated(_logger, key.GeneratedFile);
        }

        await using IChatStore store = OpenStore();
        return await ServeAsync(store, new TokenService(_settings.Token, key, _time), stopping.Token);

        void Stop(PosixSignalContext context)
        {
            context.Cancel = true;
            stopping.Cancel();
        }
    }

    private async Task<int> ServeAsync(IChatStore store, TokenService tokens, CancellationToken stopping)
    {
        RateLimits? rates = _settings.Rates.AreOn
            ? new RateLimits(_settings.Rates.Connection, _settings.Rates.User, _settings.Rates.BurstMs, _time)
            : null;
        ReplayCache? replays = null;
        RoomDirectory? rooms = null; // The log calls back into the rooms, which need the log; it has nothing to say before there is a room.
        (Shard[] shards, IConnectionListenerFactory? transport, string engine) = await StartShardsAsync();
        HttpServices http = HttpServices(tokens);
        var handler = new ChatConnectionHandler(http, shards, _settings.ConnectionsMax, _loggers.CreateLogger<ChatConnectionHandler>());
        TlsCertificate? certificate = _settings.Tls is { } tls ? new(tls, _metrics, _loggers.CreateLogger<TlsCertificate>()) : null;
        await using var endpoint = new KestrelEndpoint(_settings, certificate, handler, transport, _loggers);
        using var sweeping = CancellationTokenSource.CreateLinkedTokenSource(stopping);
        Task sweeps = Task.WhenAll(SweepAsync(handler, shards, SweepRooms, sweeping.Token), certificate?.WatchAsync(_time, sweeping.Token) ?? Task.CompletedTask);

        // Before the session: a server that cannot have its port must not take the database from one that runs. It answers that it is not ready.
        await endpoint.StartAsync();
        var takeover = new StoreTakeover(store, _time, _loggers.CreateLogger<StoreTakeover>());
        StoreSession? session = await takeover.BeginAsync(TellNotReady, stopping);
        if (session is null)
        {
            await sweeps;
            using var closeTimeout = new CancellationTokenSource();
            await CloseAsync(handler, shards, endpoint.StopAsync(closeTimeout.Token), closeTimeout, TimeSpan.FromMilliseconds(_settings.DrainTimeoutMs));
            return 0; // Told to stop while it waited for the database.
        }

        await using var log = new MessageLog(
            store,
            session,
            new MessageLogOptions
            {
                RowsMax = _settings.MessageLog.RowsMax,
                BytesMax = _settings.MessageLog.BytesMax,
                BatchRowsMax = _settings.MessageLog.BatchRowsMax,
                BatchBytesMax = _settings.MessageLog.BatchBytesMax,
                Lanes = _settings.MessageLog.Lanes,
                CommitIntervalMin = _settings.MessageLog.CommitIntervalMs == SettingTable.StoreDefault
                    ? null
                    : TimeSpan.FromMilliseconds(_settings.MessageLog.CommitIntervalMs),
            },
            batch => rooms!.Committed(batch),
            (record, failure) => rooms!.Failed(record, failure),
            _time,
            _loggers.CreateLogger<MessageLog>());
        await using NodeFeed? nodes = session.IsShared
            ? await NodeFeed.ConnectAsync(_settings.RedisUrl, (PostgresStore)store, _metrics, _time, _loggers)
            : null;
        rooms = new RoomDirectory(store, RoomServices(log, session, shards.Length, nodes));
        var hasher = new PasswordHasher(_settings.Argon2, _loggers.CreateLogger<PasswordHasher>());
        replays = new ReplayCache(log, store, _time);
        http.Application = Application(store, session, log, rooms, shards, replays, rates, hasher, tokens, nodes, http);
        foreach (string url in endpoint.Urls)
        {
            Listening(_logger, url, _settings.DatabaseUrl.Length == 0 ? "SQLite" : "PostgreSQL", session.Epoch, engine, shards.Length);
        }

        // Not awaited: they may be asking a database that does not answer.
        _ = takeover.WatchAsync(log, sweeping.Token);
        _ = nodes?.RunAsync(log, sweeping.Token);
        await Task.WhenAny(Task.Delay(Timeout.Infinite, stopping), log.Completion);
        if (log.Completion.IsFaulted)
        {
            LogBroken(_logger, log.Completion.Exception!);
        }

        await sweeping.CancelAsync();
        await sweeps;
        return await StopAsync(store, log, handler, shards, endpoint);

        void TellNotReady()
        {
            foreach (string url in endpoint.Urls)
            {
                ListeningNotReady(_logger, url);
            }
        }

        void SweepRooms(long nowMs)
        {
            rooms?.Sweep(nowMs, RoomQuietMs, RoomUnusedMs);
            replays?.Sweep();
            rates?.Sweep(nowMs);
        }
    }

    /// <summary>
    /// No new connections and no new messages; what was accepted becomes durable and is acknowledged; then everybody is told to go.
    /// All within DRAIN_TIMEOUT_MS, of which as much is kept for the close handshakes as a live client needs: what kills this process after that time
    /// would otherwise cut off everybody.
    /// </summary>
    private async Task<int> StopAsync(
        IChatStore store, MessageLog log, ChatConnectionHandler handler, Shard[] shards, KestrelEndpoint endpoint)
    {
        Stopping(_logger);
        long startedAt = _time.GetTimestamp();
        var timeout = TimeSpan.FromMilliseconds(_settings.DrainTimeoutMs);
        using var closeTimeout = new CancellationTokenSource();
        Task unbound = endpoint.StopAsync(closeTimeout.Token);
        TimeSpan kept = MessageLog.LaneStopTimeout + CloseTimeMin;
        long unsaved = log.Completion.IsFaulted ? -1 : await log.DrainAsync(Left(kept) - kept);
        await CloseAsync(handler, shards, unbound, closeTimeout, Left(CloseTimeMin));
        if (unsaved == 0)
        {
            try
            {
                // Not cancelled: a database that does not answer would not answer that either.
                await store.EndSessionAsync(CancellationToken.None).WaitAsync(Left(StoreTimeMin), _time);
                Stopped(_logger);
                return 0;
            }
            catch (Exception exception) when (exception is StoreUnavailableException or TimeoutException)
            {
                StoppedWithoutStore(_logger, exception.Message); // Nothing is lost; the next start raises the epoch for nothing.
                return 1;
            }
        }

        if (unsaved < 0)
        {
            StoppedBroken(_logger);
        }
        else
        {
            Unsaved(_logger, unsaved);
        }

        return 1;

        TimeSpan Left(TimeSpan min)
        {
            TimeSpan left = timeout - _time.GetElapsedTime(startedAt);
            return left > min ? left : min;
        }
    }

    /// <summary>
    /// Tells every client to go, and waits until they are gone, at most for the time of a close handshake and for <paramref name="timeMax"/>.
    /// </summary>
    private async Task CloseAsync(
        ChatConnectionHandler handler, Shard[] shards, Task unbound, CancellationTokenSource closeTimeout, TimeSpan timeMax)
    {
        foreach (Shard shard in shards)
        {
            shard.PostCloseAll(CloseCode.GoingAway, "server is stopping");
        }

        handler.StopWaiting();
        var handshake = TimeSpan.FromMilliseconds(_settings.WebSocket.CloseTimeoutMs);
        closeTimeout.CancelAfter(handshake < timeMax ? handshake : timeMax);
        await unbound;
        foreach (Shard shard in shards)
        {
            (shard as IDisposable)?.Dispose();
        }
    }

    /// <summary>The threads that send, and what Kestrel binds through: null for its own sockets.</summary>
    private async Task<(Shard[] Shards, IConnectionListenerFactory? Transport, string Engine)> StartShardsAsync()
    {
        // Raw sends must never bypass TLS: with a certificate the portable way is the only one.
        bool canShard = OperatingSystem.IsLinux() && _settings.Tls is null;
        if (_settings.Transport == TransportKind.Shards && !canShard)
        {
            throw new StartException("TRANSPORT=shards needs Linux and no TLS certificate.");
        }

        if (_settings.Transport == TransportKind.Sockets || !canShard)
        {
            return ([.. Enumerable.Range(0, _settings.Shards).Select(index => new PipeShard(index, SessionLimits(), _time))], null, "sockets");
        }

        SendEngine? wanted = _settings.Engine switch
        {
            EngineKind.Send => SendEngine.Send,
            EngineKind.Uring => SendEngine.Uring,
            _ => null,
        };
        (SocketShard[] shards, string engine) = await ShardTransport.StartAsync(
            _settings.Shards, SessionLimits(), _time, wanted, _settings.TurnIntervalUs);
        return (shards, new ShardTransport(shards, _loggers.CreateLogger<ShardTransport>()), $"shards, {engine}");
    }

    private IChatStore OpenStore()
    {
        try
        {
            return StoreFactory.Create(_settings.DatabaseUrl, _settings.DataDir, _time, isShared: _settings.RedisUrl.Length > 0);
        }
        catch (FormatException exception)
        {
            throw new StartException($"DATABASE_URL: {exception.Message}");
        }
    }

    private Protocol.Http.HttpLimits HttpLimits => new()
    {
        HeadBytesMax = _settings.Http.HeadBytesMax,
        FieldsMax = _settings.Http.FieldsMax,
        BodyBytesMax = _settings.Http.BodyBytesMax,
    };

    /// <summary>Everything of HTTP, with the answers of a server that waits for its database.</summary>
    private HttpServices HttpServices(TokenService tokens) => new()
    {
        Limits = HttpLimits,
        ConformanceLimits = _settings.Conformance ? HttpLimits with { BodyBytesMax = ConformanceEndpoint.BodyBytesMax } : null,
        HeadTimeoutMs = _settings.Http.HeadTimeoutMs,
        BodyTimeoutMs = _settings.Http.BodyTimeoutMs,
        KeepAliveTimeoutMs = _settings.Http.KeepAliveTimeoutMs,
        Application = new Application(
            new Router(SystemEndpoints.WaitingRoutes, tokens, null, _metrics, _loggers.CreateLogger<Router>()) { Elsewhere = Problem.StoreUnavailable },
            Upgrades: null,
            Sessions: null),
        Cors = new Cors(_settings.CorsOrigins),
        Addresses = new ClientAddresses(_settings.Proxies.Trusted, _settings.Proxies.ReadsForwarded, _settings.Proxies.ExpectsProxyHeader),
        AddressLimit = new AddressLimit(_settings.ConnectionsPerIpMax),
        Metrics = _metrics,
        Date = new HttpDate(_time),
        Time = _time,
    };

    private Application Application(
        IChatStore store,
        StoreSession session,
        MessageLog log,
        RoomDirectory rooms,
        Shard[] shards,
        ReplayCache replays,
        RateLimits? rates,
        PasswordHasher hasher,
        TokenService tokens,
        NodeFeed? nodes,
        HttpServices http)
    {
        var subscriptions = new Subscriptions(rooms, store, _loggers.CreateLogger<Subscriptions>());
        var resume = new Resume(replays, _loggers.CreateLogger<Resume>());
        var accounts = new AccountEndpoints(
            store, new Credentials(_settings.Credentials), hasher, tokens, new AuthLimits(_settings.Attempts, _time), http.Addresses, _metrics);
        var made = new AttemptLimit(_settings.Rooms.PerUserMax, TimeSpan.FromHours(1), _time);
        var roomEndpoints = new RoomEndpoints(store, log, rooms, subscriptions, rates, made, _metrics, _settings.Rooms, session.Epoch, _time, nodes);
        var system = new SystemEndpoints(store, log, rooms, shards, hasher, _metrics, _time, http.Addresses, _settings.MetricsFrom, nodes);
        return new Application(
            new Router([.. accounts.Routes, .. roomEndpoints.Routes, .. system.Routes], tokens, rates, _metrics, _loggers.CreateLogger<Router>())
            {
                IsConformance = _settings.Conformance,
            },
            new Upgrades(
                tokens, http.Cors, subscriptions, _settings.WebSocket.Deflate, _settings.Conformance, _loggers.CreateLogger<Upgrades>()),
            new SessionServices(log, resume, subscriptions, _metrics, rates));
    }

    private RoomServices RoomServices(MessageLog log, StoreSession session, int shardCount, NodeFeed? nodes) =>
        new(log, _time, _settings.Rooms.Delivery, session.Epoch, shardCount)
        {
            Nodes = nodes,
            NonceWindowMs = _settings.Rooms.NonceWindowMs,
            NoncesPerRoomMax = _settings.Rooms.NoncesPerRoomMax,
            RingBytesMin = _settings.Rooms.RingBytesMin,
            RingBytesMax = _settings.Rooms.RingBytesMax,
            DeflateBytesMin = _settings.WebSocket.DeflateBytesMin,
        };

    private SessionLimits SessionLimits() => new()
    {
        MessageBytesMax = _settings.WebSocket.MessageBytesMax,
        ContentCharsMax = _settings.Rooms.ContentCharsMax,
        PingIntervalMs = _settings.WebSocket.PingIntervalMs,
        PongTimeoutMs = _settings.WebSocket.PongTimeoutMs,
        CloseTimeoutMs = _settings.WebSocket.CloseTimeoutMs,
        SubscriptionsMax = _settings.Rooms.SubscriptionsMax,
        BacklogBytesMax = _settings.Rooms.BacklogBytesMax,
        BacklogTimeMaxMs = _settings.Rooms.BacklogTimeMaxMs,
        ResumeEventsMax = _settings.Rooms.ResumeEventsMax,
        ResumeBytesMax = _settings.Rooms.ResumeBytesMax,
    };

    /// <summary>The one timer of the server: deadlines are numbers, and this looks at them.</summary>
    private async Task SweepAsync(ChatConnectionHandler handler, Shard[] shards, Action<long> sweepRooms, CancellationToken stopping)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(HttpSweepMs), _time);
        try
        {
            for (long elapsedMs = HttpSweepMs; await timer.WaitForNextTickAsync(stopping); elapsedMs += HttpSweepMs)
            {
                handler.Sweep();
                if (elapsedMs % SessionSweepMs == 0)
                {
                    foreach (Shard shard in shards)
                    {
                        shard.PostSweep();
                    }
                }

                if (elapsedMs % RoomSweepMs == 0)
                {
                    sweepRooms(shards[0].NowMs);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The server stops.
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Listening on {Url} (store {Store}, epoch {Epoch}, transport {Transport} x {Shards})")]
    private static partial void Listening(ILogger logger, string url, string store, int epoch, string transport, int shards);

    [LoggerMessage(Level = LogLevel.Information, Message = "Listening on {Url} (not ready: the database is away)")]
    private static partial void ListeningNotReady(ILogger logger, string url);

    [LoggerMessage(Level = LogLevel.Information, Message = "JWT_SECRET is not set: made a signing key and keep it in {Path}")]
    private static partial void SigningKeyGenerated(ILogger logger, string path);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Warning}")]
    private static partial void SettingWarning(ILogger logger, string warning);

    [LoggerMessage(Level = LogLevel.Critical, Message = "Cannot start: {Reason}")]
    private static partial void CannotStart(ILogger logger, string reason);

    [LoggerMessage(Level = LogLevel.Critical, Message = "The message log is broken; the server stops, because going on would break the order of rooms")]
    private static partial void LogBroken(ILogger logger, Exception exception);

    [LoggerMessage(Level = LogLevel.Information, Message = "Stopping: no new connections; accepted messages are being stored")]
    private static partial void Stopping(ILogger logger);

    [LoggerMessage(Level = LogLevel.Information, Message = "Stopped; every accepted message is stored")]
    private static partial void Stopped(ILogger logger);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Stopped; every accepted message is stored, but the database could not be told: {Reason}")]
    private static partial void StoppedWithoutStore(ILogger logger, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "Stopped with {Count} messages unsaved; none of them was acknowledged")]
    private static partial void Unsaved(ILogger logger, long count);

    [LoggerMessage(Level = LogLevel.Error, Message = "Stopped without storing more; what was not acknowledged may be lost")]
    private static partial void StoppedBroken(ILogger logger);
}
