using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Text;
using Chat.Protocol.Messages;
using Chat.Protocol.WebSocket;
using Chat.Server.Rooms;
using Chat.Storage;

namespace Chat.Server.Connections;

/// <summary>
/// The session of <c>/ws</c> and <c>/ws/{room_id}</c>: what a client of the chat may do when, by docs/protocol.md. Its input side takes commands,
/// its output side has the memberships and writes the events that are for this client alone.
/// </summary>
internal sealed class ChatSession : WebSocketSession, IPublisher
{
    /// <summary>64 characters of a nonce (<see cref="CommandParser.NonceCharactersMax"/>), 4 bytes each.</summary>
    private const int NonceBytesMax = CommandParser.NonceCharactersMax * 4;

    /// <summary>An acknowledgement, an error or a pong: a nonce and one of our own sentences.</summary>
    private static readonly int EventBytesMax = Events.BytesMax(NonceBytesMax + 256);

    private ConcurrentDictionary<long, Membership>? _memberships;
    private Membership? _first;
    private Task _subscribing = Task.CompletedTask;
    private ParkedMessage? _parked;

    /// <param name="shard">The shard that owns its output side.</param>
    /// <param name="outlet">The way out.</param>
    /// <param name="sender">Whose messages come in.</param>
    /// <param name="expiresAt">When the token ends.</param>
    /// <param name="room">The room of the path, or null.</param>
    /// <param name="services">What all sessions share.</param>
    /// <param name="deflate">What was agreed on compression, without context takeover; null for no extension.</param>
    public ChatSession(
        Shard shard,
        Outlet outlet,
        Sender sender,
        DateTimeOffset expiresAt,
        Room? room,
        SessionServices services,
        DeflateParameters? deflate = null)
        : base(shard, outlet, sender, expiresAt, services, new MessageReader(FrameSender.Client, shard.Limits.MessageBytesMax, deflate is not null))
    {
        DefaultRoom = room;
        TakesCompressed = deflate is { } parameters && parameters.ServerWindowBits >= CompressedEvents.WindowBits;
    }

    /// <summary>The room of <c>/ws/{room_id}</c>; null on <c>/ws</c>.</summary>
    public Room? DefaultRoom { get; }

    /// <summary>It is sent events in the form of <see cref="CompressedEvents"/>, where they have one.</summary>
    public bool TakesCompressed { get; }

    protected override RateLimits? Rates => Services.Rates;

    public void Committed(MessageRecord record, bool isDuplicate) => Shard.Post(
        isDuplicate
            ? static (target, argument) => ((ChatSession)target).SendAck((MessageRecord)argument!, isDuplicate: true)
            : static (target, argument) => ((ChatSession)target).SendAck((MessageRecord)argument!, isDuplicate: false),
        this,
        record);

    public void Failed(long roomId, string? nonce, string code) => PostError(code, "the message could not be stored", nonce, roomId, 0);

    /// <summary>Leaves one room without a word, when its replay cannot be had. Shard thread.</summary>
    public void Abandon(Membership membership)
    {
        _memberships?.TryRemove(membership.Group.Room.Id, out _);
        Leave(membership);
        membership.Welcomed();
    }

    /// <summary>Enters the default room, or says hello without one. Shard thread, once.</summary>
    protected override void Begin(ResumePoint resume)
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

    protected override void ReceiveMessage(Opcode opcode, ReadOnlySpan<byte> payload, int bytes)
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

