using Chat.Server.Connections;
using Chat.Server.Rooms;

namespace Chat.Server.Transport;

/// <summary>
/// One accepted socket: its descriptor, its output, and its close. While it speaks HTTP it feeds a <see cref="SocketReader"/> and a
/// <see cref="SocketWriter"/>; once a session is attached it feeds that (<see cref="SessionInput"/>), and is its
/// outlet. An idle session's socket holds no buffer.
/// <para>
/// Owned by its shard's thread: events, reads and the one close happen there. <see cref="Send"/> may be called by the HTTP
/// handler's thread, as long as no session is attached; the descriptor stays open until that handler has let go of it.
/// </para>
/// </summary>
internal sealed class ShardSocket : Outlet
{
    private readonly SocketShard _shard;
    private SessionInput _input;
    private InputReadiness _readiness;
    private SocketOutput _output;
    private bool _isHeld = true; // The HTTP handler still uses the descriptor: a close waits for it.
    private bool _isArmed;
    private bool _isEndOfInput;
    private bool _isOutputQueued;
    private bool _isCompleting;
    private bool _isShutDown;
    private bool _isClosing;

    public ShardSocket(SocketShard shard, int fd, ShardConnection connection)
    {
        _shard = shard;
        Fd = fd;
        Connection = connection;
    }

    /// <summary>The descriptor; -1 once it is closed.</summary>
    public int Fd { get; private set; }

    public ShardConnection Connection { get; }

    public SocketShard Shard => _shard;

    /// <summary>Its place in the shard's table, and how often that place was used before: what an event names. Only the shard's.</summary>
    public ulong EventToken { get; set; }

    /// <summary>A send is queued in the shard's ring and has not been carried out: neither send again nor close. Only the shard's.</summary>
    public bool HasQueuedSend { get; set; }

    /// <summary>It is in one of the queues of sockets to read. Only the shard's.</summary>
    public bool IsReadQueued { get; set; }

    /// <summary>Also between an event that says there is room and the flush: frames go on being added there.</summary>
    public override int BacklogBytes => _output.BlockedSinceMs != 0 ? _output.Length : 0;

    public override int HeldBytes => _output.Length;

    public override long BacklogSinceMs => _output.BlockedSinceMs;

    /// <summary>Nothing waits to be sent, so a range of a ring may go out as it is.</summary>
    public bool CanSendDirectly => _output.IsEmpty && !HasQueuedSend && Fd >= 0 && !_isCompleting;

    /// <summary>What the kernel holds and has not sent: the peer's window, or the path, has no room for it. 0 when it is closed.</summary>
    public int UnsentBytes => Fd < 0 ? 0 : Libc.Unsent(Fd);

    /// <summary>Registers for events; they come from then on, once for every change (edge-triggered). Shard thread.</summary>
    public void Arm()
    {
        if (!_isArmed && Fd >= 0)
        {
            _isArmed = true;
            if (!_shard.TryRegister(this))
            {
                Close();
            }
        }
    }

    /// <summary>What epoll saw. Shard thread.</summary>
    public void OnEvents(uint events)
    {
        if ((events & Libc.EPOLLOUT) != 0)
        {
            Unblock();
            Connection.Writer?.Continue();
        }

        if (!_input.IsAttached && (events & (Libc.EPOLLHUP | Libc.EPOLLERR)) != 0)
        {
            Connection.OnGone(); // The HTTP phase reads no more before it has answered.
        }

        if (_readiness.OnEvents(events))
        {
            _shard.Read(this);
        }
    }

    /// <summary>Reads what can be read, if anybody wants it now. Shard thread.</summary>
    public void ReadIfWanted()
    {
        if (!_readiness.IsReadable || Fd < 0)
        {
            return;
        }

        if (_input.IsAttached)
        {
            _input.Read(this, ref _readiness);
        }
        else if (Connection.Reader is { IsWaiting: true } reader && Fill(reader))
        {
            reader.CompleteWait();
        }
    }

    /// <summary>The time is over for which it asked <see cref="SocketShard.Rest"/>. Shard thread.</summary>
    public void EndRest()
    {
        if (!_input.EndRest())
        {
            Close();
        }
        else if (_readiness.IsReadable)
        {
            _shard.Read(this);
        }
    }

    /// <summary>The HTTP phase waits for input: what is there already comes in a later step of the loop. Shard thread.</summary>
    public void ReadSoon()
    {
        Arm();
        if (_readiness.IsReadable)
        {
            _shard.ReadOn(this);
        }
    }

    /// <summary>Receives once for the HTTP phase. False when there was nothing. Shard thread.</summary>
    public bool Fill(SocketReader reader)
    {
        Arm();
        if (!_readiness.IsReadable || Fd < 0)
        {
            return false;
        }

        int count = reader.Receive(Fd, ref _readiness);
        _shard.OnInput(Math.Max(count, 0));
        return count != -Libc.EAGAIN;
    }

    /// <summary>
    /// Hands the socket over to a session, with what the HTTP phase had read and not used, and written and not sent. The session
    /// begins: what it says leaves together with that. Shard thread, once; nobody else uses the socket from then on.
    /// </summary>
    public void Attach(WebSocketSession session, ResumePoint resume, ReadOnlySpan<byte> output, byte[]? input, int inputLength)
    {
        _isHeld = false;
        // Read in the next turn, before its fan-out, like any other input: read here, inside posted work, the answers to it
        // would be posted behind a fan-out that it asks for itself.
        _input.Attach(session, input, inputLength, ref _readiness);
        _output.Begin(_shard.Buffers, output);
        session.Enter(resume);
        if (_isClosing || Fd < 0)
        {
            Close();
            return;
        }

        if (_readiness.IsReadable)
        {
            _shard.Read(this);
        }
    }

