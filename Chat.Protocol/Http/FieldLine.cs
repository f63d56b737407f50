using System.Runtime.CompilerServices;
using System.Text;

namespace Chat.Protocol.Http;

/// <summary>
/// field-line = field-name ":" OWS field-value OWS (RFC 9112 section 5), and the meaning of the few fields that decide how the
/// connection goes on. Control characters were refused before, when the end of the line was searched.
/// </summary>
internal static class FieldLine
{
    /// <summary>Adds the field to the head.</summary>
    /// <returns>The default value when the line is good.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ProtocolError Parse(ReadOnlySpan<byte> bytes, HeadSlice line, RequestHead head, HttpLimits limits)
    {
        ReadOnlySpan<byte> text = line.Of(bytes);
        // Not beyond the line: the CR at its end is no token character.
        int colon = CharacterSets.IndexOfNonToken(bytes[line.Start..]);
        if (colon <= 0 || bytes[line.Start + colon] != ':')
        {
            return WhyNoName(text, colon < text.Length ? colon : -1);
        }

        if (head.FieldCount == limits.FieldsMax)
        {
            return RequestErrors.TooManyFields;
        }

        ReadOnlySpan<byte> name = text[..colon];
        ReadOnlySpan<byte> untrimmed = text[(colon + 1)..];
        ReadOnlySpan<byte> fromValue = TrimWhitespaceStart(untrimmed);
        ReadOnlySpan<byte> value = TrimWhitespaceEnd(fromValue);
        int valueStart = line.Start + line.Length - fromValue.Length;
        var valueSlice = new HeadSlice(valueStart, value.Length);
        head.AddField(new HeadSlice(line.Start, colon), valueSlice);
        return Interpret(name, value, valueSlice, head, limits);
    }

    /// <summary>Takes the first element off a comma-separated list, without the whitespace around it; it may be empty.</summary>
    public static ReadOnlySpan<byte> TakeElement(scoped ref ReadOnlySpan<byte> list)
    {
        int comma = list.IndexOf((byte)',');
        ReadOnlySpan<byte> element = comma < 0 ? list : list[..comma];
        list = comma < 0 ? default : list[(comma + 1)..];
        return TrimWhitespace(element);
    }

    /// <summary>Host = uri-host [ ":" port ] (RFC 9110 section 7.2); the host may be empty, and the port too. A number that no port has names no host.</summary>
    public static bool IsHost(ReadOnlySpan<byte> value)
    {
        int hostLength;
        if (value.StartsWith("["u8))
        {
            int addressLength = value[1..].IndexOfAnyExcept(CharacterSets.IPv6);
            if (addressLength <= 0 || value[1 + addressLength] != ']' || !HostAddress.IsIPv6(value.Slice(1, addressLength)))
            {
                return false;
            }

            hostLength = addressLength + "[]"u8.Length;
        }
        else
        {
            int end = value.IndexOfAnyExcept(CharacterSets.RegName);
            hostLength = end < 0 ? value.Length : end;
            if (!AreEscapesWhole(value[..hostLength]))
            {
                return false;
            }
        }

        ReadOnlySpan<byte> port = value[hostLength..];
        return port.IsEmpty || (port[0] == ':' && (port.Length == 1 || (DecimalDigits.TryParse(port[1..], out long number) && number <= ushort.MaxValue)));
    }

    /// <summary>pct-encoded = "%" HEXDIG HEXDIG (RFC 3986 section 2.1), wherever there is a percent sign.</summary>
    private static bool AreEscapesWhole(ReadOnlySpan<byte> text)
    {
        for (int percent = text.IndexOf((byte)'%'); percent >= 0; percent = text.IndexOf((byte)'%'))
        {
            text = text[(percent + 1)..];
            if (text.Length < 2 || HexDigits.ToValue(text[0]) < 0 || HexDigits.ToValue(text[1]) < 0)
            {
                return false;
            }
        }

        return true;
    }

    private static ProtocolError WhyNoName(ReadOnlySpan<byte> text, int stop)
    {
        if (stop < 0 || text[stop] is not ((byte)' ' or (byte)'\t'))
        {
            return RequestErrors.FieldNameMalformed;
        }

        if (stop == 0)
        {
            return RequestErrors.ObsFold;
        }

        return TrimWhitespaceStart(text[stop..]).StartsWith(":"u8) ? RequestErrors.SpaceBeforeColon : RequestErrors.FieldNameMalformed;
    }

