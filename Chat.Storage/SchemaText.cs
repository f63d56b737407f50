namespace Chat.Storage;

/// <summary>SQL files embedded in the assembly, so that the server is one thing to deploy.</summary>
internal static class SchemaText
{
    internal static string Read(string resourceName)
    {
        using var stream = typeof(SchemaText).Assembly.GetManifestResourceStream(resourceName)
            ?? throw new InvalidOperationException($"The assembly lacks {resourceName}.");
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
