using System.Buffers;
using Chat.Protocol;
using Chat.Server.Connections;

namespace Chat.Server.Transport;

/// <summary>
/// A socket's input once a session has it: received a share a turn, given to the session, and what that has not used kept for the next time; after the
/// session's last word what still comes is dropped at a pace (<see cref="Linger"/>). A field of its socket, so that an idle one has neither an
/// object nor a buffer for it. Only the shard's thread.
/// </summary>
internal struct SessionInput
{
    /// <summary>
    /// Bytes of one socket taken in one turn: a flooding client gets no more of it, the rest waits for the next turn.
    /// </summary>
    private const int BytesPerTurnMax = 16 * 1024;

    private WebSocketSession? _session;
    private byte[]? _kept; // Rented.
    private int _keptLength;
    private LingerPace? _pace;
    private bool _hasUnread; // The session goes on without an event: with what is kept, or with what it has parked.
    private bool _isResting; // Nothing is taken for now.

    /// <summary>A session has it.</summary>
    public readonly bool IsAttached => _session is not null;

    /// <summary>The session has ended its input.</summary>
    public readonly bool HasEnded => _pace is not null;

    /// <summary>Gives it to a session, with what had been received before in a rented buffer, or null. Read on the next occasion.</summary>
    public void Attach(WebSocketSession session, byte[]? received, int length, ref InputReadiness readiness)
    {
        Invariant.Require(_session is null);
        _session = session;
        _kept = received;
        _keptLength = length;
        _hasUnread = length > 0;
        if (_hasUnread)
        {
            readiness.Renew();
        }
    }

    /// <summary>Takes a share of what the socket has.</summary>
    public void Read(ShardSocket socket, ref InputReadiness readiness)
    {
        if (_isResting && !(HasEnded && readiness.HasHungUp))
        {
            return;
        }

        if (_pace is { } pace)
        {
            Discard(socket, pace, ref readiness);
        }
        else if (_hasUnread)
        {
            ReadKept(socket);
        }
        else
        {
            Receive(socket, ref readiness);
        }
    }

    /// <summary>The time is over for which the socket has been left alone. False when it is to be closed.</summary>
    public bool EndRest()
    {
        _isResting = false;
        return _pace is not { IsOver: true };
    }

    /// <summary>The socket is closed: the session ends.</summary>
    public void Release()
    {
        ReleaseKept();
        _session?.Stop();
    }

    private void ReadKept(ShardSocket socket)
    {
        byte[]? received = _kept;
        ReadOnlySequence<byte> bytes = received is null ? default : new(received, 0, _keptLength);
        _hasUnread = false;
        _kept = null; // What is left of it is kept here.
        Consume(socket, bytes);
        if (received is not null)
        {
            ArrayPool<byte>.Shared.Return(received);
        }

        if (!_isResting)
        {
            socket.Shard.ReadOn(socket); // That was its share of this turn.
        }
    }

    private void Receive(ShardSocket socket, ref InputReadiness readiness)
    {
        byte[] scratch = socket.Shard.ReceiveScratch;
        int total = 0;
        while (socket.Fd >= 0)
        {
            int kept = _kept is null ? 0 : _keptLength;
            _kept.AsSpan(0, kept).CopyTo(scratch);
            ReleaseKept();
            Span<byte> free = scratch.AsSpan(kept, Math.Min(scratch.Length - kept, BytesPerTurnMax));
            int count = Libc.Receive(socket.Fd, free);
            if (count <= 0)
            {
                readiness.OnReceived(count, free.Length);
                if (count == -Libc.EAGAIN)
                {
                    Keep(scratch.AsSpan(0, kept));
                }
                else
                {
                    socket.OnEndOfInput(isReset: count < 0);
                }

                return;
            }

            socket.Shard.OnInput(count);
            Consume(socket, new ReadOnlySequence<byte>(scratch, 0, kept + count));
            if (_hasUnread)
            {
                return; // It is still readable: what it has now goes first.
            }

            readiness.OnReceived(count, free.Length);
            if (!readiness.IsReadable)
            {
                return;
            }

            total += count;
            if (total >= BytesPerTurnMax || HasEnded)
            {
                socket.Shard.ReadOn(socket);
                return;
            }
        }
    }

    private void Consume(ShardSocket socket, in ReadOnlySequence<byte> received)
    {
        // Nothing in it sends, so that the socket cannot fail and close meanwhile.
        if (!_session!.Receive(received, out SequencePosition consumed))
        {
            _pace = new LingerPace(_session.MessageBytesMax);
            return;
        }

        Keep(received.Slice(consumed).FirstSpan);
        _hasUnread = _session.HasUnread;
        if (_session.IsParked)
        {
            _isResting = true;
            socket.Shard.Park(socket, _session.ParkedSinceMs);
        }
        else if (_hasUnread)
        {
            socket.Shard.ReadOn(socket); // In the next turn, like a socket that has more than its share.
        }
    }

    /// <summary>Drops a piece of what a peer sends to whom we have said our last word. What it sent before its own is taken without rest.</summary>
    private void Discard(ShardSocket socket, LingerPace pace, ref InputReadiness readiness)
    {
        int count = Libc.Discard(socket.Fd, BytesPerTurnMax);
        readiness.OnReceived(count, BytesPerTurnMax);
        if (count == -Libc.EAGAIN)
        {
            return;
        }

        if (count <= 0)
        {
            socket.OnEndOfInput(isReset: count < 0);
        }
        else if (!readiness.HasHungUp && pace.Drop(count, wasAll: !readiness.IsReadable) is > 0 and int restMs)
        {
            _isResting = true;
            socket.Shard.Rest(socket, restMs);
        }
        else
        {
            socket.Shard.ReadOn(socket);
        }
    }

    /// <summary>Copies what the session left over. Nothing is kept.</summary>
    private void Keep(ReadOnlySpan<byte> rest)
    {
        Invariant.Require(_kept is null);
        if (!rest.IsEmpty)
        {
            _kept = ArrayPool<byte>.Shared.Rent(rest.Length);
            rest.CopyTo(_kept);
            _keptLength = rest.Length;
        }
    }

    private void ReleaseKept()
    {
        if (_kept is not null)
        {
            ArrayPool<byte>.Shared.Return(_kept);
            _kept = null;
        }
    }
}