    public override void Write(ReadOnlySpan<byte> frames)
    {
        if (_isCompleting || Fd < 0 || frames.IsEmpty)
        {
            return;
        }

        if (_isOutputQueued)
        {
            _shard.Sends.Submit(); // The kernel reads the buffer then; it may move now.
            if (Fd < 0)
            {
                return; // The send failed.
            }
        }

        _output.Append(_shard.Buffers, frames);
    }

    public override void Flush()
    {
        if (HasQueuedSend)
        {
            _shard.Sends.Submit();
        }

        if (!_output.IsBlocked && !_output.IsEmpty && Fd >= 0)
        {
            _isOutputQueued = true;
            _shard.Sends.SendOutput(this, _output.Next);
        }
    }

    public override void SendDown(int heldBytesMax)
    {
        while (_output.Length > heldBytesMax && !_output.IsBlocked && Fd >= 0)
        {
            Flush();
            _shard.Sends.Submit();
        }
    }

    /// <summary>The result of a send of what goes next: bytes sent, or a negative errno. Shard thread.</summary>
    public void OnOutputSent(int result)
    {
        _isOutputQueued = false;
        if (result < 0 && result != -Libc.EAGAIN)
        {
            OnSendFailed();
            return;
        }

        int sent = Math.Max(result, 0);
        bool isShort = sent < _output.Next.Length;
        if (!_output.Advance(_shard.Buffers, sent))
        {
            if (_isCompleting)
            {
                ShutDown();
            }
        }
        else if (isShort)
        {
            _output.Block(_shard.NowMs);
        }
        else
        {
            _shard.Post(static (socket, _) => ((ShardSocket)socket).Flush(), this); // A buffer of a backlog a turn. The kernel had room: no event comes.
        }
    }

    /// <summary>
    /// The result of a send of a ring's range. What was not sent is kept, before anything that was written since: it may
    /// begin in the middle of a frame. Shard thread.
    /// </summary>
    public void OnRangeSent(ReadOnlySpan<byte> range, int result)
    {
        if (result < 0 && result != -Libc.EAGAIN)
        {
            OnSendFailed();
            return;
        }

        int sent = Math.Max(result, 0);
        if (sent < range.Length && Fd >= 0)
        {
            _output.Prepend(_shard.Buffers, range, sent);
            _output.Block(_shard.NowMs);
        }
    }

    public override void DropBacklog()
    {
        if (_isOutputQueued)
        {
            _shard.Sends.Submit(); // Which frame has begun is known then.
        }

        _output.DropWholeFrames(_shard.Buffers);
    }

    public override void Complete()
    {
        if (_isCompleting)
        {
            return;
        }

        _isCompleting = true;
        if (HasQueuedSend)
        {
            _shard.Sends.Submit();
        }

        if (_output.IsEmpty)
        {
            ShutDown();
        }
        else
        {
            Flush();
        }
    }

    public override void Abort() => _shard.Post(static (socket, _) => ((ShardSocket)socket).Close(), this);

    /// <summary>
    /// Sends now, from any thread that holds the socket in its HTTP phase. Bytes sent, or a negative errno.
    /// </summary>
    public int Send(ReadOnlySpan<byte> bytes) => Libc.Send(Fd, bytes);

    /// <summary>The HTTP handler is done with the descriptor and no session follows. Shard thread.</summary>
    public void LetGo()
    {
        _isHeld = false;
        Close();
    }

    /// <summary>Closes the descriptor: once, and not before a queued send and the HTTP handler are done with it. Shard thread.</summary>
    public void Close()
    {
        if (Fd < 0)
        {
            return;
        }

        _isClosing = true;
        Connection.OnClosing();
        if (HasQueuedSend)
        {
            _shard.Sends.Submit();
            if (Fd < 0)
            {
                return; // What failed in it has closed us.
            }
        }

        if (_isHeld)
        {
            return; // LetGo or Attach comes back here.
        }

        _shard.Close(this);
        Fd = -1;
        _output.Release(_shard.Buffers);
        _input.Release();
        Connection.OnClosed();
    }

    /// <summary>The session gets no more input: the peer has ended its side, or reset the connection. Shard thread.</summary>
    public void OnEndOfInput(bool isReset)
    {
        _isEndOfInput = true;
        // A peer that has only shut down its side can still read. After its close frame it gets ours (RFC 6455 section 5.5.1), which the
        // session has posted. Without one it has failed the connection (section 7.1.6): it gets what was posted for it until now.
        bool isOwedClose = _input.HasEnded && !_isCompleting;
        if (isReset || (_isCompleting && _output.IsEmpty))
        {
            Close();
        }
        else if (!isOwedClose)
        {
            _shard.Post(static (socket, _) => ((ShardSocket)socket).Complete(), this);
        }
    }

    private void OnSendFailed()
    {
        _output.Release(_shard.Buffers);
        Close();
    }

    private void Unblock()
    {
        if (_output.TryUnblock())
        {
            _shard.FlushLater(this);
        }
    }

    private void ShutDown()
    {
        if (_isEndOfInput)
        {
            Close();
        }
        else if (!_isShutDown && Fd >= 0)
        {
            _isShutDown = true;
            // Not close: unread input would turn it into a reset, which can overtake our close frame.
            if (Libc.shutdown(Fd, Libc.SHUT_WR) < 0)
            {
                Close();
            }
        }
    }
}
