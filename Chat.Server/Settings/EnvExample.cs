using System.Text;

namespace Chat.Server.Settings;

/// <summary>Writes <c>.env.example</c> from <see cref="SettingTable"/>; a test holds the committed file to it.</summary>
internal static class EnvExample
{
    private const string Head = """
        # Settings of the chat server. Copy this file to .env and uncomment what you change.
        # Command-line flags (--port 3000) override the environment, which overrides .env, which overrides the defaults below.
        # An empty value means the default.

        """;

    public static string Generate()
    {
        var text = new StringBuilder(Head.ReplaceLineEndings("\n"));
        foreach (var setting in SettingTable.All)
        {
            text.Append('\n')
                .Append("# ").Append(setting.Doc).Append('\n')
                .Append("# Unit: ").Append(setting.Unit).Append(". Expected: ").Append(setting.Accepts).Append(".\n")
                // Commented out: a copy that froze today's defaults would keep them when a later version has better ones.
                .Append('#').Append(setting.Name).Append('=').Append(setting.DefaultText).Append('\n');
        }
        return text.ToString();
    }
}
