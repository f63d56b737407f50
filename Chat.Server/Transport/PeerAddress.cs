using System.Buffers.Binary;
using System.Net;

namespace Chat.Server.Transport;

/// <summary>Reads a socket's peer address from the kernel: struct sockaddr_in and sockaddr_in6 (netinet/in.h).</summary>
internal static unsafe class PeerAddress
{
    private const int SockaddrStorageBytes = 128;
    private const ushort AddressFamilyInet = 2;
    private const ushort AddressFamilyInet6 = 10;

    /// <summary>Null when the descriptor is closed or the family is another one.</summary>
    public static EndPoint? Of(int fd)
    {
        byte* address = stackalloc byte[SockaddrStorageBytes];
        int length = SockaddrStorageBytes;
        if (fd < 0 || Libc.getpeername(fd, address, &length) < 0)
        {
            return null;
        }

        var bytes = new ReadOnlySpan<byte>(address, length);
        int port = BinaryPrimitives.ReadUInt16BigEndian(bytes[2..]);
        return *(ushort*)address switch
        {
            AddressFamilyInet => new IPEndPoint(new IPAddress(bytes.Slice(4, 4)), port),
            AddressFamilyInet6 => new IPEndPoint(new IPAddress(bytes.Slice(8, 16)), port),
            _ => null,
        };
    }
}
