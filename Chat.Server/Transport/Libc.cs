using System.Runtime.InteropServices;

namespace Chat.Server.Transport;

/// <summary>
/// The kernel's calls that the server makes by itself, and nothing else: sockets that are accepted here never become
/// System.Net.Sockets. Names and numbers are those of Linux; each constant names its header.
/// </summary>
internal static unsafe partial class Libc
{
    // asm-generic/errno-base.h, asm-generic/errno.h
    public const int EINTR = 4;
    public const int EAGAIN = 11;
    public const int ENOMEM = 12;
    public const int ENFILE = 23;
    public const int EMFILE = 24;
    public const int EPROTO = 71;
    public const int ECONNABORTED = 103;
    public const int ENOBUFS = 105;

    // sys/epoll.h
    public const int EPOLL_CLOEXEC = 0x80000;
    public const int EPOLL_CTL_ADD = 1;
    public const int EPOLL_CTL_DEL = 2;
    public const int EPOLL_CTL_MOD = 3;
    public const uint EPOLLIN = 0x001;
    public const uint EPOLLOUT = 0x004;
    public const uint EPOLLERR = 0x008;
    public const uint EPOLLHUP = 0x010;
    public const uint EPOLLRDHUP = 0x2000;
    public const uint EPOLLET = 1u << 31;

    // sys/eventfd.h
    public const int EFD_CLOEXEC = 0x80000;
    public const int EFD_NONBLOCK = 0x800;

    // bits/socket_type.h, bits/socket.h
    public const int SOCK_CLOEXEC = 0x80000;
    public const int SOCK_NONBLOCK = 0x800;
    public const int MSG_DONTWAIT = 0x40;
    public const int MSG_NOSIGNAL = 0x4000;
    public const int MSG_TRUNC = 0x20;
    public const int MSG_WAITALL = 0x100;
    public const int SHUT_WR = 1;

    // asm-generic/socket.h, netinet/tcp.h
    public const int SOL_SOCKET = 1;
    public const int SO_SNDBUF = 7;
    public const int IPPROTO_TCP = 6;
    public const int TCP_NODELAY = 1;
    public const int TCP_NOTSENT_LOWAT = 25;

    // linux/sockios.h: bytes of a TCP socket that the kernel has not sent.
    public const nuint SIOCOUTQNSD = 0x894B;

    // bits/fcntl-linux.h
    public const int O_RDONLY = 0;
    public const int O_CLOEXEC = 0x80000;

    // bits/mman-linux.h, bits/mman-map-flags-generic.h
    public const int PROT_READ = 1;
    public const int PROT_WRITE = 2;
    public const int MAP_SHARED = 1;
    public const int MAP_POPULATE = 0x8000;

    // bits/time.h (time.h)
    public const int CLOCK_MONOTONIC = 1;
    public const int TIMER_ABSTIME = 1;

    // bits/resource.h (sys/resource.h)
    public const int PRIO_PROCESS = 0;

    // linux/sched.h
    public const uint SCHED_OTHER = 0;

    // asm/unistd_64.h, asm-generic/unistd.h
    public const nint SYS_sched_setattr_x64 = 314;
    public const nint SYS_sched_setattr_arm64 = 274;

    // asm-generic/unistd.h: the same on every architecture.
    public const nint SYS_io_uring_setup = 425;
    public const nint SYS_io_uring_enter = 426;

    /// <summary>struct epoll_event is packed on x86-64 and nowhere else (bits/epoll.h).</summary>
    public static readonly int EpollEventBytes = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 12 : 16;

    public static readonly int EpollEventDataOffset = EpollEventBytes - sizeof(ulong);

    public static int LastError => Marshal.GetLastPInvokeError();

    [LibraryImport("libc", SetLastError = true)]
    public static partial int epoll_create1(int flags);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int epoll_ctl(int epoll, int operation, int fd, byte* epollEvent);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int epoll_wait(int epoll, byte* events, int eventsMax, int timeoutMs);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int eventfd(uint initial, int flags);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int accept4(int fd, byte* address, int* addressBytes, int flags);

    [LibraryImport("libc", SetLastError = true)]
    public static partial nint recv(int fd, byte* buffer, nint count, int flags);

    [LibraryImport("libc", SetLastError = true)]
    public static partial nint send(int fd, byte* buffer, nint count, int flags);

    [LibraryImport("libc", SetLastError = true)]
    public static partial nint write(int fd, byte* buffer, nint count);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int close(int fd);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int shutdown(int fd, int how);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int setsockopt(int fd, int level, int name, int* value, int valueBytes);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int getpeername(int fd, byte* address, int* addressBytes);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int open(string path, int flags);

