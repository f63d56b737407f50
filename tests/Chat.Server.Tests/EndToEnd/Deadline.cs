namespace Chat.Server.Tests.EndToEnd;

/// <summary>How long tests wait for what must come. Long for a busy machine; a passing test never waits this long.</summary>
internal static class Deadline
{
    public static readonly TimeSpan ForAnswer = TimeSpan.FromSeconds(10);

    /// <summary>A start compiles the server's code and opens a database, beside other starts.</summary>
    public static readonly TimeSpan ForStart = TimeSpan.FromSeconds(30);

    /// <summary>Hashes give way to all else on the machine, which other tests keep busy.</summary>
    public static readonly TimeSpan ForHashes = TimeSpan.FromSeconds(60);
}