    private void ReceiveCommand(ReadOnlySpan<byte> json, int bytes)
    {
        byte[] scratch = ReceiveScratch.Strings(json.Length);
        bool isSound = CommandParser.TryParse(json, scratch, out Command command, out CommandError error, Shard.Limits.ContentCharsMax);
        bool isMessage = isSound && command.Type == CommandType.Message;
        if (Rates is { } rates && Take(rates, isMessage, bytes) is > 0 and int retryAfterMs)
        {
            if (!EndIfExhausted(rates, isMessage ? 1 : 0, isMessage ? 0 : 1, bytes))
            {
                RefuseAsTooFast(isSound ? command.Nonce : error.Nonce, isSound ? command.RoomId : error.RoomId, retryAfterMs);
            }

            return;
        }

        if (!isSound)
        {
            PostError(error.Code!, error.Message, Text(error.Nonce), error.RoomId, 0);
            return;
        }

        if (!IsOpen)
        {
            return; // We have said goodbye: whoever is told why must not speak on, and gets no answer either.
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
                BeginUnsubscribe(command.RoomId);
                break;
            case CommandType.Ping:
                Shard.Post(static (target, _) => ((ChatSession)target).SendPong(), this);
                break;
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void RefuseAsTooFast(ReadOnlySpan<byte> nonce, long roomId, int retryAfterMs) =>
        PostError(ErrorCode.RateLimited, "slower, please", Text(nonce), roomId == 0 ? DefaultRoom?.Id ?? 0 : roomId, retryAfterMs);

    private void Publish(in Command command)
    {
        bool isDefault = command.RoomId == 0 || command.RoomId == DefaultRoom?.Id;
        Membership? membership = isDefault ? _first : _memberships?.GetValueOrDefault(command.RoomId);
        Room? room = isDefault ? DefaultRoom : membership?.Group.Room;
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

        if (!TryOffer(room, membership, command.Content, command.Nonce))
        {
            _parked = new ParkedMessage(room, membership, command.Content.ToArray(), command.Nonce.ToArray());
            Park();
        }
    }

    /// <summary>False when the room's ring is full: this thread serves others as well and waits for nobody.</summary>
    private bool TryOffer(Room room, Membership? membership, ReadOnlySpan<byte> content, ReadOnlySpan<byte> nonce)
    {
        switch (room.Offer(Sender, content, nonce, this, out long seq, out long id))
        {
            case OfferStatus.Accepted when Shard.IsCurrent: // Input on other threads may not touch the members.
                membership?.Group.Prefer(membership);
                break;
            case OfferStatus.Duplicate:
                Shard.Post(
                    static (target, argument) =>
                    {
                        var (roomId, seq, id, nonce) = ((long, long, long, string?))argument!;
                        ((ChatSession)target).SendAck(roomId, seq, id, nonce, isDuplicate: true);
                    },
                    this,
                    (room.Id, seq, id, Text(nonce)));
                break;
            case OfferStatus.Full:
                return false;
            case OfferStatus.Overloaded:
                PostError(ErrorCode.Overloaded, "too many messages wait to be stored", Text(nonce), room.Id, Services.Log.RetryAfterMs);
                break;
        }

        return true;
    }

    protected override bool TryCarryOut(bool mustEnd)
    {
        ParkedMessage parked = _parked!;
        if (!TryOffer(parked.Room, parked.Membership, parked.Content, parked.Nonce))
        {
            if (!mustEnd)
            {
                return false;
            }

            PostError(ErrorCode.Overloaded, "too many messages wait to be sent", Text(parked.Nonce), parked.Room.Id, Room.FullRingWaitMs);
        }

        _parked = null;
        return true;
    }

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
            _subscribing = Services.Subscriptions.SubscribeAsync(this, roomId, resume, _subscribing);
        }
    }

    /// <summary>Behind the subscriptions that were asked for before and still wait for the database: what the client said last holds.</summary>
    private void BeginUnsubscribe(long roomId)
    {
        if (_subscribing.IsCompleted)
        {
            PostUnsubscribe(roomId);
        }
        else
        {
            _subscribing = UnsubscribeAsync(roomId, _subscribing);
        }
    }

    private async Task UnsubscribeAsync(long roomId, Task earlier)
    {
        await earlier;
        PostUnsubscribe(roomId);
    }

    private void PostUnsubscribe(long roomId) => Shard.Post(
        static (target, argument) => ((ChatSession)target).Unsubscribe((long)argument!), this, roomId);

    private void PostError(string code, string message, string? nonce, long roomId, int retryAfterMs) => Shard.Post(
        static (target, argument) => ((ChatSession)target).SendError((ErrorEvent)argument!),
        this,
        new ErrorEvent(code, message, nonce, roomId, retryAfterMs));

    // ---- output side: the shard's thread ----

    private static string? Text(ReadOnlySpan<byte> nonce) => nonce.IsEmpty ? null : Encoding.UTF8.GetString(nonce);

    private void SendAck(MessageRecord record, bool isDuplicate) =>
        SendAck(record.RoomId, record.Seq, record.Id, record.Nonce, isDuplicate);

