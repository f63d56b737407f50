using System.Buffers;
using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Text;
using Chat.Protocol;
using Chat.Protocol.Messages;
using Chat.Protocol.WebSocket;
using Chat.Server.Rooms;
using Chat.Storage;

namespace Chat.Server.Connections;

/// <summary>
/// One WebSocket connection after its handshake: what a client may do when. It has an input side (bytes to commands,
/// called by whoever reads the socket, one call at a time) and an output side (frames, rooms, deadlines) that belongs to
/// the shard. On a transport whose shards read their own sockets both are one thread; elsewhere the input side posts.
/// <para>Order of calls: <see cref="Start"/>, <see cref="Receive"/> until it answers false, <see cref="Stop"/>.</para>
/// </summary>
internal class WebSocketSession : Publisher
{
    /// <summary>64 characters of a nonce (<see cref="CommandParser.NonceCharactersMax"/>), 4 bytes each.</summary>
    private const int NonceBytesMax = CommandParser.NonceCharactersMax * 4;

    /// <summary>
    /// What one call of <see cref="Receive"/> takes: payload, with <see cref="MessageCostBytes"/> for each message or control frame beside it. A
    /// read of a socket holds less payload, unless it is compressed: then 64 bytes can stand for 64 KiB. And it can hold thousands of
    /// frames that are nearly empty. Either way one client could keep a shard from all others for long.
    /// </summary>
    private const int CostPerCallMax = 256 * 1024;

    /// <summary>A message costs its handling beside its bytes: 256 of them are all that a call takes, some 0.2 ms.</summary>
    private const int MessageCostBytes = 1024;

    /// <summary>An acknowledgement, an error or a pong: a nonce and one of our own sentences.</summary>
    private static readonly int EventBytesMax = Events.BytesMax(NonceBytesMax + 256);

    private readonly SessionServices _services;
    private MessageReader _reader;
    private ConnectionRate _rate;
    private bool _inputEnded;

    /// <summary>Of the message that is not whole yet: counted already.</summary>
    private int _pieceBytes;

    private ConcurrentDictionary<long, Membership>? _memberships;
    private Membership? _first;
    private State _state;
    private long _heardMs;
    private long _deadlineMs;

    /// <param name="shard">The shard that owns its output side.</param>
    /// <param name="outlet">The way out.</param>
    /// <param name="sender">Whose messages come in.</param>
    /// <param name="expiresAt">When the token ends.</param>
    /// <param name="room">The room of the path, or null.</param>
    /// <param name="services">What all sessions share.</param>
    /// <param name="deflate">What was agreed on compression, without context takeover; null for no extension.</param>
    public WebSocketSession(
        Shard shard,
        Outlet outlet,
        Sender sender,
        DateTimeOffset expiresAt,
        Room? room,
        SessionServices services,
        DeflateParameters? deflate = null)
        : this(shard, outlet, sender, expiresAt, room, services, new MessageReader(FrameSender.Client, shard.Limits.MessageBytesMax, deflate is not null))
    {
        TakesCompressed = deflate is { } parameters && parameters.ServerWindowBits >= CompressedEvents.WindowBits;
    }

