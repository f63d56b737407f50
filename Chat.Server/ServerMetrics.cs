namespace Chat.Server;

/// <summary>A number that only grows. Any thread.</summary>
internal sealed class Counter
{
    private long _value;

    public long Value => Volatile.Read(ref _value);

    public void Add(long count = 1) => Interlocked.Add(ref _value, count);
}

/// <summary>A number that goes up and down. Any thread.</summary>
internal sealed class Gauge
{
    private long _value;

    public long Value => Volatile.Read(ref _value);

    public long Increment() => Interlocked.Increment(ref _value);

    public long Decrement() => Interlocked.Decrement(ref _value);
}

/// <summary>What the server counts about itself, beside what the message log and the rooms know. Shown by <c>GET /metrics</c>.</summary>
internal sealed class ServerMetrics
{
    private long _certificateNotAfterSeconds;

    /// <summary>Connections that speak HTTP now; one that was upgraded counts among the sessions instead.</summary>
    public Gauge HttpConnections { get; } = new();

    public Gauge WebSockets { get; } = new();

    public Counter ConnectionsAccepted { get; } = new();

    public Counter ConnectionsRefused { get; } = new();

    /// <summary>Logins and registrations refused because there were too many before them.</summary>
    public Counter AttemptsRefused { get; } = new();

    public Counter Requests { get; } = new();

    public Counter ProtocolErrors { get; } = new();

    public Counter SlowConsumers { get; } = new();

    /// <summary>Commands and calls refused because their sender was too fast.</summary>
    public Counter RateLimited { get; } = new();

    /// <summary>Messages that other nodes told this one.</summary>
    public Counter NodeEventsReceived { get; } = new();

    /// <summary>Messages that were read from the database because another node's word had not come; some come after all.</summary>
    public Counter NodeEventsRead { get; } = new();

    /// <summary>When the TLS certificate that is shown ends, in seconds since 1970; 0 without TLS. Any thread.</summary>
    public long CertificateNotAfterSeconds
    {
        get => Volatile.Read(ref _certificateNotAfterSeconds);
        set => Volatile.Write(ref _certificateNotAfterSeconds, value);
    }

    /// <summary>Messages of sessions that found their room's ring full: they wait, and their senders are read no further.</summary>
    public Counter MessagesParked { get; } = new();
}
