namespace Chat.Protocol.Http;

/// <summary>HEXDIG (RFC 5234 appendix B.1), in both cases.</summary>
internal static class HexDigits
{
    /// <returns>0 to 15, or -1 when <paramref name="octet"/> is no hexadecimal digit.</returns>
    public static int ToValue(byte octet) => octet switch
    {
        >= (byte)'0' and <= (byte)'9' => octet - '0',
        >= (byte)'a' and <= (byte)'f' => octet - 'a' + 10,
        >= (byte)'A' and <= (byte)'F' => octet - 'A' + 10,
        _ => -1,
    };
}
