using Chat.Server.Rooms;
using Chat.Storage;

namespace Chat.Server.Connections;

/// <summary>What every session needs and none owns.</summary>
internal sealed record SessionServices(MessageLog Log, Resume Resume, Subscriptions Subscriptions, ServerMetrics Metrics);
