using System.Runtime.CompilerServices;
using Chat.Server.Settings;

namespace Chat.Server.Tests.Settings;

public sealed class EnvExampleTests
{
    /// <summary>UPDATE_ENV_EXAMPLE=1 writes the file instead of comparing it.</summary>
    [Fact]
    public void The_committed_file_is_the_generated_one()
    {
        var path = Path.Combine(RepositoryFolder(), ".env.example");
        if (Environment.GetEnvironmentVariable("UPDATE_ENV_EXAMPLE") == "1")
        {
            File.WriteAllText(path, EnvExample.Generate());
        }

        Assert.Equal(EnvExample.Generate(), File.ReadAllText(path));
    }

    [Fact]
    public void The_file_is_read_without_warnings_and_changes_nothing_also_when_all_is_uncommented()
    {
        var uncommented = string.Join('\n', EnvExample.Generate().Split('\n')
            .Select(line => line.StartsWith('#') && !line.StartsWith("# ", StringComparison.Ordinal) ? line[1..] : line));

        var outcome = SettingsReader.Read([], new Dictionary<string, string>(), uncommented);

        Assert.Null(outcome.Problem);
        Assert.Empty(outcome.Warnings);
        Assert.Equal(SettingTable.All.Length, uncommented.Split('\n').Count(line => line.Length > 0 && line[0] != '#'));
        Assert.Equal(ServerSettings.Default.Rooms, outcome.Settings!.Rooms);
        Assert.Equal(ServerSettings.Default.Argon2, outcome.Settings.Argon2);
    }

    private static string RepositoryFolder([CallerFilePath] string thisFile = "")
    {
        // Under a deterministic build the compiler maps this path, so look upwards from the binaries as well.
        foreach (var start in (string[])[Path.GetDirectoryName(thisFile)!, AppContext.BaseDirectory, Environment.CurrentDirectory])
        {
            for (var folder = new DirectoryInfo(start); folder is not null; folder = folder.Parent)
            {
                if (File.Exists(Path.Combine(folder.FullName, "Chat.sln")))
                {
                    return folder.FullName;
                }
            }
        }
        throw new InvalidOperationException("Chat.sln is in no folder above the test.");
    }
}
