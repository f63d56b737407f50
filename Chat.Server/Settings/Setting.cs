using System.Collections.Immutable;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Numerics;

namespace Chat.Server.Settings;

/// <summary>
/// One row of <see cref="SettingTable"/>: a name, what it accepts, its default and why. The help text, <c>.env.example</c>
/// and the parsing of every source derive from it, so that they cannot disagree. Immutable.
/// </summary>
internal abstract class Setting(string name, string defaultText, string unit, string accepts, string doc)
{
    /// <summary>The name in the environment and in <c>.env</c>, such as <c>DATA_DIR</c>.</summary>
    public string Name { get; } = name;

    /// <summary>The name on the command line, such as <c>--data-dir</c>.</summary>
    public string Flag { get; } = "--" + name.ToLowerInvariant().Replace('_', '-');

    /// <summary>As a user writes it; empty when the setting is off or when <see cref="DefaultIsMeasured"/>.</summary>
    public string DefaultText { get; } = defaultText;

    /// <summary>What the value counts or holds, such as <c>ms</c> or <c>bytes</c>.</summary>
    public string Unit { get; } = unit;

    /// <summary>The accepted values, to follow the word "expected".</summary>
    public string Accepts { get; } = accepts;

    /// <summary>What it is and the reason for its default, in one line.</summary>
    public string Doc { get; } = doc;

    /// <summary>True for values that are or may contain a password: no message ever repeats them.</summary>
    public bool IsSecret { get; init; }

    /// <summary>True when the default depends on this computer or on other settings, which files made for everybody must not repeat.</summary>
    public bool DefaultIsMeasured { get; init; }

    /// <summary>True when <paramref name="text"/> is an accepted value. An empty text means the default, in every source.</summary>
    public abstract bool TryParse(string text, out object value);

    /// <summary>On or off. Its flag may stand alone: that means on.</summary>
    public bool IsSwitch { get; init; }

    public static Setting<bool> Switch(string name, bool defaultValue, string doc) =>
        new(name, defaultValue, defaultValue ? "on" : "off", "switch", "on or off", doc, static (text, out value) =>
        {
            value = text.Equals("on", StringComparison.OrdinalIgnoreCase);
            return value || text.Equals("off", StringComparison.OrdinalIgnoreCase);
        })
        { IsSwitch = true };

    public static Setting<int> Integer(string name, int defaultValue, int min, int max, string unit, string doc) =>
        new(name, defaultValue, Invariant(defaultValue), unit, $"an integer from {min} to {max}", doc, Digits(min, max, static _ => true));

    public static Setting<int> MeasuredInteger(string name, int defaultValue, int min, int max, string unit, string doc) =>
        new(name, defaultValue, "", unit, $"an integer from {min} to {max}", doc, Digits(min, max, static _ => true))
        {
            DefaultIsMeasured = true,
        };

    public static Setting<int> PowerOfTwo(string name, int defaultValue, int min, int max, string unit, string doc) =>
        new(name, defaultValue, Invariant(defaultValue), unit, $"a power of two from {min} to {max}", doc,
            Digits(min, max, BitOperations.IsPow2));

    public static Setting<string> Text(
        string name, string defaultValue, string unit, string accepts, string doc, Func<string, bool> isAccepted, bool isSecret = false) =>
        new(name, defaultValue, defaultValue, unit, accepts, doc, (text, out value) =>
        {
            value = text;
            return isAccepted(text);
        })
        { IsSecret = isSecret };

    public static Setting<TEnum> Choice<TEnum>(string name, TEnum defaultValue, string doc)
        where TEnum : struct, Enum
    {
        var words = Enum.GetNames<TEnum>().Select(static word => word.ToLowerInvariant()).ToArray();
        return new(name, defaultValue, defaultValue.ToString().ToLowerInvariant(), "word",
            words.Length == 1 ? words[0] : "one of " + string.Join(", ", words), doc, (text, out value) =>
        {
            // Not Enum.TryParse, which takes numbers and comma lists as well.
            var index = Array.FindIndex(words, word => word.Equals(text, StringComparison.OrdinalIgnoreCase));
            value = index < 0 ? default : Enum.GetValues<TEnum>()[index];
            return index >= 0;
        });
    }

    /// <summary>A comma list of web origins as browsers send them (RFC 6454 section 6.1), or <c>*</c> alone.</summary>
    public static Setting<ImmutableArray<string>> Origins(string name, string doc) =>
        new(name, [], "", "comma list", "a comma list of origins such as https://chat.example.com, or * alone", doc, (text, out origins) =>
        {
            origins = [.. text.Split(',', StringSplitOptions.TrimEntries).Select(static item => item.ToLowerInvariant())];
            return origins is ["*"] || origins.All(IsOrigin);
        });

    /// <summary>A comma list of IP addresses and networks in CIDR notation (RFC 4632 section 3.1).</summary>
    public static Setting<ImmutableArray<IPNetwork>> Networks(string name, string defaultText, string doc)
    {
        _ = TryReadNetworks(defaultText, out ImmutableArray<IPNetwork> networks);
        return new(name, networks, defaultText, "comma list", "a comma list of IP addresses and networks such as 10.0.0.0/8 or ::1", doc, TryReadNetworks);
    }

    private static bool TryReadNetworks(string text, out ImmutableArray<IPNetwork> networks)
    {
        networks = [];
        foreach (string item in text.Split(',', StringSplitOptions.TrimEntries))
        {
            if (!TryReadNetwork(item, out IPNetwork network))
            {
                networks = [];
                return false;
            }

            networks = networks.Add(network);
        }

        return true;
    }

    private static bool TryReadNetwork(string text, out IPNetwork network)
    {
        network = default;
        if (text.Contains('/'))
        {
            return IPNetwork.TryParse(text, out network);
        }

        // Of the spellings that the library reads only the one that it writes: 10.1 is a mistake, not 10.0.0.1.
        if (!IPAddress.TryParse(text, out IPAddress? address) || !(text.Contains(':') || address.ToString() == text))
        {
            return false;
        }

        network = new IPNetwork(address, address.AddressFamily == AddressFamily.InterNetworkV6 ? 128 : 32);
        return true;
    }

    // An origin has neither path nor trailing slash; one that had would never equal what a browser sends, and would refuse it in silence.
    private static bool IsOrigin(string text) =>
        Uri.TryCreate(text, UriKind.Absolute, out var uri)
        && uri.Scheme is "http" or "https"
        && text == uri.GetLeftPart(UriPartial.Authority)
        && uri.UserInfo.Length == 0;

    private static Setting<int>.Parser Digits(int min, int max, Func<int, bool> isAccepted) => (string text, out int value) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value) && value >= min && value <= max && isAccepted(value);

    private static string Invariant(int value) => value.ToString(CultureInfo.InvariantCulture);
}

/// <inheritdoc/>
internal sealed class Setting<T>(
    string name, T defaultValue, string defaultText, string unit, string accepts, string doc, Setting<T>.Parser parser)
    : Setting(name, defaultText, unit, accepts, doc)
    where T : notnull
{
    public delegate bool Parser(string text, out T value);

    public T Default { get; } = defaultValue;

    public override bool TryParse(string text, out object value)
    {
        if (text.Length == 0)
        {
            value = Default;
            return true;
        }
        var accepted = parser(text, out var parsed);
        value = parsed;
        return accepted;
    }
}
