using System.Collections.Immutable;

namespace Chat.LoadTests.Hosting;

/// <summary>How to start a server: what it stores in, and the settings that a scenario asks for.</summary>
internal sealed record ServerLaunch
{
    /// <summary>A postgres:// URL; empty for SQLite in a fresh folder.</summary>
    public string DatabaseUrl { get; init; } = "";

    /// <summary>The Chat.Server.dll to start; null to look for a Release build, or make one.</summary>
    public string? ServerDll { get; init; }

    /// <summary>
    /// Environment variables for the server, by name. It ignores names that it does not know, so a setting may be asked for that
    /// older servers lack. Rate limits are for strangers and not for a load tool: they are off, unless a scenario measures them.
    /// </summary>
    public ImmutableSortedDictionary<string, string> Settings { get; init; } =
        ImmutableSortedDictionary<string, string>.Empty.Add("RATE_LIMITS", "off");

    public ServerLaunch With(string name, string value) => this with { Settings = Settings.SetItem(name, value) };
}
