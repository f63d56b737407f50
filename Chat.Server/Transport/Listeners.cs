using Chat.Protocol;

namespace Chat.Server.Transport;

/// <summary>The listening sockets that one shard watches, for all shards. Only its thread.</summary>
internal sealed class Listeners(Epoll epoll)
{
    private const int CountMax = 1024;

    /// <summary>Less the place in <see cref="_acceptors"/>. Sockets' tokens are far below.</summary>
    private const ulong TokenMax = ulong.MaxValue - 1;

    private readonly List<Acceptor?> _acceptors = [];
    private long _restUntilMs = long.MaxValue; // All that rest; far away when none does.

    public bool AreResting => _restUntilMs != long.MaxValue;

    public void Add(Acceptor acceptor)
    {
        Invariant.Require(_acceptors.Count < CountMax);
        epoll.Add(acceptor.Fd, Libc.EPOLLIN, Token(_acceptors.Count));
        _acceptors.Add(acceptor);
    }

    /// <summary>Afterwards the listening socket may be closed.</summary>
    public void Remove(Acceptor acceptor)
    {
        epoll.Remove(acceptor.Fd);
        _acceptors[_acceptors.IndexOf(acceptor)] = null; // The places of the others are in their tokens.
    }

    /// <summary>Accepts nothing until then.</summary>
    public void Rest(Acceptor acceptor, long untilMs)
    {
        SetEvents(acceptor, 0);
        _restUntilMs = untilMs;
    }

    /// <summary>Milliseconds until <see cref="EndRest"/> has something to do; not while none rests.</summary>
    public int MsLeft(long nowMs) => (int)Math.Max(0, _restUntilMs - nowMs);

    /// <summary>Accepts again when the time has come.</summary>
    public void EndRest(long nowMs)
    {
        if (_restUntilMs > nowMs)
        {
            return;
        }

        _restUntilMs = long.MaxValue;
        foreach (Acceptor? acceptor in _acceptors)
        {
            if (acceptor is not null)
            {
                SetEvents(acceptor, Libc.EPOLLIN);
            }
        }
    }

    /// <summary>False when the token is no listening socket's.</summary>
    public bool TryAccept(ulong token)
    {
        if (token is > TokenMax or <= TokenMax - CountMax)
        {
            return false;
        }

        _acceptors[(int)(TokenMax - token)]?.Accept();
        return true;
    }

    private static ulong Token(int place) => TokenMax - (ulong)place;

    private void SetEvents(Acceptor acceptor, uint events) => epoll.Change(acceptor.Fd, events, Token(_acceptors.IndexOf(acceptor)));
}
