using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace Chat.Server.Connections;

/// <summary>
/// What limits per address count by: an IPv4 address, or the first 64 bits of an IPv6 one, since whoever has one such address
/// has all 2^64 of its network (RFC 6177).
/// </summary>
internal readonly record struct AddressKey(ulong Value, bool IsIPv6)
{
    public static AddressKey Of(IPAddress address)
    {
        Span<byte> bytes = stackalloc byte[16];
        address.TryWriteBytes(bytes, out _);
        return address.AddressFamily == AddressFamily.InterNetworkV6
            ? new AddressKey(BinaryPrimitives.ReadUInt64BigEndian(bytes), true)
            : new AddressKey(BinaryPrimitives.ReadUInt32BigEndian(bytes), false);
    }
}
