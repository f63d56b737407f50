using System.Collections.Immutable;
using System.Globalization;
using System.Net;
using System.Numerics;
using System.Text;
using Chat.Protocol.Http;
using Chat.Server.Auth;
using Chat.Server.Connections;
using Chat.Server.Nodes;
using Chat.Server.Rooms;
using Chat.Storage;

namespace Chat.Server.Rest;

/// <summary>What operators, tools and browsers ask for: liveness, readiness, metrics, the API's description, the web client.</summary>
internal sealed class SystemEndpoints(
    IChatStore store,
    MessageLog log,
    RoomDirectory rooms,
    IReadOnlyList<Shard> shards,
    PasswordHasher hasher,
    ServerMetrics metrics,
    TimeProvider time,
    ClientAddresses addresses,
    ImmutableArray<IPNetwork> metricsFrom,
    NodeFeed? nodes = null)
{
    /// <summary>A database that takes longer to answer one round trip is not ready.</summary>
    private static readonly TimeSpan ReadyTimeout = TimeSpan.FromSeconds(2);

    private static readonly Response OpenApi = Embedded("openapi.json", "application/json");
    private static readonly Response WebClient = Embedded("index.html", "text/html; charset=utf-8")
        .With("Content-Security-Policy", "default-src 'self' 'unsafe-inline'; connect-src 'self' ws: wss:; img-src data:; frame-ancestors 'none'")
        .With("X-Content-Type-Options", "nosniff");

    /// <summary>What a server says that waits for its database: it lives, and is not ready.</summary>
    public static IReadOnlyList<Route> WaitingRoutes { get; } =
    [
        new(RequestMethod.Get, "/healthz", NeedsToken: false, static _ => new(Healthy)),
        new(RequestMethod.Get, "/readyz", NeedsToken: false, static _ => new(Health(isReady: false, database: false, messageLog: false))),
        new(RequestMethod.Get, "/openapi.json", NeedsToken: false, static _ => new(OpenApi)),
        new(RequestMethod.Get, "/", NeedsToken: false, static _ => new(WebClient)),
    ];

    public IReadOnlyList<Route> Routes =>
    [
        new(RequestMethod.Get, "/healthz", NeedsToken: false, static _ => new(Healthy)),
        new(RequestMethod.Get, "/readyz", NeedsToken: false, GetReadyAsync),
        new(RequestMethod.Get, "/metrics", NeedsToken: false, call => new(MayReadMetrics(call) ? GetMetrics() : Problem.ForeignAddress)),
        new(RequestMethod.Get, "/openapi.json", NeedsToken: false, static _ => new(OpenApi)),
        new(RequestMethod.Get, "/", NeedsToken: false, static _ => new(WebClient)),
    ];

    private async ValueTask<Response> GetReadyAsync(RestCall call)
    {
        bool database = true;
        try
        {
            await store.PingAsync(CancellationToken.None).WaitAsync(ReadyTimeout, time);
        }
        catch (Exception exception) when (exception is StoreUnavailableException or TimeoutException)
        {
            database = false;
        }

        bool messageLog = log.IsHealthy;
        // Without the broker it is a second late, and ready: if it is away for all nodes, there would be none.
        return Health(database && messageLog, database, messageLog, nodes?.IsBrokerConnected);
    }

    private static Response Healthy => Response.Json(200, new HealthJson("ok", null, null, null), RestJson.Default.HealthJson);

    private static Response Health(bool isReady, bool database, bool messageLog, bool? broker = null) => Response.Json(
        isReady ? 200 : 503, new HealthJson(isReady ? "ready" : "not ready", database, messageLog, broker), RestJson.Default.HealthJson);

    private bool MayReadMetrics(RestCall call) => ClientAddresses.IsIn(metricsFrom, addresses.Resolve(call.Peer, call.Head));

    private Response GetMetrics()
    {
        var text = new StringBuilder();
        MessageLogStatistics statistics = log.Statistics;
        Write(text, "chat_connections", "gauge", "Open connections.", metrics.HttpConnections.Value + metrics.WebSockets.Value);
        Write(text, "chat_http_connections", "gauge", "Open connections that speak HTTP.", metrics.HttpConnections.Value);
        Write(text, "chat_websockets", "gauge", "Open WebSocket sessions.", metrics.WebSockets.Value);
        Write(text, "chat_rooms_loaded", "gauge", "Rooms in memory.", rooms.Loaded.Count());
        Write(text, "chat_connections_accepted_total", "counter", "Connections accepted.", metrics.ConnectionsAccepted.Value);
        Write(text, "chat_connections_refused_total", "counter", "Connections refused because there were too many.", metrics.ConnectionsRefused.Value);
        Write(text, "chat_auth_attempts_refused_total", "counter", "Logins and registrations refused because there were too many.", metrics.AttemptsRefused.Value);
        Write(text, "chat_password_hashes_pending", "gauge", "Password hashes that are computed or wait for it.", hasher.Pending);
        Write(text, "chat_password_hashes_total", "counter", "Password hashes begun.", hasher.Begun);
        Write(text, "chat_http_requests_total", "counter", "HTTP requests, handshakes included.", metrics.Requests.Value);
        Write(text, "chat_protocol_errors_total", "counter", "Requests refused before they reached an endpoint: malformed, too large, too slow, or misdirected.", metrics.ProtocolErrors.Value);
        Write(text, "chat_slow_consumers_total", "counter", "Sessions closed because they read too slowly.", metrics.SlowConsumers.Value);
        Write(text, "chat_messages_parked_total", "counter", "Messages that found their room's ring full and waited for its readers.", metrics.MessagesParked.Value);
        Write(text, "chat_rate_limited_total", "counter", "Commands and calls refused because their sender was too fast.", metrics.RateLimited.Value);
        Write(text, "chat_shard_turn_ms_max", "gauge", "The longest turn of a fan-out shard since the start.", shards.Max(shard => shard.TurnMsMax));
        Write(text, "chat_shard_turn_seconds", "Turns of the fan-out shards.", DurationHistogram.Sum(shards.Select(static shard => shard.Turns)));
        Write(text, "chat_shard_waits_total", "counter", "Times that the shards' threads waited for something to do.", shards.Sum(shard => shard.Waits));
        Write(text, "chat_shards_moderated", "gauge", "Shards that keep their turns TURN_INTERVAL_US apart now, because they are woken so often.", shards.Count(shard => shard.IsModerated));
        Write(text, "chat_fan_outs_held_total", "counter", "Fan-outs that waited because most of the room's members had not taken the last one.", shards.Sum(shard => shard.Holds));
        Write(text, "chat_fan_outs_gathered_total", "counter", "Fan-outs of large rooms in full flow that waited up to 20 ms for more events.", shards.Sum(shard => shard.Gathers));
        Write(text, "chat_message_log_queued_rows", "gauge", "Messages accepted and not yet durable.", statistics.QueuedRows);
        Write(text, "chat_message_log_queued_bytes", "gauge", "Bytes of content accepted and not yet durable.", statistics.QueuedBytes);
        Write(text, "chat_message_log_committed_total", "counter", "Messages made durable.", statistics.RowsCommitted);
        Write(text, "chat_message_log_failed_total", "counter", "Messages given up: the database refused them, or the message log is broken.", statistics.RowsFailed);
        Write(text, "chat_message_log_batches_total", "counter", "Transactions committed.", statistics.Commits.Total);
        Write(text, "chat_message_log_commit_seconds", "Transactions committed, from the first row sent to the outcome.", statistics.Commits);
        Write(text, "chat_message_log_retries_total", "counter", "Transactions tried again.", statistics.Retries);
        if (nodes is not null)
        {
            Write(text, "chat_broker_connected", "gauge", "Whether Redis is there; without it messages of other nodes come up to a second late.", nodes.IsBrokerConnected ? 1 : 0);
            Write(text, "chat_node_events_received_total", "counter", "Messages that other nodes told this one.", metrics.NodeEventsReceived.Value);
            Write(text, "chat_node_events_read_total", "counter", "Messages of rooms that were read from the database because they had not been told yet.", metrics.NodeEventsRead.Value);
        }

        if (metrics.CertificateNotAfterSeconds is > 0 and long notAfter)
        {
            Write(text, "chat_tls_certificate_not_after_seconds", "gauge", "When the TLS certificate ends, in seconds since 1970.", notAfter);
        }

        Write(text, "chat_process_working_set_bytes", "gauge", "Memory of the process.", Environment.WorkingSet);
        Write(text, "chat_gc_collections_total", "counter", "Garbage collections of generation 0 and up.", GC.CollectionCount(0));
        Write(text, "chat_gc_pause_seconds_total", "counter", "Time that all threads waited for garbage collections.", GC.GetTotalPauseDuration().TotalSeconds);
        return new Response(200, Encoding.ASCII.GetBytes(text.ToString())) { ContentType = "text/plain; version=0.0.4"u8.ToArray() };
    }

    private static void Write<T>(StringBuilder text, string name, string type, string help, T value) where T : INumber<T> =>
        text.Append(CultureInfo.InvariantCulture, $"# HELP {name} {help}\n# TYPE {name} {type}\n{name} {value}\n");

    /// <summary>A histogram of Prometheus: each bucket counts all that took at most its bound.</summary>
    private static void Write(StringBuilder text, string name, string help, DurationCounts durations)
    {
        text.Append(CultureInfo.InvariantCulture, $"# HELP {name} {help}\n# TYPE {name} histogram\n");
        long count = 0;
        for (int i = 0; i < durations.Counts.Count; i++)
        {
            count += durations.Counts[i];
            string bound = i < DurationHistogram.BoundsSeconds.Count ? DurationHistogram.BoundsSeconds[i].ToString(CultureInfo.InvariantCulture) : "+Inf";
            text.Append(CultureInfo.InvariantCulture, $"{name}_bucket{{le=\"{bound}\"}} {count}\n");
        }

        text.Append(CultureInfo.InvariantCulture, $"{name}_sum {durations.SumSeconds}\n{name}_count {count}\n");
    }

    private static Response Embedded(string name, string contentType)
    {
        using Stream stream = typeof(SystemEndpoints).Assembly.GetManifestResourceStream(name)!;
        byte[] content = new byte[stream.Length];
        stream.ReadExactly(content);
        return new Response(200, content) { ContentType = Encoding.ASCII.GetBytes(contentType) };
    }
}
