using System.Runtime.InteropServices;

namespace Chat.LoadTests.Clients;

/// <summary>The kernel's calls that <see cref="EpollSockets"/> makes. Names and numbers are those of Linux; each constant names its header.</summary>
internal static unsafe partial class Libc
{
    // asm-generic/errno-base.h, asm-generic/errno.h
    public const int EINTR = 4;
    public const int EAGAIN = 11;
    public const int ENOSYS = 38;
    public const int EINPROGRESS = 115;

    // sys/epoll.h
    public const int EPOLL_CLOEXEC = 0x80000;
    public const int EPOLL_CTL_ADD = 1;
    public const uint EPOLLIN = 0x001;
    public const uint EPOLLOUT = 0x004;
    public const uint EPOLLERR = 0x008;
    public const uint EPOLLHUP = 0x010;
    public const uint EPOLLRDHUP = 0x2000;
    public const uint EPOLLET = 1u << 31;

    // bits/socket.h, bits/socket_type.h
    public const int AF_INET = 2;
    public const int AF_INET6 = 10;
    public const int SOCK_STREAM = 1;
    public const int SOCK_NONBLOCK = 0x800;
    public const int SOCK_CLOEXEC = 0x80000;
    public const int MSG_DONTWAIT = 0x40;
    public const int MSG_NOSIGNAL = 0x4000;

    // asm-generic/socket.h, netinet/tcp.h
    public const int SOL_SOCKET = 1;
    public const int SO_ERROR = 4;
    public const int SO_RCVBUF = 8;
    public const int SO_LINGER = 13;
    public const int IPPROTO_TCP = 6;
    public const int TCP_NODELAY = 1;

    // linux/prctl.h, bits/resource.h
    public const int PR_SET_TIMERSLACK = 29;
    public const int RLIMIT_NOFILE = 7;

    /// <summary>struct epoll_event is packed on x86-64 and nowhere else (bits/epoll.h).</summary>
    public static readonly int EpollEventBytes = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 12 : 16;

    public static readonly int EpollEventDataOffset = EpollEventBytes - sizeof(ulong);

    public static int LastError => Marshal.GetLastPInvokeError();

    [LibraryImport("libc", SetLastError = true)]
    public static partial int socket(int domain, int type, int protocol);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int connect(int fd, byte* address, int addressBytes);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int epoll_create1(int flags);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int epoll_ctl(int epoll, int operation, int fd, byte* epollEvent);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int epoll_wait(int epoll, byte* events, int eventsMax, int timeoutMs);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int epoll_pwait2(int epoll, byte* events, int eventsMax, long* timespec, void* signalMask);

    [LibraryImport("libc", SetLastError = true)]
    public static partial nint recv(int fd, byte* buffer, nint count, int flags);

    [LibraryImport("libc", SetLastError = true)]
    public static partial nint send(int fd, byte* buffer, nint count, int flags);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int close(int fd);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int setsockopt(int fd, int level, int name, int* value, int valueBytes);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int getsockopt(int fd, int level, int name, int* value, int* valueBytes);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int getrlimit(int resource, nuint* softAndHard);

    // Variadic in C; with integers only, the call is the same on every ABI of Linux that .NET runs on.
    [LibraryImport("libc", SetLastError = true)]
    public static partial int prctl(int option, nuint argument);

    /// <summary>What the last call complained of, as a sentence's end.</summary>
    public static string ErrorText(int error) => Marshal.GetPInvokeErrorMessage(error);
}
