using Chat.Protocol.Http;

namespace Chat.Server.Rest;

/// <summary>The Authorization field with the scheme Bearer (RFC 6750 section 2.1).</summary>
internal static class Bearer
{
    private static ReadOnlySpan<byte> Scheme => "bearer "u8;

    /// <summary>
    /// The token, unchecked; it lives as long as the head. Empty, which is no token, when the field is repeated: which of them counts would be a
    /// guess. False when there is no such field, or with another scheme.
    /// </summary>
    public static bool TryRead(RequestHead head, out ReadOnlySpan<byte> token)
    {
        token = default;
        if (head.CountFields("authorization"u8) > 1)
        {
            return true;
        }

        if (!head.TryGetField("authorization"u8, out ReadOnlySpan<byte> value)
            || value.Length <= Scheme.Length
            || !System.Text.Ascii.EqualsIgnoreCase(value[..Scheme.Length], Scheme))
        {
            return false;
        }

        token = value[Scheme.Length..].Trim((byte)' ');
        return true;
    }
}
