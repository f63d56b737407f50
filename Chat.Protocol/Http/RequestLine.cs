using System.Text;

namespace Chat.Protocol.Http;

/// <summary>
/// request-line = method SP request-target SP HTTP-version (RFC 9112 section 3), with exactly one SP at both places.
/// Control characters were refused before, when the end of the line was searched.
/// </summary>
internal static class RequestLine
{
    private const int VersionLength = 8;

    /// <returns>The default value when the line is good.</returns>
    public static ProtocolError Parse(ReadOnlySpan<byte> bytes, HeadSlice line, RequestHead head, HttpLimits limits)
    {
        ReadOnlySpan<byte> text = line.Of(bytes);
        ProtocolError error = ParseMethod(text, head, limits, out int methodLength);
        if (!error.IsNone)
        {
            return error;
        }

        int targetStart = methodLength + 1;
        int targetLength = text[targetStart..].IndexOf((byte)' ');
        if (targetLength > limits.TargetBytesMax || (targetLength < 0 && text.Length - targetStart > limits.TargetBytesMax))
        {
            return RequestErrors.TargetTooLong;
        }

        if (targetLength <= 0)
        {
            return RequestErrors.RequestLineMalformed;
        }

        // Before the target: "PRI * HTTP/2.0" should hear that the version is at fault.
        error = ParseVersion(text[(targetStart + targetLength + 1)..], out int versionMinor);
        if (!error.IsNone)
        {
            return error;
        }

        head.VersionMinor = versionMinor;
        head.MethodSlice = new HeadSlice(line.Start, methodLength);
        head.TargetSlice = new HeadSlice(line.Start + targetStart, targetLength);
        return head.Method == RequestMethod.Other && text[..methodLength].SequenceEqual("CONNECT"u8)
            ? RequestErrors.ConnectRefused
            : ParseTarget(bytes, head);
    }

    /// <summary>The error for a line, whole or not, of more bytes than any line within the limits.</summary>
    public static ProtocolError WhyTooLong(ReadOnlySpan<byte> text, RequestHead head, HttpLimits limits)
    {
        ProtocolError error = ParseMethod(text, head, limits, out _);
        return error.IsNone ? RequestErrors.TargetTooLong : error;
    }

    /// <summary>The head has its method also when something behind it is refused: the refusal depends on it.</summary>
    private static ProtocolError ParseMethod(ReadOnlySpan<byte> text, RequestHead head, HttpLimits limits, out int length)
    {
        ReadOnlySpan<byte> window = text.Length > limits.MethodBytesMax ? text[..(limits.MethodBytesMax + 1)] : text;
        length = window.IndexOfAnyExcept(CharacterSets.Token);
        if (length > 0 && window[length] == ' ')
        {
            head.Method = ToMethod(text[..length]);
            return default;
        }

        if (length < 0)
        {
            return window.Length > limits.MethodBytesMax ? RequestErrors.MethodTooLong : RequestErrors.RequestLineMalformed;
        }

        return RequestErrors.MethodMalformed;
    }

    private static ProtocolError ParseVersion(ReadOnlySpan<byte> version, out int minor)
    {
        minor = 1;
        if (version.SequenceEqual("HTTP/1.1"u8))
        {
            return default;
        }

        if (version.SequenceEqual("HTTP/1.0"u8))
        {
            minor = 0;
            return default;
        }

        bool isWellFormed = version.Length == VersionLength && version.StartsWith("HTTP/"u8)
            && char.IsAsciiDigit((char)version[5]) && version[6] == '.' && char.IsAsciiDigit((char)version[7]);
        return isWellFormed ? RequestErrors.VersionUnsupported : RequestErrors.VersionMalformed;
    }

    private static RequestMethod ToMethod(ReadOnlySpan<byte> name) => name.Length switch
    {
        3 when name.SequenceEqual("GET"u8) => RequestMethod.Get,
        3 when name.SequenceEqual("PUT"u8) => RequestMethod.Put,
        4 when name.SequenceEqual("POST"u8) => RequestMethod.Post,
        4 when name.SequenceEqual("HEAD"u8) => RequestMethod.Head,
        5 when name.SequenceEqual("PATCH"u8) => RequestMethod.Patch,
        6 when name.SequenceEqual("DELETE"u8) => RequestMethod.Delete,
        7 when name.SequenceEqual("OPTIONS"u8) => RequestMethod.Options,
        _ => RequestMethod.Other,
    };

