using System.Text;

namespace Chat.LoadTests.Clients;

/// <summary>The server's answer to an opening handshake (RFC 6455 section 4.1), for clients that all send the same key.</summary>
internal static class UpgradeAnswer
{
    /// <summary>The example of RFC 6455 section 1.3, with its answer below; a fresh key for each connection would test nothing more.</summary>
    public const string Key = "dGhlIHNhbXBsZSBub25jZQ==";

    private const int HeadBytesMax = 16 * 1024;

    private static ReadOnlySpan<byte> Accept => "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="u8;

    /// <summary>Reads the head of the answer.</summary>
    /// <param name="input">All that came so far.</param>
    /// <param name="headBytes">Length of the head with its empty line, in bytes.</param>
    /// <param name="refusal">When the answer is false: why there will be no WebSocket, or null when more input is needed.</param>
    /// <returns>True when the connection is a WebSocket from here on.</returns>
    public static bool TryRead(ReadOnlySpan<byte> input, out int headBytes, out string? refusal)
    {
        refusal = null;
        headBytes = input.IndexOf("\r\n\r\n"u8) + 4;
        if (headBytes < 4)
        {
            refusal = input.Length > HeadBytesMax ? "the answer to the handshake is no HTTP" : null;
            headBytes = 0;
            return false;
        }

        ReadOnlySpan<byte> head = input[..headBytes];
        if (head.StartsWith("HTTP/1.1 101"u8) && head.IndexOf(Accept) >= 0)
        {
            return true;
        }

        int lineBytes = head.IndexOf((byte)'\r');
        refusal = $"the handshake was refused: {Encoding.Latin1.GetString(head[..Math.Min(lineBytes, 80)])}";
        return false;
    }
}
