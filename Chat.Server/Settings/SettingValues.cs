using System.Text;

namespace Chat.Server.Settings;

/// <summary>The parsed values with their sources, while settings are read. Not thread-safe; lives for one reading.</summary>
internal sealed class SettingValues
{
    public const string DefaultSource = "default";

    // Enough to recognise a value by; a whole file pasted into a variable must not fill the terminal.
    private const int EchoCharsMax = 60;

    private readonly Dictionary<Setting, (object Value, string Source)> _values = [];

    /// <summary>Every setting at its default.</summary>
    public static SettingValues Defaults
    {
        get
        {
            var values = new SettingValues();
            foreach (var setting in SettingTable.All)
            {
                values.TrySet(setting, "", DefaultSource, out _);
            }
            return values;
        }
    }

    /// <param name="setting">The row of the table.</param>
    /// <param name="text">As the source has it; empty for the default.</param>
    /// <param name="source">Where it comes from, to be shown to the user.</param>
    /// <param name="problem">When false: the message for the user.</param>
    public bool TrySet(Setting setting, string text, string source, out string problem)
    {
        problem = "";
        if (!setting.TryParse(text, out var value))
        {
            var echo = setting.IsSecret ? "the value" : $"\"{Printable(text)}\"";
            problem = $"{setting.Name}: {echo} (from {source}) is not accepted: expected {setting.Accepts}.";
            return false;
        }
        _values[setting] = (value, text.Length == 0 ? DefaultSource : source);
        return true;
    }

    public T Get<T>(Setting<T> setting)
        where T : notnull => (T)_values[setting].Value;

    public string SourceOf(Setting setting) => _values[setting].Source;

    // Control characters in a message could rewrite the terminal.
    private static string Printable(string text)
    {
        var printable = new StringBuilder();
        foreach (var c in text.AsSpan(0, Math.Min(text.Length, EchoCharsMax)))
        {
            printable.Append(char.IsControl(c) ? '?' : c);
        }
        return printable.Append(text.Length > EchoCharsMax ? "..." : "").ToString();
    }
}
