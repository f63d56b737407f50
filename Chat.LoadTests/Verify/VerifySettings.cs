using Chat.LoadTests.Hosting;

namespace Chat.LoadTests.Verify;

/// <summary>How many faults of each kind a run injects.</summary>
internal sealed record FaultCounts(int Kills, int Terminations, int DatabaseStops, int DatabaseFreezes, long Cuts);

/// <summary>What a run of <c>verify</c> was asked for.</summary>
internal sealed record VerifySettings
{
    /// <summary>A running server; null for one of our own.</summary>
    public Uri? Url { get; init; }

    /// <summary>Servers beside the one at <see cref="Url"/>, which have its rooms.</summary>
    public IReadOnlyList<Uri> OtherNodes { get; init; } = [];

    /// <summary>How to start our own.</summary>
    public required ServerLaunch Launch { get; init; }

    /// <summary>Make a private PostgreSQL cluster.</summary>
    public bool IsPostgresOurs { get; init; }

    /// <summary>The data folder of a running one; null for none.</summary>
    public string? PostgresData { get; init; }

    /// <summary>The folder of its programs; null to look for it.</summary>
    public string? PostgresBin { get; init; }

    /// <summary>The database of the server at <see cref="Url"/>, to be read at the end; null for none.</summary>
    public string? CheckDatabase { get; init; }

    public int Clients { get; init; }

    public int Rooms { get; init; }

    /// <summary>Messages a second, of all clients together.</summary>
    public double RatePerS { get; init; }

    /// <summary>Over which the faults are spread. A run ends when all of them are over, and not before this.</summary>
    public TimeSpan Duration { get; init; }

    public required FaultCounts Faults { get; init; }

    public int Seed { get; init; }

    /// <summary>Where the report goes; null for none.</summary>
    public string? ReportFolder { get; init; }
}
