using System.Buffers;
using System.Text;
using Chat.Protocol;
using Chat.Protocol.WebSocket;
using Chat.Server.Rooms;

namespace Chat.Server.Connections;

/// <summary>
/// One WebSocket connection after its handshake, as RFC 6455 has it: messages and control frames in, frames out, the close handshake,
/// and what a peer may cost. What messages mean is up to the derived class. It has an input side (bytes to messages,
/// called by whoever reads the socket, one call at a time) and an output side (frames, deadlines) that belongs to
/// the shard. On a transport whose shards read their own sockets both are one thread; elsewhere the input side posts.
/// <para>
/// Order of calls: <see cref="Start"/>, or <see cref="Announce"/> and <see cref="Enter"/>; <see cref="Receive"/> until it answers false;
/// <see cref="Stop"/>.
/// </para>
/// </summary>
internal abstract class WebSocketSession
{
    /// <summary>
    /// What one call of <see cref="Receive"/> takes: payload, with <see cref="MessageCostBytes"/> for each message or control frame beside it. A
    /// read of a socket holds less payload, unless it is compressed: then 64 bytes can stand for 64 KiB. And it can hold thousands of
    /// frames that are nearly empty. Either way one client could keep a shard from all others for long.
    /// </summary>
    private const int CostPerCallMax = 64 * 1024;

    /// <summary>A message costs its handling beside its bytes: 64 of them are all that a call takes, some 0.2 ms, and a few times that with cold caches.</summary>
    private const int MessageCostBytes = 1024;

    /// <summary>
    /// What a continuation frame counts of the rate of bytes, beside its own: reading an empty one takes as long as reading some 60 bytes
    /// of payload (Chat.Attacks, empty-fragments: 33 ns).
    /// </summary>
    private const int ContinuationCostBytes = 60;

    private MessageReader _reader;
    private ConnectionRate _rate;
    private bool _inputEnded;

    /// <summary>Of the message that is not whole yet: counted already.</summary>
    private int _pieceBytes;

    private State _state;
    private long _heardMs;
    private long _deadlineMs;

    /// <param name="shard">The shard that owns its output side.</param>
    /// <param name="outlet">The way out.</param>
    /// <param name="sender">Whose messages come in.</param>
    /// <param name="expiresAt">When the token ends.</param>
    /// <param name="services">What all sessions share.</param>
    /// <param name="reader">Of what the peer sends; disposed with the session.</param>
    protected WebSocketSession(
        Shard shard, Outlet outlet, Sender sender, DateTimeOffset expiresAt, SessionServices services, MessageReader reader)
    {
        Shard = shard;
        Outlet = outlet;
        Sender = sender;
        ExpiresAt = expiresAt;
        Services = services;
        _reader = reader;
        _heardMs = shard.NowMs;
    }

    private enum State : byte
    {
        Open,

        /// <summary>Our close frame is on its way, the peer's has not come.</summary>
        Closing,

        /// <summary>Nothing more is sent.</summary>
        Closed,
    }

    public Shard Shard { get; }

    public Outlet Outlet { get; }

    public Sender Sender { get; }

    /// <summary>When the token ends.</summary>
    public DateTimeOffset ExpiresAt { get; }

    /// <summary>
    /// The last <see cref="Receive"/> stopped before the end of what it was given, to let others have the thread: call it again
    /// with the rest, without waiting for more. Input side.
    /// </summary>
    public bool HasUnread { get; private set; }

    /// <summary>
    /// <see cref="HasUnread"/>, and the last message could not be carried out yet: call <see cref="Receive"/> again with the rest, or with nothing,
    /// in <see cref="Room.FullRingRetryMs"/>. Nothing behind that message is read before. Input side.
    /// </summary>
    public bool IsParked { get; private set; }

    /// <summary>While <see cref="IsParked"/>: since when, on the shard's clock.</summary>
    public long ParkedSinceMs { get; private set; }

    /// <summary>The peer's close frame has come: it sends no more. Input side.</summary>
    public bool HasPeerClosed { get; private set; }

    /// <summary>Its place in the shard's list; -1 outside. Only the shard's.</summary>
    public int ShardIndex { get; set; } = -1;

    /// <summary>Of the peer's messages.</summary>
    public int MessageBytesMax => _reader.MessageBytesMax;

    public bool IsOpen => _state == State.Open;

    protected SessionServices Services { get; }

    /// <summary>What it may send; null for anything.</summary>
    protected abstract RateLimits? Rates { get; }

    /// <summary>Adds the session to its shard, where it begins. Any thread.</summary>
    /// <param name="resume">For a session that enters a room at once.</param>
    public void Start(ResumePoint resume)
    {
        Announce();
        Shard.Post(static (target, argument) => ((WebSocketSession)target).Enter((ResumePoint)argument!), this, resume);
    }

