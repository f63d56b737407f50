using System.Diagnostics;

namespace Chat.LoadTests.Hosting;

/// <summary>Finds the program of the server, or has it built.</summary>
internal static class ServerBuild
{
    private const string DllName = "Chat.Server.dll";

    /// <summary>The .NET host that runs this program, or the one in PATH.</summary>
    public static string DotnetHost => Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet";

    /// <summary>
    /// The path of Chat.Server.dll: the Release build beside this program's own output, else one that is built now from the sources
    /// above it. A Debug build is never taken by itself: figures of one mislead.
    /// </summary>
    /// <exception cref="CannotRunException">There is neither, or the build failed.</exception>
    public static async Task<string> FindOrMakeAsync(CancellationToken cancellation)
    {
        // artifacts/bin/Chat.LoadTests/release/ -> artifacts/bin/Chat.Server/release/
        string beside = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..", "..", "Chat.Server", "release", DllName));
        if (File.Exists(beside))
        {
            return beside;
        }

        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            string project = Path.Combine(folder.FullName, "Chat.Server", "Chat.Server.csproj");
            if (File.Exists(project))
            {
                await BuildAsync(project, cancellation);
                return File.Exists(beside)
                    ? beside
                    : throw new CannotRunException($"{project} was built, but there is no {beside}. Name it with --server.");
            }
        }

        throw new CannotRunException($"There is no {beside} and no source of it. Name the server with --server, or a running one with --url.");
    }

    private static async Task BuildAsync(string project, CancellationToken cancellation)
    {
        Console.WriteLine($"Building {project}");
        var start = new ProcessStartInfo(DotnetHost, ["build", project, "-c", "Release", "--nologo", "-v", "quiet"]) { RedirectStandardOutput = true };
        using Process build = Process.Start(start)!;
        string output = await build.StandardOutput.ReadToEndAsync(cancellation);
        await build.WaitForExitAsync(cancellation);
        if (build.ExitCode != 0)
        {
            throw new CannotRunException($"The server cannot be built:\n{output}");
        }
    }
}
