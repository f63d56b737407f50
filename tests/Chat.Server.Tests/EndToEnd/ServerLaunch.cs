using System.Collections.Immutable;
using Chat.Server.Settings;

namespace Chat.Server.Tests.EndToEnd;

public enum StoreKind
{
    Sqlite,
    Postgres,
}

/// <summary>
/// How to start the server: where it stores, and which settings differ from what all tests share. A suite runs on another
/// transport by another launch, such as <c>ServerLaunch.Sqlite.With("TRANSPORT", "shards")</c>; and the whole project does
/// when TRANSPORT and ENGINE are set for the test process itself.
/// </summary>
public sealed record ServerLaunch
{
    /// <summary>Signs the tokens of every server under test, so that tests can make good and bad ones themselves.</summary>
    public const string JwtSecret = "end-to-end tests sign with this and nobody else does";

    /// <summary>The only settings that a server under test takes from the environment of the tests.</summary>
    private static readonly string[] InheritedSettings = ["TRANSPORT", "ENGINE"];

    private ServerLaunch(StoreKind store) => Store = store;

    public static ServerLaunch Sqlite { get; } = new(StoreKind.Sqlite);

    public static ServerLaunch Postgres { get; } = new(StoreKind.Postgres);

    public StoreKind Store { get; }

    /// <summary>Settings by name. An empty value stands for the server's default.</summary>
    public ImmutableSortedDictionary<string, string> Settings { get; private init; } = ImmutableSortedDictionary<string, string>.Empty
        .Add("PORT", "0")
        .Add("LOG_FORMAT", "json")
        .Add("JWT_SECRET", JwtSecret)
        .Add("RATE_LIMITS", "off") // Many tests send as fast as they can.
        .Add("ARGON2_MEMORY_KIB", "64") // A hash in a millisecond: nobody attacks these accounts.
        .Add("ARGON2_ITERATIONS", "1");

    public ServerLaunch With(string name, string value) => this with { Settings = Settings.SetItem(name, value) };

    public bool Sets(string name) => Settings.GetValueOrDefault(name) is { Length: > 0 };

    /// <summary>The limit on its descriptors; 0 for that of the tests.</summary>
    public int OpenFilesMax { get; init; }

    /// <summary>A write beyond <see cref="ProcessLimits.SetFileBytes"/> is an error to it, and no signal that ends it.</summary>
    public bool IgnoresFileSizeSignal { get; init; }

    /// <summary>Gives a child process these settings and no others, whatever the machine's environment says.</summary>
    internal void ApplyTo(IDictionary<string, string?> environment)
    {
        foreach (Setting setting in SettingTable.All)
        {
            if (!InheritedSettings.Contains(setting.Name))
            {
                environment.Remove(setting.Name);
            }
        }

        foreach ((string name, string value) in Settings)
        {
            environment[name] = value;
        }
    }
}