    /// <summary>Counts the session, from before it is on its shard. Any thread, once.</summary>
    public void Announce() => Services.Metrics.WebSockets.Increment();

    /// <summary>Adds the session to its shard, where it begins. Its outlet may hold the answer to the handshake, which leaves with what it says. Shard thread.</summary>
    public void Enter(ResumePoint resume)
    {
        Shard.Add(this);
        if (!Shard.TryCloseLate(this))
        {
            Begin(resume);
        }

        Shard.FlushLater(Outlet);
    }

    /// <summary>
    /// Takes received bytes. False when the input is over (close handshake, protocol error): read on only to discard.
    /// Input side.
    /// </summary>
    /// <param name="input">All that has been received and not consumed.</param>
    /// <param name="consumed">How much of it is done with; the rest is the start of a header or of a control frame.</param>
    public bool Receive(in ReadOnlySequence<byte> input, out SequencePosition consumed)
    {
        Volatile.Write(ref _heardMs, Shard.NowMs);
        if (IsParked)
        {
            if (!TryCarryOut(mustEnd: Shard.NowMs - ParkedSinceMs >= Room.FullRingWaitMs))
            {
                consumed = input.Start;
                return true;
            }

            IsParked = false;
        }

        byte[] scratch = ReceiveScratch.Message(Shard.Limits.MessageBytesMax);
        Span<byte> joined = stackalloc byte[MessageReader.UnconsumedBytesMax * 2];
        ReadOnlySequence<byte> rest = input;
        int costLeft = CostPerCallMax;
        while (!rest.IsEmpty && costLeft > 0 && !IsParked)
        {
            ReadOnlySpan<byte> span = rest.FirstSpan;
            int taken = ReceiveSpan(span, scratch, ref costLeft);
            if (taken == 0 && !rest.IsSingleSegment)
            {
                // What is left of this segment is less than a header or a control frame: join it with what follows.
                int length = (int)Math.Min(joined.Length, rest.Length);
                rest.Slice(0, length).CopyTo(joined);
                taken = ReceiveSpan(joined[..length], scratch, ref costLeft);
            }

            rest = rest.Slice(taken);
            if (_inputEnded)
            {
                HasUnread = false;
                consumed = input.End;
                return false;
            }

            if (taken == 0)
            {
                break;
            }
        }

        HasUnread = IsParked || (costLeft <= 0 && !rest.IsEmpty);
        consumed = rest.Start;
        return true;
    }

    /// <summary>The connection is gone, or its input has ended: leaves the rooms and the shard. Any thread, once.</summary>
    public virtual void Stop()
    {
        Services.Metrics.WebSockets.Decrement();
        _reader.Dispose();
        Shard.Post(
            static (target, _) =>
            {
                var session = (WebSocketSession)target;
                session.LeaveRooms();
                session._state = State.Closed;
                session.Outlet.Complete();
                session.Shard.Remove(session);
            },
            this);
    }

    /// <summary>Starts the close handshake: leaves the rooms, sends a close frame, waits for the peer's. Shard thread.</summary>
    public void Close(ushort code, string reason)
    {
        if (_state != State.Open)
        {
            return;
        }

        _state = State.Closing;
        _deadlineMs = Shard.NowMs + Shard.Limits.CloseTimeoutMs;
        LeaveRooms();
        SendCloseFrame(code, reason);
    }

    /// <summary>Closes with 4002 when the peer takes too little, or too slowly. Shard thread.</summary>
    public virtual void CheckBacklog()
    {
        int held = Outlet.HeldBytes;
        if (held == 0 || _state != State.Open)
        {
            return;
        }

        if (held > Shard.Limits.BacklogBytesMax)
        {
            Outlet.SendDown(Shard.Limits.BacklogBytesMax); // Not tried yet, or a backlog: then it is seen which.
        }

        if (Outlet.BacklogBytes > Shard.Limits.BacklogBytesMax
            || (Outlet.BacklogSinceMs != 0 && Shard.NowMs - Outlet.BacklogSinceMs > Shard.Limits.BacklogTimeMaxMs))
        {
            Services.Metrics.SlowConsumers.Add();
            Outlet.DropBacklog(); // The peer resumes after what it has; the close frame must not wait behind a megabyte.
            Close(CloseCode.SlowConsumer, "slow consumer");
        }
    }

