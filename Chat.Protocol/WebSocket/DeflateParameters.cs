using System.Buffers;
using System.Text;
using Chat.Protocol.Http;

namespace Chat.Protocol.WebSocket;

/// <summary>Which contexts a server keeps from one message to the next, when a client lets it choose.</summary>
public enum ContextTakeover : byte
{
    /// <summary>Neither side's: an idle connection holds nothing, and one compressed message suits many connections.</summary>
    None,

    /// <summary>Both sides', except where the client offered to do without.</summary>
    AsOffered,
}

/// <summary>
/// What permessage-deflate was agreed on (RFC 7692 section 7.1). A small value, to be kept where messages are read and written.
/// </summary>
/// <param name="ServerNoContextTakeover">No message of the server refers to an earlier one.</param>
/// <param name="ClientNoContextTakeover">No message of the client refers to an earlier one.</param>
/// <param name="ServerWindowBits">
/// How far back the server may refer, as a power of two: 8 to 15. With 8 it sends uncompressed: <see cref="Deflater.WindowBitsMin"/>.
/// </param>
/// <param name="NamesServerWindow">The client limited the server's window, and the answer has to confirm it.</param>
public readonly record struct DeflateParameters(
    bool ServerNoContextTakeover, bool ClientNoContextTakeover, byte ServerWindowBits, bool NamesServerWindow)
{
    private const byte WindowBitsMin = 8;
    private const byte WindowBitsMax = 15;

    /// <summary>Sec-WebSocket-Extensions is not what RFC 6455 section 9.1 says; that fails the handshake.</summary>
    public static readonly ProtocolError ExtensionsMalformed = new(400, "Sec-WebSocket-Extensions is malformed.", "RFC 6455 section 9.1");

    /// <summary>The first offer of a client that can be met, in the client's order of preference (RFC 7692 section 5.1).</summary>
    /// <param name="head">The request.</param>
    /// <param name="takeover">What the server prefers.</param>
    /// <param name="agreed">Null when there is no offer of this extension that is valid: go on without it.</param>
    /// <returns>False when the field is malformed: <see cref="ExtensionsMalformed"/>.</returns>
    public static bool TryNegotiate(RequestHead head, ContextTakeover takeover, out DeflateParameters? agreed)
    {
        agreed = null;
        Span<byte> valueSpace = stackalloc byte[ExtensionScanner.ValueBytesMax];
        for (int i = 0; i < head.FieldCount; i++)
        {
            FieldView field = head.Field(i);
            if (!Ascii.EqualsIgnoreCase(field.Name, "sec-websocket-extensions"u8))
            {
                continue;
            }

            // An extension may be listed over several lines (RFC 6455 section 9.1); a list element never is.
            var offers = new ExtensionScanner(field.Value, valueSpace);
            while (offers.TryReadExtension(out ReadOnlySpan<byte> name))
            {
                bool isOurs = Ascii.EqualsIgnoreCase(name, "permessage-deflate"u8);
                bool isValid = TryReadOffer(ref offers, takeover, out DeflateParameters offer);
                if (isOurs && isValid && !offers.IsMalformed)
                {
                    agreed ??= offer;
                }
            }

            if (offers.IsMalformed)
            {
                agreed = null;
                return false;
            }
        }

        return true;
    }

    /// <summary>Writes the value of the server's Sec-WebSocket-Extensions.</summary>
    public void Write(IBufferWriter<byte> output)
    {
        output.Write("permessage-deflate"u8);
        if (ServerNoContextTakeover)
        {
            output.Write("; server_no_context_takeover"u8);
        }

        if (ClientNoContextTakeover)
        {
            output.Write("; client_no_context_takeover"u8);
        }

        if (NamesServerWindow)
        {
            output.Write("; server_max_window_bits="u8);
            if (ServerWindowBits >= 10)
            {
                output.Write("1"u8);
            }

            output.Write([(byte)('0' + (ServerWindowBits % 10))]);
        }
    }

    /// <summary>
    /// Reads an offer's parameters, all of them. False when one is unknown, there twice, or has a value that it may not have: such an
    /// offer is declined, and the next one is looked at (RFC 7692 section 7.1).
    /// </summary>
    private static bool TryReadOffer(ref ExtensionScanner offers, ContextTakeover takeover, out DeflateParameters offer)
    {
        bool isValid = true;
        bool serverNoContext = false;
        bool clientNoContext = false;
        bool clientWindow = false;
        byte serverWindowBits = 0;
        while (offers.TryReadParameter(out ReadOnlySpan<byte> name, out bool hasValue, out ReadOnlySpan<byte> value))
        {
            if (Ascii.EqualsIgnoreCase(name, "server_no_context_takeover"u8))
            {
                isValid &= !serverNoContext && !hasValue;
                serverNoContext = true;
            }
            else if (Ascii.EqualsIgnoreCase(name, "client_no_context_takeover"u8))
            {
                isValid &= !clientNoContext && !hasValue;
                clientNoContext = true;
            }
            else if (Ascii.EqualsIgnoreCase(name, "client_max_window_bits"u8))
            {
                // Nothing follows from it: the inflater takes the largest window whatever the client uses.
                isValid &= !clientWindow && (!hasValue || TryReadWindowBits(value, out _));
                clientWindow = true;
            }
            else if (Ascii.EqualsIgnoreCase(name, "server_max_window_bits"u8))
            {
                isValid &= TryReadWindowBits(value, out byte bits) && serverWindowBits == 0;
                serverWindowBits = bits;
            }
            else
            {
                isValid = false;
            }
        }

        bool keepsNone = takeover == ContextTakeover.None;
        bool namesWindow = serverWindowBits != 0;
        offer = new DeflateParameters(
            serverNoContext || keepsNone, clientNoContext || keepsNone, namesWindow ? serverWindowBits : WindowBitsMax, namesWindow);
        return isValid;
    }

    /// <summary>8 to 15 without leading zeros (RFC 7692 section 7.1.2).</summary>
    private static bool TryReadWindowBits(ReadOnlySpan<byte> value, out byte bits)
    {
        bits = value switch
        {
            [>= (byte)'8' and <= (byte)'9'] => (byte)(value[0] - '0'),
            [(byte)'1', >= (byte)'0' and <= (byte)'5'] => (byte)(10 + value[1] - '0'),
            _ => 0,
        };
        return bits is >= WindowBitsMin and <= WindowBitsMax;
    }
}
