namespace Chat.Server.Transport;

/// <summary>An epoll(7): what a shard waits for. Made anywhere, used by the shard's thread.</summary>
internal sealed unsafe class Epoll : IDisposable
{
    private readonly int _fd = Libc.epoll_create1(Libc.EPOLL_CLOEXEC);

    /// <exception cref="IOException">There is no descriptor left.</exception>
    public Epoll()
    {
        if (_fd < 0)
        {
            throw Libc.Failure("epoll_create1");
        }
    }

    /// <summary>Begins to watch a descriptor; its events bring the token. False when the kernel has no memory for it, or no watch left.</summary>
    public bool TryAdd(int fd, uint events, ulong token) => Control(Libc.EPOLL_CTL_ADD, fd, events, token) == 0;

    /// <exception cref="IOException">The kernel has no memory for it, or no watch left.</exception>
    public void Add(int fd, uint events, ulong token) => Require(Control(Libc.EPOLL_CTL_ADD, fd, events, token));

    /// <summary>Waits for other events of a descriptor that is watched; for none, its watch rests.</summary>
    public void Change(int fd, uint events, ulong token) => Require(Control(Libc.EPOLL_CTL_MOD, fd, events, token));

    /// <summary>Ends the watch. Closing the descriptor does that, too.</summary>
    public void Remove(int fd) => _ = Libc.epoll_ctl(_fd, Libc.EPOLL_CTL_DEL, fd, null);

    /// <summary>Events written, as the kernel lays them out (<see cref="Libc.EpollEventBytes"/>), or negative with an errno.</summary>
    public int Wait(byte* events, int eventsMax, int timeoutMs) => Libc.epoll_wait(_fd, events, eventsMax, timeoutMs);

    public void Dispose() => _ = Libc.close(_fd);

    private static void Require(int result)
    {
        if (result < 0)
        {
            throw Libc.Failure("epoll_ctl");
        }
    }

    private int Control(int operation, int fd, uint events, ulong token)
    {
        byte* entry = stackalloc byte[16];
        *(uint*)entry = events;
        *(ulong*)(entry + Libc.EpollEventDataOffset) = token;
        return Libc.epoll_ctl(_fd, operation, fd, entry);
    }
}
