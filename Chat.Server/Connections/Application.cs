using Chat.Server.Rest;

namespace Chat.Server.Connections;

/// <summary>
/// What answers requests and serves sessions. The server has two, one after the other: one that waits for the database and says so, then the one
/// that works.
/// </summary>
/// <param name="Router">REST.</param>
/// <param name="Upgrades">Null: every handshake is refused as unavailable.</param>
/// <param name="Sessions">What accepted handshakes become; there whenever <paramref name="Upgrades"/> is.</param>
internal sealed record Application(Router Router, Upgrades? Upgrades, SessionServices? Sessions);