    /// <summary>Pings a silent peer, drops a dead one, ends an expired one. Shard thread, about once a second.</summary>
    public void Sweep(long nowMs)
    {
        CheckBacklog();
        if (_state != State.Open)
        {
            if (nowMs > _deadlineMs)
            {
                Outlet.Abort(); // It does not answer our close, or does not take what is left.
            }

            return;
        }

        if (Shard.Time.GetUtcNow() > ExpiresAt)
        {
            Close(CloseCode.TokenExpired, "token expired");
            return;
        }

        long heardMs = Volatile.Read(ref _heardMs);
        if (_deadlineMs != 0 && heardMs >= _deadlineMs - Shard.Limits.PongTimeoutMs)
        {
            _deadlineMs = 0; // Something came since the ping: a pong, or anything else.
        }

        if (_deadlineMs == 0 && nowMs - heardMs >= Shard.Limits.PingIntervalMs)
        {
            _deadlineMs = nowMs + Shard.Limits.PongTimeoutMs;
            Span<byte> ping = stackalloc byte[FrameWriter.HeaderBytesMax];
            Send(ping[..FrameWriter.WriteFrame(ping, Opcode.Ping, default)]);
        }
        else if (_deadlineMs != 0 && nowMs > _deadlineMs)
        {
            Close(CloseCode.NoPong, "no pong");
        }
    }

    /// <summary>Writes whole frames and has them flushed at the end of the turn. Shard thread.</summary>
    public void Send(ReadOnlySpan<byte> frames)
    {
        if (_state != State.Closed)
        {
            Outlet.Write(frames);
            Shard.FlushLater(Outlet);
        }
    }

    /// <summary>Frames one JSON text, which is short, and sends it. Shard thread.</summary>
    public void SendText(ReadOnlySpan<byte> payload)
    {
        if (_state == State.Open)
        {
            WriteText(payload);
            Shard.FlushLater(Outlet);
        }
    }

    /// <summary>It is on its shard now: says hello, if it does. Shard thread, once.</summary>
    protected abstract void Begin(ResumePoint resume);

    /// <summary>It is sent no more events. Shard thread; may be called again.</summary>
    protected virtual void LeaveRooms()
    {
    }

    /// <summary>Frames one JSON text, which is short, without having it flushed. Shard thread, while <see cref="IsOpen"/>.</summary>
    protected void WriteText(ReadOnlySpan<byte> payload)
    {
        Span<byte> frame = stackalloc byte[FrameWriter.HeaderBytesMax + payload.Length];
        Outlet.Write(frame[..FrameWriter.WriteFrame(frame, Opcode.Text, payload)]); // In one piece: what waits is dropped by whole frames.
    }

    /// <summary>A whole message has come. Input side.</summary>
    /// <param name="opcode">Text, and then valid UTF-8, or binary.</param>
    /// <param name="payload">Valid during the call.</param>
    /// <param name="bytes">What it costs of the rate of bytes: what it took on the wire and its fragments' work, or, compressed, what it is.</param>
    protected abstract void ReceiveMessage(Opcode opcode, ReadOnlySpan<byte> payload, int bytes);

    /// <summary>The message that has come cannot be carried out yet: reads no further until <see cref="TryCarryOut"/> does it. Input side.</summary>
    protected void Park()
    {
        Services.Metrics.MessagesParked.Add();
        IsParked = true;
        ParkedSinceMs = Shard.NowMs;
    }

    /// <summary>Tries again what was parked. False when it stays so. Input side.</summary>
    /// <param name="mustEnd">It has waited long enough: it is done now, or refused.</param>
    protected virtual bool TryCarryOut(bool mustEnd) => true;

    private int ReceiveSpan(ReadOnlySpan<byte> span, byte[] scratch, ref int costLeft)
    {
        int taken = 0;
        while (true)
        {
            ReadStatus status = _reader.Read(
                span[taken..], scratch, out int consumed, out int continuations, out ReadOnlySpan<byte> payload, out ProtocolError error);
            taken += consumed;
            int bytes = consumed + (continuations * ContinuationCostBytes);
            switch (status)
            {
                case ReadStatus.NeedMore:
                    ReceivePieces(bytes);
                    return taken;
                case ReadStatus.Text:
                case ReadStatus.Binary:
                    bytes = Math.Max(bytes, payload.Length - _pieceBytes);
                    _pieceBytes = 0;
                    ReceiveMessage(status == ReadStatus.Text ? Opcode.Text : Opcode.Binary, payload, bytes);
                    break;
                case ReadStatus.Ping:
                    ReceivePing(payload, bytes);
                    break;
                case ReadStatus.Pong:
                    ReceivePong(bytes); // Anything heard counts as a sign of life.
                    break;
                case ReadStatus.Close:
                    ReceiveClose(payload);
                    return taken;
                case ReadStatus.Refused:
                    EndInput(error.Code, error.Reason);
                    return taken;
            }

            costLeft -= payload.Length + MessageCostBytes;
            if (_inputEnded || costLeft <= 0 || IsParked)
            {
                return taken;
            }
        }
    }

