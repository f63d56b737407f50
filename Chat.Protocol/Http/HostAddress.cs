using System.Net;

namespace Chat.Protocol.Http;

/// <summary>
/// IP addresses as proxies write them. The base library also takes 1, 0x7f.1 and 010.0.0.1, each of which another program
/// reads as another address.
/// </summary>
internal static class HostAddress
{
    private const int TextBytesMax = 45; // An IPv6 address that ends in an IPv4 one (RFC 4291 section 2.2).

    /// <summary>An address alone: 192.0.2.1 or 2001:db8::1. IPv4 in an IPv6 address (::ffff:192.0.2.1) comes back as IPv4.</summary>
    public static bool TryParse(ReadOnlySpan<byte> text, out IPAddress address)
    {
        address = IPAddress.None;
        if (text.IsEmpty || text.Length > TextBytesMax || text.ContainsAnyExcept(CharacterSets.IPv6)
            || !IPAddress.TryParse(text, out IPAddress? parsed))
        {
            return false;
        }

        Span<byte> canonical = stackalloc byte[TextBytesMax];
        bool isIPv4 = !text.Contains((byte)':');
        if (isIPv4 && !(parsed.TryFormat(canonical, out int length) && canonical[..length].SequenceEqual(text)))
        {
            return false;
        }

        address = parsed.IsIPv4MappedToIPv6 ? parsed.MapToIPv4() : parsed;
        return true;
    }

    /// <summary>IPv6address of RFC 3986 section 3.2.2, without a zone. Allocates nothing.</summary>
    /// <param name="text">Of <see cref="CharacterSets.IPv6"/> alone.</param>
    public static bool IsIPv6(ReadOnlySpan<byte> text) => text.Contains((byte)':') && IPAddress.IsValidUtf8(text);

    /// <summary>A node of RFC 7239 section 6, or of X-Forwarded-For: an address, with or without brackets and a port.</summary>
    public static bool TryParseNode(ReadOnlySpan<byte> node, out IPAddress address)
    {
        ReadOnlySpan<byte> host = node;
        ReadOnlySpan<byte> port = default;
        if (node.StartsWith("["u8))
        {
            int end = node.IndexOf((byte)']');
            host = end < 0 ? default : node[1..end];
            port = end < 0 ? default : node[(end + 1)..];
        }
        else if (node.Count((byte)':') == 1)
        {
            int colon = node.IndexOf((byte)':');
            host = node[..colon];
            port = node[colon..];
        }

        address = IPAddress.None;
        return (port.IsEmpty || (port[0] == ':' && port.Length > 1 && !port[1..].ContainsAnyExcept(CharacterSets.Digit)))
            && TryParse(host, out address);
    }
}