    protected WebSocketSession(
        Shard shard, Outlet outlet, Sender sender, DateTimeOffset expiresAt, Room? room, SessionServices services, MessageReader reader)
    {
        Shard = shard;
        Outlet = outlet;
        Sender = sender;
        ExpiresAt = expiresAt;
        DefaultRoom = room;
        _services = services;
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

    /// <summary>The room of <c>/ws/{room_id}</c>; null on <c>/ws</c>.</summary>
    public Room? DefaultRoom { get; }

    /// <summary>It is sent events in the form of <see cref="CompressedEvents"/>, where they have one.</summary>
    public bool TakesCompressed { get; }

    /// <summary>
    /// The last <see cref="Receive"/> stopped before the end of what it was given, to let others have the thread: call it again
    /// with the rest, without waiting for more. Input side.
    /// </summary>
    public bool HasUnread { get; private set; }

    /// <summary>The peer's close frame has come: it sends no more. Input side.</summary>
    public bool HasPeerClosed { get; private set; }

    /// <summary>Its place in the shard's list; -1 outside. Only the shard's.</summary>
    public int ShardIndex { get; set; } = -1;

    public bool IsOpen => _state == State.Open;

    /// <summary>Adds the session to its shard and, with a default room, to that room. Any thread.</summary>
    public void Start(ResumePoint resume)
    {
        _services.Metrics.WebSockets.Increment();
        Shard.Post(
            static (target, argument) =>
            {
                var session = (WebSocketSession)target;
                session.Shard.Add(session);
                session.Begin((ResumePoint)argument!);
            },
            this,
            resume);
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
        byte[] scratch = ReceiveScratch.Message(Shard.Limits.MessageBytesMax);
        Span<byte> joined = stackalloc byte[MessageReader.UnconsumedBytesMax * 2];
        ReadOnlySequence<byte> rest = input;
        int costLeft = CostPerCallMax;
        while (!rest.IsEmpty && costLeft > 0)
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

        HasUnread = costLeft <= 0 && !rest.IsEmpty;
        consumed = rest.Start;
        return true;
    }

    /// <summary>The connection is gone, or its input has ended: leaves the rooms and the shard. Any thread, once.</summary>
    public virtual void Stop()
    {
        _services.Metrics.WebSockets.Decrement();
        _reader.Dispose();
        Shard.Post(
            static (target, _) =>
            {
                var session = (WebSocketSession)target;
                session.LeaveAll();
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
        LeaveAll();
        SendCloseFrame(code, reason);
    }

    /// <summary>Closes with 4002 when the peer takes too little, or too slowly. Shard thread.</summary>
    public virtual void CheckBacklog()
    {
        if (Outlet.BacklogBytes == 0 || _state != State.Open)
        {
            return;
        }

        if (Outlet.BacklogBytes > Shard.Limits.BacklogBytesMax
            || Shard.NowMs - Outlet.BacklogSinceMs > Shard.Limits.BacklogTimeMaxMs)
        {
            _services.Metrics.SlowConsumers.Add();
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

    /// <summary>Frames one JSON text and sends it. Shard thread.</summary>
    public void SendText(ReadOnlySpan<byte> payload)
    {
        if (_state == State.Open)
        {
            WriteText(payload);
            Shard.FlushLater(Outlet);
        }
    }

    public override void Committed(MessageRecord record, bool isDuplicate) => Shard.Post(
        isDuplicate
            ? static (target, argument) => ((WebSocketSession)target).SendAck((MessageRecord)argument!, isDuplicate: true)
            : static (target, argument) => ((WebSocketSession)target).SendAck((MessageRecord)argument!, isDuplicate: false),
        this,
        record);

    public override void Failed(long roomId, string? nonce, string code) => PostError(code, "the message could not be stored", nonce, roomId, 0);

    /// <summary>Leaves one room without a word, when its replay cannot be had. Shard thread.</summary>
    public void Abandon(Membership membership)
    {
        _memberships?.TryRemove(membership.Group.Room.Id, out _);
        Leave(membership);
    }

    /// <summary>Enters the default room, or says hello without one. Shard thread, once.</summary>
    protected virtual void Begin(ResumePoint resume)
    {
        if (DefaultRoom is { } room)
        {
            Subscribe(room, resume);
        }
        else
        {
            SendWelcome(null, 0, false, null);
        }
    }

    /// <summary>What it may send; null for anything.</summary>
    protected virtual RateLimits? Rates => _services.Rates;

    private void WriteText(ReadOnlySpan<byte> payload)
    {
        Span<byte> header = stackalloc byte[FrameWriter.HeaderBytesMax];
        Outlet.Write(header[..FrameWriter.WriteHeader(header, Opcode.Text, payload.Length)]);
        Outlet.Write(payload);
    }

    /// <summary>A whole message has come. Input side.</summary>
    /// <param name="opcode">Text, and then valid UTF-8, or binary.</param>
    /// <param name="payload">Valid during the call.</param>
    /// <param name="bytes">What it costs of the rate of bytes: what it took on the wire, or, compressed, what it is.</param>
    protected virtual void ReceiveMessage(Opcode opcode, ReadOnlySpan<byte> payload, int bytes)
    {
        if (opcode == Opcode.Text)
        {
            ReceiveCommand(payload, bytes);
        }
        else
        {
            EndInput(CloseCode.UnsupportedData, "commands are text messages");
        }
    }

    private int ReceiveSpan(ReadOnlySpan<byte> span, byte[] scratch, ref int costLeft)
    {
        int taken = 0;
        while (true)
        {
            ReadStatus status = _reader.Read(
                span[taken..], scratch, out int consumed, out ReadOnlySpan<byte> payload, out ProtocolError error);
            taken += consumed;
            switch (status)
            {
                case ReadStatus.NeedMore:
                    ReceivePieces(consumed);
                    return taken;
                case ReadStatus.Text:
                case ReadStatus.Binary:
                    int bytes = Math.Max(consumed, payload.Length - _pieceBytes);
                    _pieceBytes = 0;
                    ReceiveMessage(status == ReadStatus.Text ? Opcode.Text : Opcode.Binary, payload, bytes);
                    break;
                case ReadStatus.Ping:
                    ReceivePing(payload, consumed);
                    break;
                case ReadStatus.Pong:
                    ReceivePong(consumed); // Anything heard counts as a sign of life.
                    break;
                case ReadStatus.Close:
                    ReceiveClose(payload);
                    return taken;
                case ReadStatus.Refused:
                    EndInput(error.Code, error.Reason);
                    return taken;
            }

            costLeft -= payload.Length + MessageCostBytes;
            if (_inputEnded || costLeft <= 0)
            {
                return taken;
            }
        }
    }

    private void ReceiveCommand(ReadOnlySpan<byte> json, int bytes)
    {
        byte[] scratch = ReceiveScratch.Strings(json.Length);
        bool isSound = CommandParser.TryParse(json, scratch, out Command command, out CommandError error, Shard.Limits.ContentCharsMax);
        if (Rates is { } rates
            && Take(rates, isSound && command.Type == CommandType.Message, bytes) is > 0 and int retryAfterMs)
        {
            RefuseAsTooFast(rates, isSound ? command.Nonce : error.Nonce, isSound ? command.RoomId : error.RoomId, retryAfterMs);
            return;
        }

        if (!isSound)
        {
            PostError(error.Code!, error.Message, Text(error.Nonce), error.RoomId, 0);
            return;
        }

        switch (command.Type)
        {
            case CommandType.Message:
                Publish(command);
                break;
            case CommandType.Subscribe:
                BeginSubscribe(command.RoomId, new ResumePoint(command.Since, command.Epoch));
                break;
            case CommandType.Unsubscribe:
                Shard.Post(
                    static (target, argument) => ((WebSocketSession)target).Unsubscribe((long)argument!), this, command.RoomId);
                break;
            case CommandType.Ping:
                Shard.Post(static (target, _) => ((WebSocketSession)target).SendPong(), this);
                break;
        }
    }

    /// <summary>0 when the client may, else the milliseconds until it may.</summary>
    private int Take(RateLimits rates, bool isMessage, int bytes)
    {
        int retryAfterMs = isMessage ? _rate.TakeMessage(rates, bytes, _heardMs) : _rate.TakeCommand(rates, bytes, _heardMs);
        if (retryAfterMs == 0)
        {
            retryAfterMs = isMessage ? rates.TakeMessage(Sender.UserId, bytes, _heardMs) : rates.TakeCommand(Sender.UserId, bytes, _heardMs);
            if (retryAfterMs > 0)
            {
                _rate.Charge(rates, isMessage, bytes);
            }
        }

        return retryAfterMs;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void RefuseAsTooFast(RateLimits rates, ReadOnlySpan<byte> nonce, long roomId, int retryAfterMs)
    {
        _services.Metrics.RateLimited.Add();
        if (_rate.IsExhausted(rates))
        {
            EndInput(CloseCode.RateLimited, "rate limited");
        }
        else
        {
            PostError(ErrorCode.RateLimited, "slower, please", Text(nonce), roomId == 0 ? DefaultRoom?.Id ?? 0 : roomId, retryAfterMs);
        }
    }

    private void Publish(in Command command)
    {
        Room? room = command.RoomId == 0 || command.RoomId == DefaultRoom?.Id ? DefaultRoom : FindSubscribed(command.RoomId);
        if (room is null)
        {
            bool isNamed = command.RoomId != 0;
            PostError(
                isNamed ? ErrorCode.NotSubscribed : ErrorCode.MissingField,
                isNamed ? "subscribe to the room before sending to it" : "room_id is required on this connection",
                Text(command.Nonce),
                command.RoomId,
                0);
            return;
        }

        switch (room.Offer(Sender, command.Content, command.Nonce, this, out long seq, out long id))
        {
            case OfferStatus.Duplicate:
                Shard.Post(
                    static (target, argument) =>
                    {
                        var (roomId, seq, id, nonce) = ((long, long, long, string?))argument!;
                        ((WebSocketSession)target).SendAck(roomId, seq, id, nonce, isDuplicate: true);
                    },
                    this,
                    (room.Id, seq, id, Text(command.Nonce)));
                break;
            case OfferStatus.Overloaded:
                PostError(
                    ErrorCode.Overloaded, "too many messages wait to be stored", Text(command.Nonce), room.Id, _services.Log.RetryAfterMs);
                break;
        }
    }

    private Room? FindSubscribed(long roomId) =>
        _memberships is { } memberships && memberships.TryGetValue(roomId, out Membership? membership) ? membership.Group.Room : null;

    private void BeginSubscribe(long roomId, ResumePoint resume)
    {
        if (roomId == 0)
        {
            PostError(ErrorCode.MissingField, "room_id is required", null, 0, 0);
        }
        else if (DefaultRoom is not null)
        {
            PostError(ErrorCode.NotSubscribed, "this connection belongs to one room; use /ws for many", null, roomId, 0);
        }
        else
        {
            _ = _services.Subscriptions.SubscribeAsync(this, roomId, resume);
        }
    }

    private void ReceivePing(ReadOnlySpan<byte> payload, int bytes)
    {
        if (Rates is { } rates && Take(rates, isMessage: false, bytes) > 0)
        {
            EndIfExhausted(rates);
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
            EndIfExhausted(rates);
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
                EndIfExhausted(rates);
            }
        }
    }

    private void EndIfExhausted(RateLimits rates)
    {
        _services.Metrics.RateLimited.Add();
        if (_rate.IsExhausted(rates))
        {
            EndInput(CloseCode.RateLimited, "rate limited");
        }
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

    /// <summary>The peer broke the protocol: RFC 6455 section 7.1.7, fail the connection.</summary>
    private void EndInput(ushort code, string reason)
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

    private void PostError(string code, string message, string? nonce, long roomId, int retryAfterMs) => Shard.Post(
        static (target, argument) => ((WebSocketSession)target).SendError((ErrorEvent)argument!),
        this,
        new ErrorEvent(code, message, nonce, roomId, retryAfterMs));

    // ---- output side: the shard's thread ----

    /// <summary>Pongs are sent while no more than this waits to be sent.</summary>
    protected virtual int PongBacklogBytesMax => 0;

    private void SendControl(ReadOnlySpan<byte> frame)
    {
        // A peer that pings and never reads gets no queue of pongs: the next ping's answer covers this one's (section 5.5.3).
        if (_state == State.Open && Outlet.BacklogBytes <= PongBacklogBytesMax)
        {
            Send(frame);
        }
    }

    private static string? Text(ReadOnlySpan<byte> nonce) => nonce.IsEmpty ? null : Encoding.UTF8.GetString(nonce);

    private void SendAck(MessageRecord record, bool isDuplicate) =>
        SendAck(record.RoomId, record.Seq, record.Id, record.Nonce, isDuplicate);

    private void SendAck(long roomId, long seq, long id, string? nonceText, bool isDuplicate)
    {
        // The sender's own event goes first, as documented: a commit can be quicker than the fan-out of a busy shard.
        Membership? membership = DefaultRoom is null ? _memberships?.GetValueOrDefault(roomId) : _first;
        if (membership is { Group: { IsActive: true } group } && group.Seq < seq)
        {
            Shard.FanOutAll(group);
        }

        Span<byte> payload = stackalloc byte[EventBytesMax];
        Span<byte> nonce = stackalloc byte[NonceBytesMax];
        int nonceLength = Encoding.UTF8.GetBytes(nonceText, nonce);
        if (_state == State.Open)
        {
            WriteText(payload[..Events.WriteAck(payload, nonce[..nonceLength], roomId, seq, id, isDuplicate)]);
            Shard.FlushAtLeisure(Outlet);
        }

        CheckBacklog();
    }

    public void SendError(string code, string message, long roomId) => SendError(new ErrorEvent(code, message, null, roomId, 0));

    private void SendError(ErrorEvent error)
    {
        Span<byte> payload = stackalloc byte[EventBytesMax];
        Span<byte> nonce = stackalloc byte[NonceBytesMax];
        int nonceLength = Encoding.UTF8.GetBytes(error.Nonce, nonce);
        SendText(payload[..Events.WriteError(payload, error.Code, error.Message, nonce[..nonceLength], error.RoomId, error.RetryAfterMs)]);
        CheckBacklog();
    }

    /// <summary>Heads as far as they have been sent from here: a client that has less has lost something.</summary>
    private void SendPong()
    {
        if (_state != State.Open)
        {
            return;
        }

        Span<byte> payload = stackalloc byte[EventBytesMax];
        if (DefaultRoom is not null)
        {
            SendText(payload[..Events.WritePong(payload, DefaultRoom.Id, _first!.Group.Seq)]);
        }
        else
        {
            SendText(payload[..Events.WritePong(payload)]);
            foreach (Membership membership in _memberships?.Values ?? [])
            {
                SendText(payload[..Events.WritePong(payload, membership.Group.Room.Id, membership.Group.Seq)]);
            }
        }

        CheckBacklog();
    }

    /// <summary>Says hello: for a room, or for a connection that has none yet. Shard thread.</summary>
    public void SendWelcome(Room? room, long seq, bool recovered, long? rolledBackTo)
    {
        Span<byte> payload = stackalloc byte[Events.BytesMax(Sender.UsernameUtf8.Length)];
        SendText(payload[..Events.WriteWelcome(payload, new Welcome
        {
            RoomId = room?.Id ?? 0,
            Seq = seq,
            Epoch = room?.Epoch ?? 0,
            Recovered = recovered,
            RolledBackTo = rolledBackTo,
            UserId = Sender.UserId,
            Username = Sender.UsernameUtf8,
            PingMs = Shard.Limits.PingIntervalMs,
            ExpiresAtUnixMs = ExpiresAt.ToUnixTimeMilliseconds(),
        })]);
    }

    /// <summary>Enters a room, or enters it again from another point. Shard thread.</summary>
    public void Subscribe(Room room, ResumePoint resume)
    {
        if (_state != State.Open)
        {
            return;
        }

        var membership = new Membership(this, room.MembersOn(Shard));
        if (DefaultRoom is not null)
        {
            _first = membership;
        }
        else
        {
            _memberships ??= new ConcurrentDictionary<long, Membership>(concurrencyLevel: 1, capacity: 3);
            if (_memberships.TryGetValue(room.Id, out Membership? earlier))
            {
                Leave(earlier);
            }
            else if (_memberships.Count >= Shard.Limits.SubscriptionsMax)
            {
                SendError(ErrorCode.TooManySubscriptions, "this connection has too many rooms", room.Id);
                return;
            }

            _memberships[room.Id] = membership;
        }

        _services.Resume.Begin(membership, resume);
    }

    private void Unsubscribe(long roomId)
    {
        if (_memberships is not null && _memberships.TryRemove(roomId, out Membership? membership))
        {
            Leave(membership);
            Span<byte> payload = stackalloc byte[EventBytesMax];
            SendText(payload[..Events.WriteUnsubscribed(payload, roomId)]);
        }
        else
        {
            SendError(ErrorCode.NotSubscribed, "not subscribed to this room", roomId);
        }
    }

    private static void Leave(Membership membership)
    {
        membership.HasLeft = true;
        membership.Group.Leave(membership);
    }

    private void LeaveAll()
    {
        if (_first is not null)
        {
            Leave(_first);
            _first = null;
        }

        foreach (Membership membership in _memberships?.Values ?? [])
        {
            Leave(membership);
        }

        _memberships?.Clear();
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

    private sealed record ErrorEvent(string Code, string Message, string? Nonce, long RoomId, int RetryAfterMs);
}
