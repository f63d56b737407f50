using System.Buffers.Binary;
using System.Net;
using System.Runtime.InteropServices;

namespace Chat.Server.Transport;

/// <summary>Reads a socket's peer address as the kernel gives it: struct sockaddr_in and sockaddr_in6 (netinet/in.h).</summary>
internal static unsafe class PeerAddress
{
    /// <summary>Of any address: struct sockaddr_storage.</summary>
    public const int BytesMax = 128;

    private const ushort AddressFamilyInet = 2;
    private const ushort AddressFamilyInet6 = 10;

    /// <summary>Null when the descriptor is closed or the family is another one.</summary>
    public static EndPoint? Of(int fd)
    {
        byte* address = stackalloc byte[BytesMax];
        int length = BytesMax;
        return fd < 0 || Libc.getpeername(fd, address, &length) < 0 ? null : Read(new ReadOnlySpan<byte>(address, length));
    }

    /// <summary>Null for another family.</summary>
    /// <param name="address">As accept(2) or getpeername(2) wrote it.</param>
    public static EndPoint? Read(ReadOnlySpan<byte> address) => MemoryMarshal.Read<ushort>(address) switch
    {
        AddressFamilyInet => new IPEndPoint(new IPAddress(address.Slice(4, 4)), Port(address)),
        AddressFamilyInet6 => new IPEndPoint(new IPAddress(address.Slice(8, 16)), Port(address)),
        _ => null,
    };

    private static int Port(ReadOnlySpan<byte> address) => BinaryPrimitives.ReadUInt16BigEndian(address[2..]);
}
