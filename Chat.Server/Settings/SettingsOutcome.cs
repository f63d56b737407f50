namespace Chat.Server.Settings;

/// <summary>
/// What the sources say to do, exactly one of three: start (<see cref="Settings"/>), print <see cref="Output"/> and exit 0
/// (<c>--help</c>, <c>--version</c>), or print <see cref="Problem"/> to standard error and exit 1.
/// </summary>
internal sealed record SettingsOutcome
{
    private SettingsOutcome()
    {
    }

    public ServerSettings? Settings { get; private init; }

    public string? Output { get; private init; }

    /// <summary>One line: the setting, its source and what is accepted. Never a secret's value.</summary>
    public string? Problem { get; private init; }

    /// <summary>To be logged once there is a logger: names in <c>.env</c> that are no settings.</summary>
    public IReadOnlyList<string> Warnings { get; private init; } = [];

    public static SettingsOutcome Start(ServerSettings settings, IReadOnlyList<string> warnings) =>
        new() { Settings = settings, Warnings = warnings };

    public static SettingsOutcome Print(string output) => new() { Output = output };

    public static SettingsOutcome Fail(string problem) => new() { Problem = problem };
}