    /// <summary>0 when the client may, else the milliseconds until it may. Input side.</summary>
    protected int Take(RateLimits rates, bool isMessage, int bytes) => _rate.Take(rates, Sender.UserId, isMessage, bytes, _heardMs);

    private void ReceivePing(ReadOnlySpan<byte> payload, int bytes)
    {
        if (Rates is { } rates && Take(rates, isMessage: false, bytes) > 0)
        {
            EndIfExhausted(rates, messages: 0, commands: 1, bytes);
            return; // Without a pong: a later ping's covers this one (section 5.5.3).
        }

        byte[] pong = new byte[FrameWriter.HeaderBytes(payload.Length) + payload.Length];
        FrameWriter.WriteFrame(pong, Opcode.Pong, payload);
        Shard.Post(static (target, argument) => ((WebSocketSession)target).SendControl((byte[])argument!), this, pong);
    }

    /// <summary>Nothing is owed for a pong, so nothing is refused; but a flood of them is one like any other.</summary>
    private void ReceivePong(int bytes)
    {
        if (Rates is { } rates && Take(rates, isMessage: false, bytes) > 0)
        {
            EndIfExhausted(rates, messages: 0, commands: 1, bytes);
        }
    }

    /// <summary>
    /// Pieces of a message that is not whole yet. They are counted as they come: a message in empty fragments need never end, and
    /// one of one-byte fragments takes seven times its length. What is counted here is not counted again with the whole.
    /// </summary>
    private void ReceivePieces(int bytes)
    {
        if (bytes > 0 && Rates is { } rates)
        {
            _pieceBytes = (int)Math.Min(int.MaxValue, (long)_pieceBytes + bytes); // Without a limit for bytes they may be any number.
            if (_rate.TakeBytes(rates, bytes, _heardMs) > 0 || rates.TakeBytes(Sender.UserId, bytes, _heardMs) > 0)
            {
                EndIfExhausted(rates, messages: 0, commands: 0, bytes);
            }
        }
    }

    /// <summary>Counts what was refused. True when it was too much, of this connection or of all that its user has had, which ends the input. Input side.</summary>
    protected bool EndIfExhausted(RateLimits rates, int messages, int commands, int bytes)
    {
        Services.Metrics.RateLimited.Add();
        bool isExhausted = rates.Owe(Sender.UserId, messages, commands, bytes, _heardMs) || _rate.IsExhausted(rates);
        if (isExhausted)
        {
            EndInput(CloseCode.RateLimited, "rate limited");
        }

        return isExhausted;
    }

    private void ReceiveClose(ReadOnlySpan<byte> payload)
    {
        ushort code = MessageReader.ReadClose(payload, out _);
        _inputEnded = true;
        HasPeerClosed = true;
        Shard.Post(
            static (target, argument) => ((WebSocketSession)target).FinishClose((ushort)argument!),
            this,
            code == 0 ? CloseCode.NormalClosure : code);
    }

    /// <summary>The peer broke the protocol: RFC 6455 section 7.1.7, fail the connection. Input side.</summary>
    protected void EndInput(ushort code, string reason)
    {
        _inputEnded = true;
        _reader.Dispose();
        Shard.Post(
            static (target, argument) =>
            {
                var session = (WebSocketSession)target;
                var error = (ProtocolError)argument!;
                session.Close(error.Code, error.Reason);
                session.Finish();
            },
            this,
            new ProtocolError(code, reason));
    }

    private void SendControl(ReadOnlySpan<byte> frame)
    {
        if (_state == State.Open)
        {
            Send(frame);
            CheckBacklog(); // Who pings and never reads is a slow consumer like any other.
        }
    }

    private void SendCloseFrame(ushort code, string reason)
    {
        Span<byte> frame = stackalloc byte[FrameWriter.ControlFrameBytesMax];
        Span<byte> text = stackalloc byte[FrameWriter.CloseReasonBytesMax];
        int length = Encoding.ASCII.GetBytes(reason, text);
        Send(frame[..FrameWriter.WriteClose(frame, code, text[..length])]);
    }

    /// <summary>The peer's close frame has come: echo it when it came first, then end the connection (RFC 6455 section 5.5.1).</summary>
    private void FinishClose(ushort code)
    {
        Close(code, "");
        Finish();
    }

    private void Finish()
    {
        if (_state != State.Closed)
        {
            _state = State.Closed;
            _deadlineMs = Shard.NowMs + Shard.Limits.CloseTimeoutMs;
            Outlet.Complete();
        }
    }
}
