using System.Runtime.CompilerServices;

namespace Chat.Server.Tests;

/// <summary>The sources that this test was built from, for tests that compare documents with code.</summary>
internal static class Repository
{
    public static string ReadText(params string[] path) => File.ReadAllText(Path.Combine([Folder(), .. path]));

    private static string Folder([CallerFilePath] string thisFile = "")
    {
        // Under a deterministic build the compiler maps this path, so look upwards from the binaries as well.
        foreach (string? start in (string?[])[Path.GetDirectoryName(thisFile), AppContext.BaseDirectory, Environment.CurrentDirectory])
        {
            for (DirectoryInfo? folder = new(start!); folder is not null; folder = folder.Parent)
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
