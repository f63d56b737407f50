namespace Chat.Server.Connections;

/// <summary>
/// Two buffers of the calling thread, for as long as one read of a socket is parsed: an unmasked message, and its strings
/// without escapes. A connection itself holds none.
/// </summary>
internal static class ReceiveScratch
{
    [ThreadStatic]
    private static byte[]? _message;

    [ThreadStatic]
    private static byte[]? _strings;

    /// <summary>At least <paramref name="bytes"/> bytes, the same array for each call of a thread.</summary>
    public static byte[] Message(int bytes) => Ensure(ref _message, bytes);

    /// <summary>At least <paramref name="bytes"/> bytes, and never the array of <see cref="Message"/>.</summary>
    public static byte[] Strings(int bytes) => Ensure(ref _strings, bytes);

    private static byte[] Ensure(ref byte[]? buffer, int bytes) =>
        buffer is { } kept && kept.Length >= bytes ? kept : buffer = new byte[Math.Max(4096, bytes)];
}