    private static ProtocolError Interpret(
        ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, HeadSlice valueSlice, RequestHead head, HttpLimits limits) =>
        // Length and first letter, in either case, tell most other fields apart before a name is compared.
        (name.Length, name[0] | 0x20) switch
        {
            (4, 'h') when Ascii.EqualsIgnoreCase(name, "host"u8) => ApplyHost(value, valueSlice, head),
            (6, 'e') when Ascii.EqualsIgnoreCase(name, "expect"u8) => ApplyExpect(value, head),
            (10, 'c') when Ascii.EqualsIgnoreCase(name, "connection"u8) => ApplyConnection(value, head),
            (14, 'c') when Ascii.EqualsIgnoreCase(name, "content-length"u8) => ApplyContentLength(value, head, limits),
            (17, 't') when Ascii.EqualsIgnoreCase(name, "transfer-encoding"u8) => ApplyTransferEncoding(value, head),
            _ => default,
        };

    private static ProtocolError ApplyHost(ReadOnlySpan<byte> value, HeadSlice valueSlice, RequestHead head)
    {
        if (head.HasHost)
        {
            return RequestErrors.HostRepeated;
        }

        head.HasHost = true;
        head.HostSlice = valueSlice;
        return IsHost(value) ? default : RequestErrors.HostMalformed;
    }

    private static ProtocolError ApplyExpect(ReadOnlySpan<byte> value, RequestHead head)
    {
        head.HasExpectContinue = true;
        return Ascii.EqualsIgnoreCase(value, "100-continue"u8) ? default : RequestErrors.ExpectationFailed;
    }

    private static ProtocolError ApplyConnection(ReadOnlySpan<byte> value, RequestHead head)
    {
        while (!value.IsEmpty)
        {
            ReadOnlySpan<byte> option = TakeElement(ref value);
            head.HasConnectionClose |= Ascii.EqualsIgnoreCase(option, "close"u8);
            head.HasConnectionKeepAlive |= Ascii.EqualsIgnoreCase(option, "keep-alive"u8);
        }

        return default;
    }

    private static ProtocolError ApplyContentLength(ReadOnlySpan<byte> value, RequestHead head, HttpLimits limits)
    {
        if (head.ContentLength >= 0)
        {
            // RFC 9112 section 6.3 lets us merge identical ones. An honest client sends one; the other party to a
            // smuggling attack might take the other.
            return RequestErrors.ContentLengthRepeated;
        }

        if (head.IsChunked)
        {
            return RequestErrors.TwoBodyLengths;
        }

        if (!DecimalDigits.TryParse(value, out long length))
        {
            return RequestErrors.ContentLengthMalformed;
        }

        head.ContentLength = length;
        return length <= limits.BodyBytesMax ? default : RequestErrors.BodyTooLarge;
    }

    private static ProtocolError ApplyTransferEncoding(ReadOnlySpan<byte> value, RequestHead head)
    {
        if (head.VersionMinor == 0)
        {
            return RequestErrors.TransferEncodingInHttp10;
        }

        if (head.IsChunked)
        {
            return RequestErrors.TransferEncodingRepeated;
        }

        if (head.ContentLength >= 0)
        {
            return RequestErrors.TwoBodyLengths;
        }

        head.IsChunked = true;
        return Ascii.EqualsIgnoreCase(value, "chunked"u8) ? default : WhyNotChunked(value);
    }

    /// <summary>
    /// 501 for codings that we lack followed by a final "chunked", which leaves no doubt where the body ends. 400 for everything
    /// else: without it at the end no length is known (RFC 9112 section 6.3), and twice, or beside nothing, it is a trick.
    /// </summary>
    private static ProtocolError WhyNotChunked(ReadOnlySpan<byte> value)
    {
        int comma = value.LastIndexOf((byte)',');
        if (comma < 0 || !Ascii.EqualsIgnoreCase(TrimWhitespace(value[(comma + 1)..]), "chunked"u8))
        {
            return RequestErrors.TransferEncodingMalformed;
        }

        ReadOnlySpan<byte> others = value[..comma];
        do
        {
            ReadOnlySpan<byte> coding = TakeElement(ref others);
            if (coding.IsEmpty || coding.ContainsAnyExcept(CharacterSets.Token) || Ascii.EqualsIgnoreCase(coding, "chunked"u8))
            {
                return RequestErrors.TransferEncodingMalformed;
            }
        }
        while (!others.IsEmpty);

        return RequestErrors.TransferCodingUnknown;
    }

    /// <summary>Removes optional whitespace, SP and HTAB (RFC 9110 section 5.6.3), from both ends.</summary>
    private static ReadOnlySpan<byte> TrimWhitespace(ReadOnlySpan<byte> text) => TrimWhitespaceEnd(TrimWhitespaceStart(text));

    private static ReadOnlySpan<byte> TrimWhitespaceStart(ReadOnlySpan<byte> text)
    {
        int start = 0;
        while (start < text.Length && text[start] is (byte)' ' or (byte)'\t')
        {
            start++;
        }

        return text[start..];
    }

    private static ReadOnlySpan<byte> TrimWhitespaceEnd(ReadOnlySpan<byte> text)
    {
        int end = text.Length;
        while (end > 0 && text[end - 1] is (byte)' ' or (byte)'\t')
        {
            end--;
        }

        return text[..end];
    }
}
