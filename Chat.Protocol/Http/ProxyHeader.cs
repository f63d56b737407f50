using System.Buffers;
using System.Buffers.Binary;
using System.Net;

namespace Chat.Protocol.Http;

/// <summary>
/// The PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt): what a proxy sends before the first byte of a
/// client's connection, to say whose it is. To be read only from a proxy that is known to send it.
/// </summary>
public static class ProxyHeader
{
    public static readonly ProtocolError Malformed = new(400, "The PROXY header is malformed.");

    // "PROXY UNKNOWN" with two of the longest addresses, as the specification counts them.
    private const int TextBytesMax = 107;
    private const int BinaryHeaderBytes = 16;

    /// <summary>Addresses take 36 bytes, or 216 for local ones; the rest are vectors such as the TLS ones. Beyond it is no proxy.</summary>
    private const int BinaryPayloadBytesMax = 2048;

    // The highest values of version 2's families (AF_UNIX) and transports (DGRAM).
    private const int BinaryFamilyMax = 3;
    private const int BinaryTransportMax = 2;

    private static ReadOnlySpan<byte> Signature => "\r\n\r\n\0\r\nQUIT\n"u8;

    private static ReadOnlySpan<byte> TextStart => "PROXY "u8;

    /// <summary>Takes one header off the front of the input, if all of it is there.</summary>
    /// <param name="input">Everything received so far.</param>
    /// <param name="consumed">The end of the header when Complete, else the start.</param>
    /// <param name="source">When Complete: the client; null when the proxy speaks for itself (LOCAL) or does not know (UNKNOWN).</param>
    public static ParseStatus TryParse(in ReadOnlySequence<byte> input, out SequencePosition consumed, out IPAddress? source)
    {
        source = null;
        consumed = input.Start;
        // At most as much as one header can have: what follows is the client's.
        int length = (int)Math.Min(input.Length, BinaryHeaderBytes + BinaryPayloadBytesMax);
        Span<byte> bytes = stackalloc byte[length];
        input.Slice(0, length).CopyTo(bytes);
        int used = 0;
        ParseStatus status =
            StartsAlike(bytes, Signature) ? ParseBinary(bytes, out used, out source) :
            StartsAlike(bytes, TextStart) ? ParseText(bytes, out used, out source) :
            ParseStatus.Invalid;
        if (status == ParseStatus.Complete)
        {
            consumed = input.GetPosition(used);
        }

        return status;
    }

    private static bool StartsAlike(ReadOnlySpan<byte> bytes, ReadOnlySpan<byte> start)
    {
        int length = Math.Min(bytes.Length, start.Length);
        return bytes[..length].SequenceEqual(start[..length]);
    }

    /// <summary>"PROXY" SP ("TCP4" | "TCP6") SP source SP destination SP port SP port CRLF; or "PROXY UNKNOWN" anything CRLF.</summary>
    private static ParseStatus ParseText(ReadOnlySpan<byte> bytes, out int used, out IPAddress? source)
    {
        used = 0;
        source = null;
        ReadOnlySpan<byte> window = bytes.Length > TextBytesMax ? bytes[..TextBytesMax] : bytes;
        int lf = window.IndexOf((byte)'\n');
        if (lf < 0)
        {
            return bytes.Length < TextBytesMax ? ParseStatus.NeedMore : ParseStatus.Invalid;
        }

        if (lf == 0 || window[lf - 1] != '\r' || window[..(lf - 1)].ContainsAny(CharacterSets.Control))
        {
            return ParseStatus.Invalid;
        }

        used = lf + 1;
        ReadOnlySpan<byte> rest = window[TextStart.Length..(lf - 1)];
        ReadOnlySpan<byte> family = TakeWord(ref rest);
        if (family.SequenceEqual("UNKNOWN"u8))
        {
            return ParseStatus.Complete;
        }

        bool isIPv6 = family.SequenceEqual("TCP6"u8);
        ReadOnlySpan<byte> from = TakeWord(ref rest);
        ReadOnlySpan<byte> to = TakeWord(ref rest);
        ReadOnlySpan<byte> fromPort = TakeWord(ref rest);
        bool isSound = (isIPv6 || family.SequenceEqual("TCP4"u8))
            && from.Contains((byte)':') == isIPv6 && to.Contains((byte)':') == isIPv6
            && HostAddress.TryParse(to, out _) && IsPort(fromPort) && IsPort(rest);
        return isSound && HostAddress.TryParse(from, out source) ? ParseStatus.Complete : ParseStatus.Invalid;
    }

    private static ParseStatus ParseBinary(ReadOnlySpan<byte> bytes, out int used, out IPAddress? source)
    {
        used = 0;
        source = null;
        if (bytes.Length < BinaryHeaderBytes)
        {
            return ParseStatus.NeedMore;
        }

        int version = bytes[12] >> 4;
        int command = bytes[12] & 0xF;
        int length = BinaryPrimitives.ReadUInt16BigEndian(bytes[14..]);
        if (version != 2 || command > 1 || length > BinaryPayloadBytesMax)
        {
            return ParseStatus.Invalid;
        }

        used = BinaryHeaderBytes + length;
        if (bytes.Length < used)
        {
            return ParseStatus.NeedMore;
        }

        ReadOnlySpan<byte> addresses = bytes[BinaryHeaderBytes..used];
        (int addressBytes, int pairBytes) = (bytes[13] >> 4) switch { 1 => (4, 12), 2 => (16, 36), _ => (0, 0) };
        if (command == 0)
        {
            return ParseStatus.Complete; // LOCAL: of the proxy's own, whatever the rest says.
        }

        if (bytes[13] >> 4 > BinaryFamilyMax || (bytes[13] & 0xF) > BinaryTransportMax)
        {
            return ParseStatus.Invalid; // Section 2.2: to be rejected.
        }

        if (addressBytes == 0)
        {
            return ParseStatus.Complete; // A family without an IP address.
        }

        if (addresses.Length < pairBytes)
        {
            return ParseStatus.Invalid;
        }

        source = new IPAddress(addresses[..addressBytes]);
        source = source.IsIPv4MappedToIPv6 ? source.MapToIPv4() : source;
        return ParseStatus.Complete;
    }

    private static ReadOnlySpan<byte> TakeWord(ref ReadOnlySpan<byte> rest)
    {
        int space = rest.IndexOf((byte)' ');
        ReadOnlySpan<byte> word = space < 0 ? rest : rest[..space];
        rest = space < 0 ? default : rest[(space + 1)..];
        return word;
    }

    /// <summary>As section 2.1 has it: without leading zeros.</summary>
    private static bool IsPort(ReadOnlySpan<byte> text) =>
        DecimalDigits.TryParse(text, out long port) && port <= ushort.MaxValue && (text.Length == 1 || text[0] != '0');
}
