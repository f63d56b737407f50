using System.Collections.Immutable;
using System.Text;
using Chat.Protocol.Http;

namespace Chat.Server.Rest;

/// <summary>
/// Which pages of other origins may use this server (Fetch standard, CORS protocol). Without configured origins no
/// response carries a CORS field, and browsers keep foreign pages out of REST by themselves. WebSocket knows no such
/// protection, so there an Origin that is not allowed is refused, once origins are configured.
/// </summary>
internal sealed class Cors(ImmutableArray<string> origins)
{
    private readonly byte[][] _origins = [.. origins.Select(Encoding.ASCII.GetBytes)];
    private readonly bool _allowsAny = origins.Contains("*");

    /// <summary>Adds what a page of another origin needs to be allowed to read the response.</summary>
    public void WriteFields(ref ResponseWriter writer, RequestHead head)
    {
        if (_origins.Length == 0)
        {
            return;
        }

        writer.WriteField("Vary"u8, "Origin"u8);
        if (!head.TryGetOnlyField("origin"u8, out ReadOnlySpan<byte> origin) || !IsConfigured(origin))
        {
            return;
        }

        // Never with Allow-Credentials: our credentials are tokens that a page has to add by itself.
        writer.WriteField("Access-Control-Allow-Origin"u8, origin);
        writer.WriteField("Access-Control-Expose-Headers"u8, "Retry-After, Link"u8);
        if (head.Method == RequestMethod.Options && head.TryGetField("access-control-request-method"u8, out _))
        {
            writer.WriteField("Access-Control-Allow-Methods"u8, "GET, HEAD, POST, DELETE, OPTIONS"u8);
            writer.WriteField("Access-Control-Allow-Headers"u8, "Authorization, Content-Type"u8);
            writer.WriteField("Access-Control-Max-Age"u8, 600);
        }
    }

    /// <summary>A handshake without Origin comes from no browser; one from our own pages has our own host as its origin.</summary>
    public bool IsWebSocketOriginAllowed(RequestHead head)
    {
        if (_origins.Length == 0 || _allowsAny || !head.TryGetField("origin"u8, out _))
        {
            return true;
        }

        if (!head.TryGetOnlyField("origin"u8, out ReadOnlySpan<byte> origin))
        {
            return false; // RFC 6454 section 7.3: never two. Which of them it is would be a guess.
        }

        int authority = origin.IndexOf("://"u8);
        return IsConfigured(origin)
            || (authority > 0 && head.TryGetField("host"u8, out ReadOnlySpan<byte> host)
                && Ascii.EqualsIgnoreCase(origin[(authority + 3)..], host));
    }

    private bool IsConfigured(ReadOnlySpan<byte> origin)
    {
        foreach (byte[] configured in _origins)
        {
            if (_allowsAny || Ascii.EqualsIgnoreCase(origin, configured))
            {
                return true;
            }
        }

        return false;
    }
}
