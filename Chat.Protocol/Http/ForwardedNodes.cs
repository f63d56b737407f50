using System.Net;
using System.Text;

namespace Chat.Protocol.Http;

/// <summary>
/// The hops that proxies have written into a request: for whom each has forwarded it, the nearest one last. What a client
/// wrote itself stands first, so the list is worth as much as the proxies at its end are trusted.
/// </summary>
public static class ForwardedNodes
{
    /// <summary>The elements of X-Forwarded-For: addresses, separated by commas. Null for what is no address.</summary>
    public static IReadOnlyList<IPAddress?> ReadXForwardedFor(RequestHead head)
    {
        var nodes = new List<IPAddress?>();
        ListElements elements = head.ListElements("x-forwarded-for"u8);
        while (elements.TryGetNext(out ReadOnlySpan<byte> element))
        {
            nodes.Add(HostAddress.TryParseNode(element, out IPAddress address) ? address : null);
        }

        return nodes;
    }

    /// <summary>
    /// The <c>for</c> of each element of Forwarded (RFC 7239 section 4). Null for an element without one, for what is no
    /// address (<c>unknown</c>, <c>_hidden</c>), and for what is malformed.
    /// </summary>
    public static IReadOnlyList<IPAddress?> ReadForwarded(RequestHead head)
    {
        var nodes = new List<IPAddress?>();
        for (int field = head.FindField("forwarded"u8, 0); field >= 0; field = head.FindField("forwarded"u8, field + 1))
        {
            ReadOnlySpan<byte> rest = head.FieldValue(field);
            while (!rest.IsEmpty)
            {
                ReadOnlySpan<byte> element = TakeUntil(ref rest, (byte)',', out bool isWhole);
                // A client that leaves a quoted string open makes one element of its own and what the proxies append to the line: nobody's word.
                nodes.Add(isWhole ? ReadFor(element) : null);
            }
        }

        return nodes;
    }

    private static IPAddress? ReadFor(ReadOnlySpan<byte> element)
    {
        IPAddress? found = null;
        bool isFound = false;
        while (!element.IsEmpty)
        {
            ReadOnlySpan<byte> pair = TakeUntil(ref element, (byte)';', out _).Trim(" \t"u8);
            int equals = pair.IndexOf((byte)'=');
            if (equals < 0 || !Ascii.EqualsIgnoreCase(pair[..equals], "for"u8))
            {
                continue;
            }

            ReadOnlySpan<byte> value = pair[(equals + 1)..];
            bool isQuoted = value.Length >= 2 && value[0] == '"' && value[^1] == '"';
            // Once: RFC 7239 section 4.
            found = !isFound && HostAddress.TryParseNode(isQuoted ? value[1..^1] : value, out IPAddress address) ? address : null;
            isFound = true;
        }

        return found;
    }

    /// <summary>Takes what stands before a separator that is not in a quoted string. It is not whole when it ends inside of one.</summary>
    private static ReadOnlySpan<byte> TakeUntil(ref ReadOnlySpan<byte> rest, byte separator, out bool isWhole)
    {
        bool isQuoted = false;
        int end = 0;
        for (; end < rest.Length && (isQuoted || rest[end] != separator); end++)
        {
            if (isQuoted && rest[end] == '\\')
            {
                end++;
            }
            else if (rest[end] == '"')
            {
                isQuoted = !isQuoted;
            }
        }

        isWhole = !isQuoted;
        end = Math.Min(end, rest.Length);
        ReadOnlySpan<byte> taken = rest[..end];
        rest = end < rest.Length ? rest[(end + 1)..] : default;
        return taken;
    }
}
