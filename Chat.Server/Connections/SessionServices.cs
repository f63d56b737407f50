using Chat.Server.Rooms;
using Chat.Storage;

namespace Chat.Server.Connections;

/// <summary>What every session needs and none owns. Without <paramref name="Rates"/> a client may be as fast as it can.</summary>
internal sealed record SessionServices(MessageLog Log, Resume Resume, Subscriptions Subscriptions, ServerMetrics Metrics, RateLimits? Rates);