    [LibraryImport("libc", SetLastError = true)]
    public static partial nint mmap(nint address, nint length, int protection, int flags, int fd, nint offset);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int munmap(nint address, nint length);

    // Returns the error instead of setting errno.
    [LibraryImport("libc")]
    public static partial int clock_nanosleep(int clock, int flags, long* time, long* left);

    [LibraryImport("libc", SetLastError = true)]
    public static partial int setpriority(int which, uint who, int priority);

    // Variadic in C; see syscall.
    [LibraryImport("libc", SetLastError = true)]
    public static partial int ioctl(int fd, nuint request, int* value);

    // Variadic in C; with integers only, the call is the same on every ABI of Linux that .NET runs on.
    [LibraryImport("libc", SetLastError = true)]
    public static partial nint syscall(nint number, nint a, nint b, nint c, nint d, nint e, nint f);

    /// <summary>Sends what the socket takes now. Bytes sent, or a negative errno.</summary>
    public static int Send(int fd, ReadOnlySpan<byte> bytes)
    {
        fixed (byte* start = bytes)
        {
            nint sent;
            do
            {
                sent = send(fd, start, bytes.Length, MSG_DONTWAIT | MSG_NOSIGNAL);
            }
            while (sent < 0 && LastError == EINTR);
            return sent < 0 ? -LastError : (int)sent;
        }
    }

    /// <summary>Receives what has come. Bytes received, 0 at the end of input, or a negative errno.</summary>
    public static int Receive(int fd, Span<byte> buffer)
    {
        fixed (byte* start = buffer)
        {
            nint received;
            do
            {
                received = recv(fd, start, buffer.Length, MSG_DONTWAIT);
            }
            while (received < 0 && LastError == EINTR);
            return received < 0 ? -LastError : (int)received;
        }
    }

    /// <summary>
    /// Drops at most so many bytes of what has come, without copying them (tcp(7), MSG_TRUNC). Bytes dropped, 0 at the end of input, or a
    /// negative errno.
    /// </summary>
    public static int Discard(int fd, int bytesMax)
    {
        nint dropped;
        do
        {
            dropped = recv(fd, null, bytesMax, MSG_DONTWAIT | MSG_TRUNC);
        }
        while (dropped < 0 && LastError == EINTR);
        return dropped < 0 ? -LastError : (int)dropped;
    }

    /// <summary>Bytes written and not yet sent. 0 when the kernel does not say.</summary>
    public static int Unsent(int fd)
    {
        int bytes = 0;
        return ioctl(fd, SIOCOUTQNSD, &bytes) == 0 ? bytes : 0;
    }

    /// <summary>
    /// Asks for slices of that length for the calling thread, which goes on at that nice value. False where the kernel refuses; one older than
    /// 6.12 takes the call and leaves the slice as it was.
    /// </summary>
    public static bool TrySetSlice(int nice, ulong sliceNs)
    {
        nint number = RuntimeInformation.ProcessArchitecture switch
        {
            Architecture.X64 => SYS_sched_setattr_x64,
            Architecture.Arm64 => SYS_sched_setattr_arm64,
            _ => -1,
        };
        if (number < 0)
        {
            return false;
        }

        var attributes = new SchedAttr { Size = (uint)sizeof(SchedAttr), Policy = SCHED_OTHER, Nice = nice, Runtime = sliceNs };
        return syscall(number, 0, (nint)(&attributes), 0, 0, 0, 0) == 0;
    }

    /// <summary>Blocks until a time of <see cref="System.Diagnostics.Stopwatch"/>, which is the monotonic clock in nanoseconds; a signal may end it early.</summary>
    public static void SleepUntil(long timestamp)
    {
        // struct timespec where time_t is a long, as on every 64-bit Linux.
        long* time = stackalloc long[] { timestamp / 1_000_000_000, timestamp % 1_000_000_000 };
        _ = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, time, null);
    }

    /// <summary>Sets an option that a socket is better with. What stands in for a kernel (a sandbox) and does not know it goes without.</summary>
    public static void SetOption(int fd, int level, int name, int value) => _ = setsockopt(fd, level, name, &value, sizeof(int));

    /// <summary>The exception for a call that must not fail.</summary>
    public static IOException Failure(string call) => new($"{call}: {Marshal.GetPInvokeErrorMessage(LastError)}");

    /// <summary>struct sched_attr, SCHED_ATTR_SIZE_VER0 (linux/sched/types.h).</summary>
    private struct SchedAttr
    {
        public uint Size;
        public uint Policy;
        public ulong Flags;
        public int Nice;
        public uint Priority;
        public ulong Runtime;
        public ulong Deadline;
        public ulong Period;
    }
}
