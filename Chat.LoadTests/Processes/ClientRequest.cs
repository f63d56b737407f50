using System.Text.Json.Serialization;
using Chat.LoadTests.Clients;

namespace Chat.LoadTests.Processes;

/// <summary>What the program asks of one of its client processes: a call of <see cref="IClients"/>, as a line of JSON.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "call")]
[JsonDerivedType(typeof(EnterRequest), "enter")]
[JsonDerivedType(typeof(OpenRequest), "open")]
[JsonDerivedType(typeof(PublishRequest), "publish")]
[JsonDerivedType(typeof(StopPublishingRequest), "stop_publishing")]
[JsonDerivedType(typeof(SampleRequest), "sample")]
[JsonDerivedType(typeof(HeadsRequest), "heads")]
[JsonDerivedType(typeof(BehindRequest), "behind")]
[JsonDerivedType(typeof(LeaveRequest), "leave")]
[JsonDerivedType(typeof(DropRequest), "drop")]
[JsonDerivedType(typeof(StallRequest), "stall")]
[JsonDerivedType(typeof(CatchUpRequest), "catch_up")]
[JsonDerivedType(typeof(PingRequest), "ping")]
[JsonDerivedType(typeof(CallRequest), "call_rest")]
[JsonDerivedType(typeof(StopCallingRequest), "stop_calling")]
internal abstract record ClientRequest
{
    /// <summary>Comes back with the answer: an opening takes long, and samples are answered meanwhile.</summary>
    public int Id { get; init; }
}

/// <summary>The first request: makes the clients.</summary>
internal sealed record EnterRequest(GroupPlan Plan) : ClientRequest;

internal sealed record OpenRequest(OpenPace Pace) : ClientRequest;

internal sealed record PublishRequest(PublishPlan Plan) : ClientRequest;

internal sealed record StopPublishingRequest(long MeasureFromNs, long MeasureToNs) : ClientRequest;

internal sealed record SampleRequest : ClientRequest;

internal sealed record HeadsRequest : ClientRequest;

internal sealed record BehindRequest(IReadOnlyList<long> Heads) : ClientRequest;

internal sealed record LeaveRequest : ClientRequest;

internal sealed record DropRequest(int EveryNth, int Offset) : ClientRequest;

internal sealed record StallRequest(int EveryNth, int ReceiveBufferBytes) : ClientRequest;

internal sealed record CatchUpRequest : ClientRequest;

internal sealed record PingRequest : ClientRequest;

internal sealed record CallRequest(int Connections, RestMix Mix) : ClientRequest;

internal sealed record StopCallingRequest : ClientRequest;

/// <summary>What comes back, as a line of JSON: of the fields, those that were asked for.</summary>
/// <param name="Id">Of the request.</param>
internal sealed record ClientAnswer(int Id)
{
    public GroupSample? Sample { get; init; }

    public IReadOnlyList<long>? Heads { get; init; }

    public Backlog Backlog { get; init; }

    public int Count { get; init; }
}
