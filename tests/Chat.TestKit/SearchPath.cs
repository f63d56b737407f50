namespace Chat.TestKit;

/// <summary>Where a shell looks for programs.</summary>
public static class SearchPath
{
    public static IReadOnlyList<string> Folders { get; } =
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries);

    /// <summary>The file of the first of these programs that is there; null when none is.</summary>
    /// <param name="programs">By preference.</param>
    public static string? Find(params IEnumerable<string> programs) =>
        programs.SelectMany(static program => Folders.Select(folder => Path.Combine(folder, program))).FirstOrDefault(File.Exists);
}
