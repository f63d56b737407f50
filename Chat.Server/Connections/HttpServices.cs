using Chat.Protocol.Http;
using Chat.Server.Rest;

namespace Chat.Server.Connections;

/// <summary>What every HTTP connection needs and none owns.</summary>
internal sealed class HttpServices
{
    private volatile bool _isStopping;
    private volatile Application _application = null!;

    public required HttpLimits Limits { get; init; }

    /// <summary>The same where content is counted and not kept; null where there are no conformance endpoints.</summary>
    public required HttpLimits? ConformanceLimits { get; init; }

    public required int HeadTimeoutMs { get; init; }

    public required int BodyTimeoutMs { get; init; }

    public required int KeepAliveTimeoutMs { get; init; }

    /// <summary>Replaced when the database has come: a request is answered by one or the other.</summary>
    public required Application Application
    {
        get => _application;
        set => _application = value;
    }

    public required Cors Cors { get; init; }

    public required ClientAddresses Addresses { get; init; }

    public required AddressLimit AddressLimit { get; init; }

    public required ServerMetrics Metrics { get; init; }

    public required HttpDate Date { get; init; }

    public required TimeProvider Time { get; init; }

    /// <summary>From now on every response says that the connection closes.</summary>
    public bool IsStopping
    {
        get => _isStopping;
        set => _isStopping = value;
    }

    /// <summary>Milliseconds of a clock that never steps.</summary>
    public long NowMs => Time.GetTimestamp() / (Time.TimestampFrequency / 1000);
}
