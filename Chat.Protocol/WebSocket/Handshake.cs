using System.Buffers;
using System.Buffers.Text;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using Chat.Protocol.Http;

namespace Chat.Protocol.WebSocket;

/// <summary>What a client asked for in a valid opening handshake. The spans belong to the <see cref="RequestHead"/>.</summary>
public readonly ref struct OpeningHandshake
{
    internal OpeningHandshake(ReadOnlySpan<byte> key, bool offersChatV1, ReadOnlySpan<byte> bearerToken)
    {
        Key = key;
        OffersChatV1 = offersChatV1;
        BearerToken = bearerToken;
    }

    /// <summary>Sec-WebSocket-Key, in base64 as it was sent.</summary>
    public ReadOnlySpan<byte> Key { get; }

    /// <summary>The subprotocol "chat.v1" is among those offered, and will be confirmed.</summary>
    public bool OffersChatV1 { get; }

    /// <summary>
    /// The rest of an offered subprotocol "bearer.TOKEN", unchecked, or empty. It is how a browser sends a token outside
    /// the URL: its WebSocket API sets no fields. Never confirmed, so that the token is not in the response.
    /// </summary>
    public ReadOnlySpan<byte> BearerToken { get; }
}

/// <summary>
/// The server's side of the opening handshake (RFC 6455 section 4.2). Order: <see cref="IsUpgrade"/>, <see cref="TryRead"/>, the
/// server's own checks (token, origin, room), <see cref="WriteAccepted"/>; from then on the bytes are frames.
/// </summary>
public static class Handshake
{
    /// <summary>Bytes of a Sec-WebSocket-Accept value: a SHA-1 hash in base64.</summary>
    public const int AcceptBytes = 28;

    // 16 bytes in base64, two of the 24 being padding.
    private const int KeyBytes = 24;
    private const int KeyBytesDecoded = 16;

    // Each is compared with those before it, so without a limit a head full of them would cost the square of its length.
    private const int SubprotocolsMax = 32;

    public static readonly ProtocolError NotGet = new(400, "A WebSocket handshake must be a GET request.", "RFC 6455 section 4.2.1");
    public static readonly ProtocolError NotHttp11 = new(400, "A WebSocket handshake needs HTTP/1.1.", "RFC 6455 section 4.2.1");
    public static readonly ProtocolError UpgradeMissing = new(400, "Upgrade must name websocket.", "RFC 6455 section 4.2.1");
    public static readonly ProtocolError ConnectionUpgradeMissing = new(400, "Connection must name Upgrade.", "RFC 6455 section 4.2.1");
    public static readonly ProtocolError ContentNotAllowed = new(400, "A WebSocket handshake has no content.", "RFC 6455 section 4.1");
    public static readonly ProtocolError VersionRepeated = new(400, "Sec-WebSocket-Version is repeated.", "RFC 6455 section 11.3.5");
    public static readonly ProtocolError VersionUnsupported = new(426, "Sec-WebSocket-Version must be 13.", "RFC 6455 section 4.2.2");
    public static readonly ProtocolError KeyMissingOrRepeated = new(400, "Sec-WebSocket-Key must be sent once.", "RFC 6455 section 11.3.1");
    public static readonly ProtocolError KeyMalformed = new(400, "Sec-WebSocket-Key must be 16 bytes in base64.", "RFC 6455 section 4.2.1");
    public static readonly ProtocolError SubprotocolMalformed = new(400, "A subprotocol is not a token, or none is named.", "RFC 6455 section 4.1");
    public static readonly ProtocolError SubprotocolRepeated = new(400, "A subprotocol is named twice.", "RFC 6455 section 4.1");
    public static readonly ProtocolError SubprotocolsTooMany = new(400, "More than 32 subprotocols are named.");
    public static readonly ProtocolError BearerTokenRepeated = new(400, "More than one subprotocol carries a token.");

    private static ReadOnlySpan<byte> Guid => "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"u8;