    /// <summary>Finds path and query in a target of origin-form, absolute-form or asterisk-form (RFC 9112 section 3.2).</summary>
    private static ProtocolError ParseTarget(ReadOnlySpan<byte> bytes, RequestHead head)
    {
        HeadSlice slice = head.TargetSlice;
        ReadOnlySpan<byte> target = slice.Of(bytes);
        if (target.ContainsAnyExcept(CharacterSets.Target))
        {
            return RequestErrors.TargetMalformed;
        }

        int pathStart = 0;
        if (target[0] != '/')
        {
            if (!TrySkipAuthority(target, out int authorityStart, out pathStart))
            {
                bool isAsterisk = head.Method == RequestMethod.Options && target.Length == 1 && target[0] == '*';
                head.PathSlice = slice;
                return isAsterisk ? default : RequestErrors.TargetMalformed;
            }

            head.IsTargetHttps = authorityStart == "https://"u8.Length;
            head.AuthoritySlice = new HeadSlice(slice.Start + authorityStart, pathStart - authorityStart);
        }

        int question = target[pathStart..].IndexOf((byte)'?');
        int pathLength = question < 0 ? slice.Length - pathStart : question;
        head.PathSlice = new HeadSlice(slice.Start + pathStart, pathLength);
        if (question >= 0)
        {
            int queryStart = pathStart + question + 1;
            head.QuerySlice = new HeadSlice(slice.Start + queryStart, slice.Length - queryStart);
        }

        return default;
    }

    /// <summary>
    /// Passes over the scheme and authority of an absolute-form target. User information is refused (RFC 9110 section 4.2.4),
    /// for '@' is no part of a host.
    /// </summary>
    private static bool TrySkipAuthority(ReadOnlySpan<byte> target, out int authorityStart, out int pathStart)
    {
        pathStart = authorityStart = 0;
        int scheme =
            StartsWithIgnoreCase(target, "http://"u8) ? "http://"u8.Length :
            StartsWithIgnoreCase(target, "https://"u8) ? "https://"u8.Length :
            0;
        if (scheme == 0)
        {
            return false;
        }

        int length = target[scheme..].IndexOfAny((byte)'/', (byte)'?');
        authorityStart = scheme;
        pathStart = length < 0 ? target.Length : scheme + length;
        ReadOnlySpan<byte> authority = target[scheme..pathStart];
        // An empty host is legal in a Host field, not in an http URI (RFC 9110 section 4.2.1).
        return !authority.IsEmpty && authority[0] != ':' && FieldLine.IsHost(authority);
    }

    /// <summary>
    /// Whether an absolute-form target and the Host field name the same host. The target would win (RFC 9112 section 3.2.2),
    /// but who routed by the other before us has taken this for another request: RFC 9112 section 3.2 has clients send both
    /// alike. The default port may be left out at either place.
    /// </summary>
    public static bool IsSameHost(ReadOnlySpan<byte> bytes, RequestHead head)
    {
        ReadOnlySpan<byte> port = head.IsTargetHttps ? ":443"u8 : ":80"u8;
        return Ascii.EqualsIgnoreCase(
            WithoutPort(head.AuthoritySlice.Of(bytes), port), WithoutPort(head.HostSlice.Of(bytes), port));
    }

    private static ReadOnlySpan<byte> WithoutPort(ReadOnlySpan<byte> authority, ReadOnlySpan<byte> port) =>
        authority.EndsWith(port) ? authority[..^port.Length] : authority.EndsWith(":"u8) ? authority[..^1] : authority;

    private static bool StartsWithIgnoreCase(ReadOnlySpan<byte> text, ReadOnlySpan<byte> prefix) =>
        text.Length >= prefix.Length && Ascii.EqualsIgnoreCase(text[..prefix.Length], prefix);
}
