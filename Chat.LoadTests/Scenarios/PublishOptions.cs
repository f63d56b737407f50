using System.CommandLine;
using Chat.LoadTests.Clients;
using Chat.LoadTests.Hosting;
using Chat.LoadTests.Loads;

namespace Chat.LoadTests.Scenarios;

/// <summary>The options of scenarios that send messages.</summary>
internal sealed class PublishOptions
{
    /// <summary>CONTENT_CHARS_MAX of a server that was told nothing else.</summary>
    private const int ContentCharsMax = 4000;

    /// <summary>A server wants to be able to hold the longest content as JSON with every character escaped, and this much around it.</summary>
    private const int EscapedBytesPerChar = 12;

    private const int EnvelopeBytes = 1024;
    private const int CommandBytesMax = 64 * 1024; // WS_MESSAGE_BYTES_MAX and HTTP_BODY_BYTES_MAX by default.

    private const int ContentBytesMax = 64 * 1024;

    private readonly Option<int> _size;
    private readonly Option<double> _warmUp;
    private readonly Option<bool> _nonces;

    public PublishOptions(LoadOptions options, bool nonces)
    {
        _size = options.Integer("--size", 128, $"Length of each message's content in bytes, from {Marker.Bytes} to {ContentBytesMax}.", least: Marker.Bytes);
        _size.Validators.Add(static result =>
        {
            if (int.TryParse(result.Tokens.Count == 1 ? result.Tokens[0].Value : "0", out int bytes) && bytes > ContentBytesMax)
            {
                result.AddError($"--size: {bytes} is too large; it takes {ContentBytesMax} at most.");
            }
        });
        _warmUp = options.Number("--warm-up", 3, "Seconds under load before the measured time; .NET compiles its hot paths meanwhile.");
        _nonces = options.Add(new Option<bool>("--nonces")
        {
            Description = "Give each message a nonce, as clients should: then its acknowledgement is timed too.",
            DefaultValueFactory = _ => nonces,
        });
    }

    public MessageShape Read(ParseResult parsed) =>
        new(parsed.GetValue(_size), parsed.GetValue(_nonces), Skew: 0, parsed.GetValue(_warmUp), Seconds: 0, AcksComplete: true);

    /// <summary>Asks a server of its own for the limits that this load needs.</summary>
    public LoadSettings Prepare(ParseResult parsed, LoadSettings settings, int connections)
    {
        ServerLaunch launch = ForConnections(settings.Launch, connections);
        if (parsed.GetValue(_size) is int bytes and > ContentCharsMax)
        {
            string commandBytesMax = $"{Math.Max(CommandBytesMax, (bytes * EscapedBytesPerChar) + EnvelopeBytes)}";
            launch = WithDefault(launch, "CONTENT_CHARS_MAX", $"{bytes}");
            launch = WithDefault(launch, "WS_MESSAGE_BYTES_MAX", commandBytesMax);
            launch = WithDefault(launch, "HTTP_BODY_BYTES_MAX", commandBytesMax);
        }

        return settings with { Launch = launch };
    }

    public static ServerLaunch ForConnections(ServerLaunch launch, int connections) =>
        connections > 18_000 ? WithDefault(launch, "CONNECTIONS_MAX", $"{connections + 100}") : launch;

    private static ServerLaunch WithDefault(ServerLaunch launch, string name, string value) =>
        launch.Settings.ContainsKey(name) ? launch : launch.With(name, value);
}

/// <summary>The options that say at which rate an open loop sends.</summary>
internal sealed class OpenLoopOptions
{
    private readonly Option<double> _rate;
    private readonly Option<double> _seconds;
    private readonly Option<string?> _load;

    public OpenLoopOptions(LoadOptions options, double rate)
    {
        _rate = options.Number("--rate", rate, "Messages a second, in all.", least: 0.001);
        _seconds = options.Number("--seconds", 10, "Measured time.", least: 0.5);
        _load = options.Add(new Option<string?>("--load")
        {
            Description = "In place of --rate and --seconds, parts with commas between: constant:RATE:SECONDS, ramp:FROM-TO:SECONDS, spikes:LOW-HIGH:EVERY:SECONDS.",
        });
        _load.Validators.Add(static result =>
        {
            if (result.GetValueOrDefault<string?>() is { } text && !LoadPlan.TryParse(text, out _, out string error))
            {
                result.AddError($"--load: {error}");
            }
        });
    }

    public LoadPlan Read(ParseResult parsed) =>
        parsed.GetValue(_load) is { } text && LoadPlan.TryParse(text, out LoadPlan plan, out _)
            ? plan
            : LoadPlan.Constant(parsed.GetValue(_rate), parsed.GetValue(_seconds));
}

/// <summary>How fast connections are opened when that is not what is measured.</summary>
internal static class OpenPaces
{
    public static OpenPace Brisk { get; } = new(Concurrency: 128, PerSecond: 0, TimeoutS: 60);
}
