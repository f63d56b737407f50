using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;

namespace Chat.Server.Transport;

/// <summary>
/// A listening socket. One shard accepts for all and deals the connections out in turn: with a listener per shard
/// (SO_REUSEPORT) the kernel deals by hash, and a few hundred members can all end up on one core.
/// </summary>
internal sealed partial class Acceptor : IConnectionListener
{
    /// <summary>Connections accepted in one turn: enough to keep up with a storm, few enough that rooms have their turn.</summary>
    private const int AcceptsPerTurnMax = 64;

    /// <summary>
    /// What the kernel may hold for one connection that does not read, in bytes; it doubles the number for its own
    /// bookkeeping. Left alone it grows to megabytes, and a member that stopped reading would be noticed minutes late.
    /// </summary>
    private const int SendBufferBytes = 256 * 1024;

    /// <summary>
    /// Of that, bytes the peer's window has no room for yet. What waits there is the kernel's, where we neither see nor bound its age:
    /// with clients that have 8 KiB of receive buffer this halved the time to delivery. A turn's largest range still fits.
    /// </summary>
    private const int UnsentBytesMax = 64 * 1024;

    /// <summary>Out of descriptors, every connection is refused: one line tells it, the rest would be a peer's to write.</summary>
    private const int WarningIntervalMs = 1000;

    /// <summary>How long nobody is accepted when not even refusing works: what waits in the backlog would make turn after turn.</summary>
    private const int RestMs = 100;

    private const int SocketFlags = Libc.SOCK_NONBLOCK | Libc.SOCK_CLOEXEC;

    private readonly Socket _listener;
    private readonly SocketShard[] _shards;
    private readonly ILogger _logger;
    private readonly Channel<ConnectionContext> _accepted =
        Channel.CreateUnbounded<ConnectionContext>(new UnboundedChannelOptions { SingleReader = true, SingleWriter = true });

    private readonly TaskCompletionSource _stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _spare;
    private long _warnedMs = -WarningIntervalMs;
    private uint _next;
    private bool _isUnbound;

    /// <exception cref="AddressInUseException">The port is in use.</exception>
    /// <exception cref="SocketException">The address cannot be bound for another reason.</exception>
    public Acceptor(IPEndPoint endPoint, SocketShard[] shards, int backlog, ILogger logger)
    {
        _shards = shards;
        _logger = logger;
        _listener = new Socket(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            if (endPoint.Address.Equals(IPAddress.IPv6Any))
            {
                _listener.DualMode = true;
            }

            Fd = (int)_listener.Handle;
            SetOptions(Fd); // Before it listens: whoever waits already is a copy of it.
            _listener.Bind(endPoint);
            _listener.Listen(backlog);
            _listener.Blocking = false;
        }
        catch (SocketException exception)
        {
            _listener.Dispose();
            if (exception.SocketErrorCode == SocketError.AddressAlreadyInUse)
            {
                throw new AddressInUseException(exception.Message, exception);
            }

            throw;
        }

        EndPoint = _listener.LocalEndPoint!;
        _spare = OpenSpare();
    }

    public EndPoint EndPoint { get; }

    public int Fd { get; }

    private SocketShard Owner => _shards[0];

    /// <summary>Begins to accept.</summary>
    public void Start() => Owner.Listen(this);

    /// <summary>Takes what waits in the backlog, up to a turn's share. The owner's thread.</summary>
    public unsafe void Accept()
    {
        if (_spare < 0)
        {
            _spare = OpenSpare(); // Somebody was quicker when it was given up.
        }

        byte* address = stackalloc byte[PeerAddress.BytesMax];
        for (int i = 0; i < AcceptsPerTurnMax; i++)
        {
            int length = PeerAddress.BytesMax;
            int fd = Libc.accept4(Fd, address, &length, SocketFlags);
            if (fd >= 0)
            {
                EndPoint? peer = PeerAddress.Read(new ReadOnlySpan<byte>(address, length));
                // The channel is unbounded, and Kestrel's loop takes whatever it is given; the limit on connections is ours.
                _accepted.Writer.TryWrite(new ShardConnection(_shards[_next++ % (uint)_shards.Length], fd, peer));
                continue;
            }

            switch (Libc.LastError)
            {
                case Libc.EINTR or Libc.ECONNABORTED or Libc.EPROTO:
                    continue;
                case Libc.EMFILE or Libc.ENFILE:
                    if (!TryRefuseOne())
                    {
                        Owner.RestListening(this, RestMs);
                    }

                    return;
                case Libc.ENOBUFS or Libc.ENOMEM:
                    Owner.RestListening(this, RestMs);
                    return;
                default: // EAGAIN, or an error of the network that the next accept does not have.
                    return;
            }
        }
    }

    /// <summary>No turn will accept any more. The owner's thread.</summary>
    public void OnStopped() => _stopped.TrySetResult();

    public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
    {
        while (await _accepted.Reader.WaitToReadAsync(cancellationToken))
        {
            if (_accepted.Reader.TryRead(out ConnectionContext? connection))
            {
                return connection;
            }
        }

        return null;
    }

    public async ValueTask UnbindAsync(CancellationToken cancellationToken = default)
    {
        if (_isUnbound)
        {
            return;
        }

        _isUnbound = true;
        Owner.StopListening(this);
        await _stopped.Task;
        _accepted.Writer.TryComplete();
        _listener.Dispose();
        if (_spare >= 0)
        {
            _ = Libc.close(_spare);
        }
    }

    public ValueTask DisposeAsync() => UnbindAsync();

    /// <summary>Once, for all that are accepted: on Linux they begin as copies of the socket that listens.</summary>
    private static void SetOptions(int listener)
    {
        Libc.SetOption(listener, Libc.IPPROTO_TCP, Libc.TCP_NODELAY, 1);
        Libc.SetOption(listener, Libc.SOL_SOCKET, Libc.SO_SNDBUF, SendBufferBytes);
        Libc.SetOption(listener, Libc.IPPROTO_TCP, Libc.TCP_NOTSENT_LOWAT, UnsentBytesMax);
    }

    private static int OpenSpare() => Libc.open("/dev/null", Libc.O_RDONLY | Libc.O_CLOEXEC);

    /// <summary>
    /// Out of descriptors: a connection that stays in the backlog would wake us forever. A spare descriptor is given up to
    /// accept it, and close it at once. False when somebody else has taken the spare one.
    /// </summary>
    private unsafe bool TryRefuseOne()
    {
        if (Owner.NowMs - _warnedMs >= WarningIntervalMs)
        {
            _warnedMs = Owner.NowMs;
            OutOfFiles(_logger);
        }

        if (_spare < 0)
        {
            return false;
        }

        _ = Libc.close(_spare);
        int fd = Libc.accept4(Fd, null, null, SocketFlags);
        int error = Libc.LastError;
        if (fd >= 0)
        {
            _ = Libc.close(fd);
        }

        _spare = OpenSpare();
        return fd >= 0 || error == Libc.EAGAIN;
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Out of file descriptors: connections are refused (raise the limit, ulimit -n)")]
    private static partial void OutOfFiles(ILogger logger);
}
