using System.CommandLine;
using System.CommandLine.Help;

namespace Chat.Server.Settings;

/// <summary>
/// The command line: one flag per setting, <c>--help</c> and <c>--version</c>. Values come out as text and are parsed where those of
/// the environment are, so that every source accepts the same.
/// </summary>
internal static class CommandLineFlags
{
    private const int HelpWidthMax = 140;

    /// <summary>
    /// Exactly one of three: <paramref name="values"/> filled (true), <paramref name="output"/> to print and stop with success, or
    /// <paramref name="problem"/> to print and stop with failure.
    /// </summary>
    public static bool TryParse(string[] args, out Dictionary<Setting, string> values, out string output, out string problem)
    {
        values = [];
        output = problem = "";
        var options = SettingTable.All.ToDictionary(static setting => setting, MakeOption);
        var root = new RootCommand("Realtime chat server: accounts, rooms, live WebSocket chat and history.");
        // The defaults of the library that nobody expects of a server: [suggest] directives and @files in place of arguments.
        root.Directives.Clear();
        foreach (var option in options.Values)
        {
            root.Options.Add(option);
        }
        foreach (var action in root.Options.Select(static option => option.Action).OfType<HelpAction>())
        {
            action.MaxWidth = HelpWidthMax;
        }

        var parsed = root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null, EnablePosixBundling = false });
        if (parsed.UnmatchedTokens is [var unmatched, ..])
        {
            problem = DescribeUnmatched(unmatched);
            return false;
        }
        if (parsed.Errors.Count > 0)
        {
            problem = DescribeError(parsed, options);
            return false;
        }
        if (parsed.Action is not null)
        {
            using var writer = new StringWriter();
            parsed.Invoke(new InvocationConfiguration { Output = writer, Error = writer });
            output = writer.ToString();
            return false;
        }
        foreach (var (setting, option) in options)
        {
            if (parsed.GetValue(option) is { } text)
            {
                values.Add(setting, text);
            }
            else if (setting.IsSwitch && parsed.GetResult(option) is { Implicit: false })
            {
                values.Add(setting, "on");
            }
        }
        return true;
    }

    private static Option<string?> MakeOption(Setting setting)
    {
        var fallback = setting.DefaultIsMeasured ? ""
            : setting.DefaultText.Length == 0 ? " Default: empty."
            : $" Default: {setting.DefaultText}.";
        return new Option<string?>(setting.Flag)
        {
            HelpName = setting.Unit,
            Arity = setting.IsSwitch ? ArgumentArity.ZeroOrOne : ArgumentArity.ExactlyOne,
            Description = $"{setting.Doc} Expected: {setting.Accepts}.{fallback}",
        };
    }

    // An argument without a flag may be a secret whose flag was misspelt, so that only what looks like a flag is repeated.
    private static string DescribeUnmatched(string token)
    {
        if (!token.StartsWith('-'))
        {
            return "The command line has a value that belongs to no flag. See --help.";
        }
        var name = token.AsSpan()[..(token.AsSpan().IndexOfAny('=', ':') is >= 0 and var end ? end : token.Length)];
        return $"{name} is not a flag of this server. See --help.";
    }

    // The library's own messages repeat the arguments, secrets included; the two that can happen are said here.
    private static string DescribeError(ParseResult parsed, Dictionary<Setting, Option<string?>> options)
    {
        foreach (var (setting, option) in options)
        {
            if (parsed.GetResult(option) is { } result && result.Tokens.Count != 1 && !(setting.IsSwitch && result.Tokens.Count == 0))
            {
                return result.Tokens.Count == 0
                    ? $"{setting.Name}: the flag {setting.Flag} needs a value: expected {setting.Accepts}."
                    : $"{setting.Name}: the flag {setting.Flag} is given more than once.";
            }
        }
        return "The command line cannot be read. See --help.";
    }
}