    /// <summary>
    /// Whether the request asks for WebSocket at all, rightly or not: also one whose Upgrade is missing or misspelt, since its
    /// sender may have begun to send frames, which must not be read as a request. In HTTP/1.0 as well, where Upgrade must be
    /// ignored (RFC 9110 section 7.8), for that reason.
    /// </summary>
    public static bool IsUpgrade(RequestHead head) => head.HasListToken("upgrade"u8, "websocket"u8)
        || head.TryGetField("sec-websocket-key"u8, out _)
        || head.TryGetField("sec-websocket-version"u8, out _);

    /// <summary>Checks a complete head against RFC 6455 section 4.2.1. Host was required by the request parser.</summary>
    /// <param name="head">Must stay as it is while <paramref name="handshake"/> is used.</param>
    /// <param name="handshake">The default value when false.</param>
    /// <param name="error">A value of this class when false. Answer it with <see cref="WriteRefusalFields"/>.</param>
    public static bool TryRead(RequestHead head, out OpeningHandshake handshake, out ProtocolError error)
    {
        handshake = default;
        error = WhyNoHandshake(head);
        if (!error.IsNone)
        {
            return false;
        }

        error = ReadKey(head, out ReadOnlySpan<byte> key);
        if (error.IsNone)
        {
            error = ReadSubprotocols(head, key, out handshake);
        }

        return error.IsNone;
    }

    /// <summary>Writes the 101 response. Everything after it on the connection, in both directions, is frames.</summary>
    /// <param name="output">Where the response goes.</param>
    /// <param name="handshake">As it was read.</param>
    /// <param name="deflate">What <see cref="DeflateParameters.TryNegotiate"/> agreed on; null for no extension.</param>
    public static void WriteAccepted(IBufferWriter<byte> output, OpeningHandshake handshake, DeflateParameters? deflate = null)
    {
        Span<byte> accept = stackalloc byte[AcceptBytes];
        ComputeAccept(handshake.Key, accept);
        output.Write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "u8);
        output.Write(accept);
        if (handshake.OffersChatV1)
        {
            output.Write("\r\nSec-WebSocket-Protocol: chat.v1"u8);
        }

        if (deflate is { } parameters)
        {
            output.Write("\r\nSec-WebSocket-Extensions: "u8);
            parameters.Write(output);
        }

        output.Write("\r\n\r\n"u8);
    }

    /// <summary>Adds the fields that the response to a refused handshake must have: the version we speak, in a 426.</summary>
    public static void WriteRefusalFields(ref ResponseWriter response, ProtocolError error)
    {
        if (error.Code == VersionUnsupported.Code)
        {
            // A 426 must name the protocol to upgrade to (RFC 9110 section 15.5.22), and Upgrade goes with its
            // connection option (section 7.8), beside the "close" that may be there already.
            response.WriteField("Upgrade"u8, "websocket"u8);
            response.WriteField("Connection"u8, "Upgrade"u8);
            response.WriteField("Sec-WebSocket-Version"u8, "13"u8);
        }
    }

    /// <summary>Sec-WebSocket-Accept for a key: base64(SHA-1(key + GUID)) (RFC 6455 section 4.2.2 step 5.4).</summary>
    /// <param name="key">24 bytes, as checked by <see cref="TryRead"/>.</param>
    /// <param name="accept">At least <see cref="AcceptBytes"/> long.</param>
    [SuppressMessage("Security", "CA5350", Justification = "RFC 6455 prescribes SHA-1; it protects nothing here.")]
    public static void ComputeAccept(ReadOnlySpan<byte> key, Span<byte> accept)
    {
        Invariant.Require(key.Length == KeyBytes);
        Span<byte> keyAndGuid = stackalloc byte[KeyBytes + Guid.Length];
        key.CopyTo(keyAndGuid);
        Guid.CopyTo(keyAndGuid[KeyBytes..]);
        Span<byte> hash = stackalloc byte[SHA1.HashSizeInBytes];
        SHA1.HashData(keyAndGuid, hash);
        OperationStatus status = Base64.EncodeToUtf8(hash, accept, out _, out int written);
        Invariant.Require(status == OperationStatus.Done && written == AcceptBytes);
    }

