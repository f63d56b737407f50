namespace Chat.Server.Connections;

/// <summary>What a session may use and how long it may take; each from the setting of the same name.</summary>
internal sealed record SessionLimits
{
    public required int MessageBytesMax { get; init; }

    public required int ContentCharsMax { get; init; }

    public required int PingIntervalMs { get; init; }

    public required int PongTimeoutMs { get; init; }

    public required int CloseTimeoutMs { get; init; }

    public required int SubscriptionsMax { get; init; }

    public required int BacklogBytesMax { get; init; }

    public required int BacklogTimeMaxMs { get; init; }

    public required int ResumeEventsMax { get; init; }

    public required int ResumeBytesMax { get; init; }
}
