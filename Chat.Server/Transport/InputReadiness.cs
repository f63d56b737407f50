namespace Chat.Server.Transport;

/// <summary>
/// Whether a socket's input is worth a read, by what an edge-triggered epoll has said and what reads have found since (epoll(7), questions 9 and 10).
/// Only the shard's thread.
/// </summary>
internal struct InputReadiness
{
    /// <summary>There is, or may be, something to read.</summary>
    public bool IsReadable { get; private set; }

    /// <summary>The peer's side has ended, in order or not. Bytes may still be before the end.</summary>
    public bool HasHungUp { get; private set; }

    /// <summary>What epoll saw. False when it does not concern the input.</summary>
    public bool OnEvents(uint events)
    {
        if ((events & (Libc.EPOLLIN | Libc.EPOLLRDHUP | Libc.EPOLLHUP | Libc.EPOLLERR)) == 0)
        {
            return false;
        }

        IsReadable = true;
        HasHungUp |= (events & ~(Libc.EPOLLIN | Libc.EPOLLOUT)) != 0;
        return true;
    }

    /// <summary>There is something to read, whatever the socket has: it was received before.</summary>
    public void Renew() => IsReadable = true;

    /// <summary>
    /// A read asked for so many bytes and got so many; 0 at the end, negative for an errno. Fewer than asked for have emptied the socket: what comes
    /// from then on makes a new event. An end that came together with the bytes makes none.
    /// </summary>
    public void OnReceived(int count, int asked) => IsReadable = count > 0 && (count == asked || HasHungUp);
}
