namespace Chat.Server.Tests.EndToEnd;

/// <summary>How servers are started that something happens to.</summary>
public abstract class FaultSetup(ServerLaunch launch)
{
    protected const string Immediate = "immediate";
    protected const string Committed = "committed";

    private protected async Task<RunningServer> StartAsync(string delivery, string? database = null, string drainTimeoutMs = "", FailingSync? sync = null) =>
        await RunningServer.StartAsync(
            ((sync?.Of(launch) ?? launch) with { IgnoresFileSizeSignal = true })
                .With("DELIVERY", delivery)
                .With("DRAIN_TIMEOUT_MS", drainTimeoutMs)
                .With("RESUME_EVENTS_MAX", "10000") // A client that is away for the whole of a slow restart still gets all.
                .With("RESUME_BYTES_MAX", "33554432")
                .With("BACKLOG_BYTES_MAX", "33554432"),
            database);
}
