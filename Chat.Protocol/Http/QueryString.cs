namespace Chat.Protocol.Http;

public enum QueryResult : byte
{
    /// <summary>No parameter has this name.</summary>
    Absent,
    Found,
    /// <summary>The value has a '%' that two hexadecimal digits do not follow (RFC 3986 section 2.1).</summary>
    Malformed,
    /// <summary>The decoded value does not fit into the destination.</summary>
    TooLong,
}

/// <summary>
/// Parameters of a query: <c>name=value</c> joined by '&amp;', in the form encoding of the WHATWG URL standard section 5.1.
/// </summary>
public static class QueryString
{
    /// <summary>
    /// Decodes the value of the first parameter called <paramref name="name"/>: percent escapes, and '+' as a space.
    /// A parameter without '=' has an empty value. The decoded bytes may be anything, NUL and broken UTF-8 included.
    /// </summary>
    /// <param name="query">As in <see cref="RequestHead.Query"/>, without '?'.</param>
    /// <param name="name">Compared with the decoded names, and with regard to case.</param>
    /// <param name="destination">No decoded value is longer than the query.</param>
    /// <param name="written">Bytes of the value when Found, else 0; the destination may then hold a part.</param>
    public static QueryResult Get(ReadOnlySpan<byte> query, ReadOnlySpan<byte> name, Span<byte> destination, out int written)
    {
        ReadOnlySpan<byte> rest = query;
        while (!rest.IsEmpty)
        {
            int end = rest.IndexOf((byte)'&');
            ReadOnlySpan<byte> parameter = end < 0 ? rest : rest[..end];
            rest = end < 0 ? default : rest[(end + 1)..];

            int equals = parameter.IndexOf((byte)'=');
            ReadOnlySpan<byte> encodedName = equals < 0 ? parameter : parameter[..equals];
            if (!parameter.IsEmpty && IsName(encodedName, name))
            {
                return Decode(equals < 0 ? default : parameter[(equals + 1)..], destination, out written);
            }
        }

        written = 0;
        return QueryResult.Absent;
    }

    private static QueryResult Decode(ReadOnlySpan<byte> encoded, Span<byte> destination, out int written)
    {
        int count = 0;
        written = 0;
        while (!encoded.IsEmpty)
        {
            if (!TryTakeOctet(ref encoded, out byte octet))
            {
                return QueryResult.Malformed;
            }

            if (count == destination.Length)
            {
                return QueryResult.TooLong;
            }

            destination[count++] = octet;
        }

        written = count;
        return QueryResult.Found;
    }

    private static bool IsName(ReadOnlySpan<byte> encoded, ReadOnlySpan<byte> name)
    {
        foreach (byte expected in name)
        {
            if (!TryTakeOctet(ref encoded, out byte octet) || octet != expected)
            {
                return false;
            }
        }

        return encoded.IsEmpty;
    }

    private static bool TryTakeOctet(ref ReadOnlySpan<byte> encoded, out byte octet)
    {
        octet = 0;
        if (encoded.IsEmpty)
        {
            return false;
        }

        if (encoded[0] != '%')
        {
            octet = encoded[0] == '+' ? (byte)' ' : encoded[0];
            encoded = encoded[1..];
            return true;
        }

        int high = encoded.Length < 3 ? -1 : HexDigits.ToValue(encoded[1]);
        int low = encoded.Length < 3 ? -1 : HexDigits.ToValue(encoded[2]);
        if (high < 0 || low < 0)
        {
            return false;
        }

        octet = (byte)((high << 4) | low);
        encoded = encoded[3..];
        return true;
    }
}