    private static ProtocolError WhyNoHandshake(RequestHead head)
    {
        if (head.Method != RequestMethod.Get)
        {
            return NotGet;
        }

        if (head.VersionMinor != 1)
        {
            return NotHttp11;
        }

        if (!head.HasListToken("upgrade"u8, "websocket"u8))
        {
            return UpgradeMissing;
        }

        if (!head.HasListToken("connection"u8, "upgrade"u8))
        {
            return ConnectionUpgradeMissing;
        }

        if (head.HasContent)
        {
            // Its bytes would be read as frames.
            return ContentNotAllowed;
        }

        // Before the key: a client of another version may have other rules for it.
        return head.CountFields("sec-websocket-version"u8) > 1 ? VersionRepeated
            : head.TryGetField("sec-websocket-version"u8, out ReadOnlySpan<byte> version) && version.SequenceEqual("13"u8) ? default
            : VersionUnsupported;
    }

    private static ProtocolError ReadKey(RequestHead head, out ReadOnlySpan<byte> key)
    {
        head.TryGetField("sec-websocket-key"u8, out key);
        if (head.CountFields("sec-websocket-key"u8) != 1)
        {
            return KeyMissingOrRepeated;
        }

        Span<byte> decoded = stackalloc byte[KeyBytes];
        // The decoder skips whitespace, but 24 bytes of which some are whitespace cannot decode to 16.
        bool isWellFormed = key.Length == KeyBytes
            && Base64.DecodeFromUtf8(key, decoded, out _, out int count) == OperationStatus.Done
            && count == KeyBytesDecoded;
        return isWellFormed ? default : KeyMalformed;
    }

    private static ProtocolError ReadSubprotocols(RequestHead head, ReadOnlySpan<byte> key, out OpeningHandshake handshake)
    {
        handshake = default;
        bool offersChatV1 = false;
        ReadOnlySpan<byte> bearerToken = default;
        int count = 0;
        Span<int> hashes = stackalloc int[SubprotocolsMax];
        ListElements offered = head.ListElements("sec-websocket-protocol"u8);
        while (offered.TryGetNext(out ReadOnlySpan<byte> subprotocol))
        {
            if (subprotocol.ContainsAnyExcept(CharacterSets.Token))
            {
                return SubprotocolMalformed;
            }

            if (count == SubprotocolsMax)
            {
                return SubprotocolsTooMany;
            }

            offersChatV1 |= subprotocol.SequenceEqual("chat.v1"u8);
            if (subprotocol.StartsWith("bearer."u8))
            {
                if (!bearerToken.IsEmpty)
                {
                    return BearerTokenRepeated; // Which of them counts would be a guess.
                }

                bearerToken = subprotocol["bearer."u8.Length..];
            }

            int hash = Hash(subprotocol);
            // Only one that has been seen, or all but surely so, is looked for: the walk passes empty elements, of which there may be any number.
            if (hashes[..count].Contains(hash) && IsAmongFirst(head, count, subprotocol))
            {
                return SubprotocolRepeated;
            }

            hashes[count++] = hash;
        }

        if (count == 0 && head.TryGetField("sec-websocket-protocol"u8, out _))
        {
            return SubprotocolMalformed; // The field is a list of at least one.
        }

        handshake = new OpeningHandshake(key, offersChatV1, bearerToken);
        return default;
    }

    private static int Hash(ReadOnlySpan<byte> subprotocol)
    {
        var hash = new HashCode(); // Seeded: nobody can prepare two that collide.
        hash.AddBytes(subprotocol);
        return hash.ToHashCode();
    }

    /// <summary>Whether one of the first <paramref name="count"/> subprotocols is the same, letter for letter.</summary>
    private static bool IsAmongFirst(RequestHead head, int count, ReadOnlySpan<byte> subprotocol)
    {
        ListElements offered = head.ListElements("sec-websocket-protocol"u8);
        for (int index = 0; index < count && offered.TryGetNext(out ReadOnlySpan<byte> earlier); index++)
        {
            if (earlier.SequenceEqual(subprotocol))
            {
                return true;
            }
        }

        return false;
    }
}
