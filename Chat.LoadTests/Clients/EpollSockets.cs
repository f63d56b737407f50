using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Runtime.CompilerServices;

namespace Chat.LoadTests.Clients;

/// <summary>
/// Bare descriptors under an edge-triggered epoll: one system call for a wait, one for a receive, and nothing of
/// System.Net.Sockets between. A handle is the descriptor. Unsafe only where the kernel is given an address: every span is
/// pinned for the length of its call.
/// </summary>
internal sealed unsafe class EpollSockets : SocketSet
{
    private const int EventsMax = 1024;
    private const int Ipv4AddressBytes = 16; // sizeof(struct sockaddr_in)
    private const int Ipv6AddressBytes = 28; // sizeof(struct sockaddr_in6)
    private const long NsPerSecond = 1_000_000_000;
    private const long NsPerMs = 1_000_000;

    private readonly byte[] _events = new byte[EventsMax * Libc.EpollEventBytes];
    private readonly int _epoll;
    private bool _waitsInMs;

    public EpollSockets()
    {
        _epoll = Libc.epoll_create1(Libc.EPOLL_CLOEXEC);
        if (_epoll < 0)
        {
            throw new IOException($"epoll_create1: {Libc.ErrorText(Libc.LastError)}");
        }
    }

    /// <summary>Lets waits of the calling thread end within a microsecond of their time; the kernel's default is 50.</summary>
    public static void SharpenTimers() => _ = Libc.prctl(Libc.PR_SET_TIMERSLACK, 1);

    public override int Connect(IPEndPoint address, int tag, int receiveBufferBytes)
    {
        bool isIpv6 = address.AddressFamily == AddressFamily.InterNetworkV6;
        int fd = Libc.socket(
            isIpv6 ? Libc.AF_INET6 : Libc.AF_INET, Libc.SOCK_STREAM | Libc.SOCK_NONBLOCK | Libc.SOCK_CLOEXEC, 0);
        if (fd < 0)
        {
            return Fail();
        }

        SetOption(fd, Libc.IPPROTO_TCP, Libc.TCP_NODELAY, 1);
        if (receiveBufferBytes > 0)
        {
            SetOption(fd, Libc.SOL_SOCKET, Libc.SO_RCVBUF, receiveBufferBytes);
        }

        int* linger = stackalloc int[] { 1, 0 }; // On, 0 seconds: a close is a reset.
        _ = Libc.setsockopt(fd, Libc.SOL_SOCKET, Libc.SO_LINGER, linger, 2 * sizeof(int));

        byte* socketAddress = stackalloc byte[Ipv6AddressBytes];
        Unsafe.InitBlock(socketAddress, 0, Ipv6AddressBytes);
        WriteAddress(new Span<byte>(socketAddress, Ipv6AddressBytes), address, isIpv6);
        byte* epollEvent = stackalloc byte[16];
        Unsafe.WriteUnaligned(epollEvent, Libc.EPOLLIN | Libc.EPOLLOUT | Libc.EPOLLRDHUP | Libc.EPOLLET);
        Unsafe.WriteUnaligned(epollEvent + Libc.EpollEventDataOffset, (ulong)tag);
        if ((Libc.connect(fd, socketAddress, isIpv6 ? Ipv6AddressBytes : Ipv4AddressBytes) != 0 && Libc.LastError != Libc.EINPROGRESS)
            || Libc.epoll_ctl(_epoll, Libc.EPOLL_CTL_ADD, fd, epollEvent) != 0)
        {
            int failed = Fail();
            _ = Libc.close(fd);
            return failed;
        }

        return fd;
    }

    public override string? ConnectError(int handle)
    {
        int error = 0;
        int bytes = sizeof(int);
        _ = Libc.getsockopt(handle, Libc.SOL_SOCKET, Libc.SO_ERROR, &error, &bytes);
        return error == 0 ? null : Libc.ErrorText(error);
    }

    public override int Receive(int handle, Span<byte> buffer)
    {
        fixed (byte* start = buffer)
        {
            nint received = Libc.recv(handle, start, buffer.Length, Libc.MSG_DONTWAIT);
            return received >= 0 ? (int)received : Fail();
        }
    }

    public override int Send(int handle, ReadOnlySpan<byte> bytes)
    {
        fixed (byte* start = bytes)
        {
            nint sent = Libc.send(handle, start, bytes.Length, Libc.MSG_DONTWAIT | Libc.MSG_NOSIGNAL);
            return sent >= 0 ? (int)sent : Fail();
        }
    }

    public override void Close(int handle) => _ = Libc.close(handle);

    public override int Wait(Span<SocketEvent> ready, long timeoutNs)
    {
        int count;
        fixed (byte* events = _events)
        {
            count = WaitForEvents(events, Math.Min(ready.Length, EventsMax), timeoutNs);
        }

        for (int i = 0; i < count; i++)
        {
            ref byte epollEvent = ref _events[i * Libc.EpollEventBytes];
            uint flags = Unsafe.ReadUnaligned<uint>(ref epollEvent);
            int tag = (int)Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref epollEvent, Libc.EpollEventDataOffset));
            bool ended = (flags & (Libc.EPOLLERR | Libc.EPOLLHUP | Libc.EPOLLRDHUP)) != 0;
            ready[i] = new SocketEvent(tag, ended || (flags & Libc.EPOLLIN) != 0, ended || (flags & Libc.EPOLLOUT) != 0, ended);
        }

        return count;
    }

    public override void Dispose() => _ = Libc.close(_epoll);

    private int WaitForEvents(byte* events, int eventsMax, long timeoutNs)
    {
        int count = -1;
        if (!_waitsInMs)
        {
            long* timespec = stackalloc long[] { timeoutNs / NsPerSecond, timeoutNs % NsPerSecond };
            try
            {
                count = Libc.epoll_pwait2(_epoll, events, eventsMax, timespec, null);
                _waitsInMs = count < 0 && Libc.LastError == Libc.ENOSYS;
            }
            catch (EntryPointNotFoundException)
            {
                _waitsInMs = true; // A C library before glibc 2.35, or a kernel before 5.11: rates are kept, but in steps of a millisecond.
            }
        }

        if (_waitsInMs)
        {
            count = Libc.epoll_wait(_epoll, events, eventsMax, (int)((timeoutNs + NsPerMs - 1) / NsPerMs));
        }

        if (count < 0 && Libc.LastError != Libc.EINTR)
        {
            throw new IOException($"epoll_wait: {Libc.ErrorText(Libc.LastError)}");
        }

        return Math.Max(count, 0);
    }

    private static void WriteAddress(Span<byte> socketAddress, IPEndPoint address, bool isIpv6)
    {
        BitConverter.TryWriteBytes(socketAddress, (ushort)(isIpv6 ? Libc.AF_INET6 : Libc.AF_INET));
        BinaryPrimitives.WriteUInt16BigEndian(socketAddress[2..], (ushort)address.Port);
        address.Address.TryWriteBytes(socketAddress[(isIpv6 ? 8 : 4)..], out _);
    }

    private static void SetOption(int fd, int level, int name, int value) => _ = Libc.setsockopt(fd, level, name, &value, sizeof(int));

    private int Fail()
    {
        int error = Libc.LastError;
        if (error is Libc.EAGAIN or Libc.EINTR)
        {
            return WouldBlock;
        }

        LastError = Libc.ErrorText(error);
        return Broken;
    }
}