    private void SendAck(long roomId, long seq, long id, string? nonceText, bool isDuplicate)
    {
        // The welcome goes first, and then the sender's own event: a commit can be quicker than a replay, and than the fan-out of a busy shard.
        Membership? membership = DefaultRoom is null ? _memberships?.GetValueOrDefault(roomId) : _first;
        if (membership is not null && (!membership.IsWelcomed || (membership.Group.IsActive && membership.Group.Seq < seq)))
        {
            var work = new ShardWork(
                static (target, argument) =>
                {
                    var (roomId, seq, id, nonce, isDuplicate) = ((long, long, long, string?, bool))argument!;
                    ((ChatSession)target).SendAck(roomId, seq, id, nonce, isDuplicate);
                },
                this,
                (roomId, seq, id, nonceText, isDuplicate));
            if (membership.IsWelcomed)
            {
                membership.Group.WhenServed(seq, work);
            }
            else
            {
                (membership.Answers ??= []).Add(work);
            }

            return;
        }

        Span<byte> payload = stackalloc byte[EventBytesMax];
        Span<byte> nonce = stackalloc byte[NonceBytesMax];
        int nonceLength = Encoding.UTF8.GetBytes(nonceText, nonce);
        if (IsOpen)
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

    /// <summary>Heads as far as they have been sent from here: a client that has less has lost something. None of a room before its welcome.</summary>
    private void SendPong()
    {
        if (!IsOpen)
        {
            return;
        }

        Span<byte> payload = stackalloc byte[EventBytesMax];
        if (_first is { IsWelcomed: true })
        {
            SendText(payload[..Events.WritePong(payload, _first.Group.Room.Id, _first.Group.Seq)]);
        }
        else
        {
            SendText(payload[..Events.WritePong(payload)]);
            foreach (Membership membership in _memberships?.Values ?? [])
            {
                if (membership.IsWelcomed)
                {
                    SendText(payload[..Events.WritePong(payload, membership.Group.Room.Id, membership.Group.Seq)]);
                }
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
        if (!IsOpen)
        {
            return;
        }

        Membership? earlier = _memberships?.GetValueOrDefault(room.Id);
        if (earlier is null && _memberships?.Count >= Shard.Limits.SubscriptionsMax)
        {
            SendError(ErrorCode.TooManySubscriptions, "this connection has too many rooms", room.Id);
            return;
        }

        if (!room.TryUse())
        {
            RefuseUnloaded(room);
            return;
        }

        var membership = new Membership(this, room.MembersOn(Shard));
        if (DefaultRoom is not null)
        {
            _first = membership;
        }
        else
        {
            if (earlier is not null)
            {
                Leave(earlier);
                membership.Answers = earlier.Answers;
            }

            _memberships ??= new ConcurrentDictionary<long, Membership>(concurrencyLevel: 1, capacity: 3);
            _memberships[room.Id] = membership;
        }

        Services.Resume.Begin(membership, resume);
    }

    private void Unsubscribe(long roomId)
    {
        if (_memberships is not null && _memberships.TryRemove(roomId, out Membership? membership))
        {
            Leave(membership);
            membership.Welcomed();
            Span<byte> payload = stackalloc byte[EventBytesMax];
            SendText(payload[..Events.WriteUnsubscribed(payload, roomId)]);
        }
        else
        {
            SendError(ErrorCode.NotSubscribed, "not subscribed to this room", roomId);
        }
    }

    /// <summary>The room was found so long ago that it has been unloaded since: whoever comes again finds it.</summary>
    private void RefuseUnloaded(Room room)
    {
        if (DefaultRoom is not null)
        {
            Close(CloseCode.InternalError, "come again");
        }
        else
        {
            SendError(ErrorCode.Unavailable, "subscribe again", room.Id);
        }
    }

    private static void Leave(Membership membership)
    {
        bool isFirst = !membership.HasLeft;
        membership.HasLeft = true;
        membership.Group.Leave(membership);
        if (isFirst)
        {
            membership.Group.Room.EndUse();
        }
    }

    protected override void LeaveRooms()
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

    /// <summary>A message that found its room's ring full.</summary>
    /// <param name="Room">Where it goes.</param>
    /// <param name="Membership">Of its sender, if there is one.</param>
    /// <param name="Content">UTF-8.</param>
    /// <param name="Nonce">UTF-8; empty for none.</param>
    private sealed record ParkedMessage(Room Room, Membership? Membership, byte[] Content, byte[] Nonce);

    private sealed record ErrorEvent(string Code, string Message, string? Nonce, long RoomId, int RetryAfterMs);
}
