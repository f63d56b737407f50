using System.Buffers.Binary;
using System.Text;
using Chat.Protocol;
using Chat.Protocol.WebSocket;

namespace Chat.LoadTests.Clients;

/// <summary>
/// A member of a room: it checks that every event of the room comes once and in order, and records how old each message
/// is. Order is checked by the room's seq, which counts without holes (docs/protocol.md), so a connection needs two
/// numbers and no table of publishers.
/// </summary>
internal sealed class WebSocketClient : Client
{
    private const int CloseCodeBytes = sizeof(ushort);

    private readonly string _token;
    private readonly int _room;
    private bool _isUpgraded;
    private bool _isWelcome;
    private long _epoch;
    private long _missedUpTo;
    private bool _anySeqNext;
    private int _lastOwnNumber;

    /// <param name="loop">The loop that owns it.</param>
    /// <param name="index">Its number in the whole run.</param>
    /// <param name="room">The room's place in <see cref="ClientLoop.Rooms"/>.</param>
    /// <param name="token">Who it is.</param>
    public WebSocketClient(ClientLoop loop, int index, int room, string token)
        : base(loop)
    {
        Index = index;
        _room = room;
        _token = token;
    }

    public int Index { get; }

    public int Room => _room;

    /// <summary>The newest event it has, or where it began.</summary>
    public long LastSeq { get; private set; }

    /// <summary>Its own messages that have neither come back nor been refused.</summary>
    public int Outstanding { get; private set; }

    /// <summary>Welcomed, and not ended.</summary>
    public bool IsMember => _isWelcome && HasSocket;

    /// <summary>How many messages it has sent.</summary>
    public int Sent { get; private set; }

    private long RoomId => Loop.Rooms[_room];

    /// <summary>Sends a message that was due at <paramref name="dueNs"/>.</summary>
    public void Publish(MessageTemplate template, long dueNs)
    {
        Sent++;
        Outstanding++;
        Loop.Counters.Published++;
        Send(template.Frame(Marker.At(dueNs, Index, Sent), Loop.NextMaskingKey()));
    }

    /// <summary>Asks for a sign of life; the answer is counted as a pong.</summary>
    public void Ping() => SendFrame(Opcode.Text, "{\"type\":\"ping\"}"u8);

    /// <summary>Ends the connection; what was outstanding is given up, as a client does that is cut off.</summary>
    /// <param name="forgets">It will come back as a new client, and not resume.</param>
    public void Leave(bool forgets = false)
    {
        _epoch = forgets ? 0 : _epoch;
        Drop();
        _isUpgraded = false;
        _isWelcome = false;
        Outstanding = 0;
    }

    protected override void OnConnected()
    {
        string resume = _epoch == 0 ? "" : $"?since={LastSeq}&epoch={_epoch}";
        Send(Encoding.ASCII.GetBytes(
            $"GET /ws/{RoomId}{resume} HTTP/1.1\r\nHost: {Loop.HostField}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
            $"Sec-WebSocket-Key: {UpgradeAnswer.Key}\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer {_token}\r\n\r\n"));
    }

    protected override int OnReceived(Span<byte> bytes, long nowNs)
    {
        int consumed = 0;
        if (!_isUpgraded)
        {
            if (!UpgradeAnswer.TryRead(bytes, out consumed, out string? refusal))
            {
                if (refusal is not null)
                {
                    End(refusal);
                }

                return 0;
            }

            _isUpgraded = true;
        }

        long seenSeq = LastSeq;
        long nowUs = nowNs / Clock.NsPerUs;
        while (HasSocket)
        {
            Span<byte> rest = bytes[consumed..];
            if (TryTakeNext(rest, nowUs, out int taken))
            {
                consumed += taken;
                continue;
            }

            if (!FrameReader.TryReadHeader(
                rest, FrameSender.Server, rsv1Allowed: false, ClientLoop.FrameBytesMax, out FrameHeader header, out ProtocolError error))
            {
                if (!error.IsNone)
                {
                    End($"protocol: {error.Reason}");
                }

                break;
            }

            int frameBytes = header.HeaderBytes + header.PayloadLength;
            if (rest.Length < frameBytes)
            {
                break;
            }

            consumed += frameBytes;
            OnFrame(header, rest[header.HeaderBytes..frameBytes], nowNs);
        }

        if (LastSeq > seenSeq)
        {
            Loop.SawSeq(_room, LastSeq);
        }

        return consumed;
    }

    protected override void OnEnded(string reason)
    {
        bool wasMember = _isWelcome;
        _isUpgraded = false;
        _isWelcome = false;
        Outstanding = 0;
        if (wasMember)
        {
            Loop.Counters.Closed++;
        }
        else
        {
            Loop.Counters.Failed++;
        }

        Loop.OnEnded(this, wasMember, reason);
    }

    /// <summary>
    /// The frame that nearly all are: a whole message event of this room as this server writes it, the next in order, with a marker. At
    /// saturation it is what the client does. Whatever differs is left, untouched, to <see cref="OnFrame"/>.
    /// </summary>
    private bool TryTakeNext(ReadOnlySpan<byte> input, long nowUs, out int frameBytes)
    {
        const byte FinAndText = 0x81;
        const byte UnmaskedLength16 = 126;
        const int HeaderBytes = 4;
        frameBytes = 0;
        if (input.Length < HeaderBytes || input[0] != FinAndText || input[1] != UnmaskedLength16)
        {
            return false;
        }

        frameBytes = HeaderBytes + BinaryPrimitives.ReadUInt16BigEndian(input[2..]);
        if (input.Length < frameBytes)
        {
            return false;
        }

        ReadOnlySpan<byte> payload = input[HeaderBytes..frameBytes];
        ReadOnlySpan<byte> upToSeq = Loop.MessageUpToSeq(_room);
        if (!payload.StartsWith(upToSeq))
        {
            return false;
        }

        long seq = 0;
        for (int at = upToSeq.Length; at < payload.Length && payload[at] is >= (byte)'0' and <= (byte)'9'; at++)
        {
            seq = seq * 10 + (payload[at] - '0');
        }

        if (seq != LastSeq + 1 || _missedUpTo != 0 || _anySeqNext || !Marker.TryFind(payload, ref Loop.MarkerPlace, out Marker marker))
        {
            return false;
        }

        LastSeq = seq;
        Loop.Counters.Delivered++;
        Loop.RecordDelivery(marker, nowUs);
        if (marker.Publisher == Index)
        {
            CheckOwn(marker.Number);
            OnOwnMessageSettled();
        }

        return true;
    }

    private void OnFrame(FrameHeader header, ReadOnlySpan<byte> payload, long nowNs)
    {
        switch (header.Opcode)
        {
            case Opcode.Text:
                OnEvent(payload, nowNs);
                break;
            case Opcode.Ping:
                SendFrame(Opcode.Pong, payload);
                break;
            case Opcode.Close:
                OnClose(payload);
                break;
        }
    }

    private void OnEvent(ReadOnlySpan<byte> payload, long nowNs)
    {
        switch (EventScan.KindOf(payload))
        {
            case EventKind.Message:
                OnMessage(payload, nowNs);
                break;
            case EventKind.Ack:
                Loop.Counters.Acked++;
                if (Marker.TryFind(payload, out Marker acked))
                {
                    Loop.RecordAck(acked, nowNs / Clock.NsPerUs);
                }

                break;
            case EventKind.Welcome:
                OnWelcome(EventFields.Read(payload), nowNs);
                break;
            case EventKind.Error:
                Loop.Counters.Refused++;
                Loop.Note($"the server refused a message: {EventFields.Read(payload).Code}");
                OnOwnMessageSettled();
                break;
            case EventKind.Pong:
                Loop.Counters.Pongs++;
                break;
        }
    }

    private void OnMessage(ReadOnlySpan<byte> payload, long nowNs)
    {
        Loop.Counters.Delivered++;
        if (!EventScan.TryReadPlace(payload, out long roomId, out long seq) || roomId != RoomId)
        {
            Loop.Counters.Misrouted++;
            return;
        }

        CheckSeq(seq);
        if (!Marker.TryFind(payload, out Marker marker))
        {
            Loop.Counters.Foreign++;
            return;
        }

        if (_missedUpTo == 0)
        {
            Loop.RecordDelivery(marker, nowNs / Clock.NsPerUs); // Replayed events are as old as the absence was: they say nothing of delivery.
        }
        else if (seq >= _missedUpTo)
        {
            Resumed(nowNs);
        }

        if (marker.Publisher == Index)
        {
            CheckOwn(marker.Number);
            OnOwnMessageSettled();
        }
    }

    private void CheckSeq(long seq)
    {
        if (seq == LastSeq + 1 || _anySeqNext)
        {
            LastSeq = seq;
            _anySeqNext = false;
        }
        else if (seq > LastSeq)
        {
            Loop.Counters.Lost += seq - LastSeq - 1;
            LastSeq = seq;
        }
        else if (seq == LastSeq)
        {
            Loop.Counters.Duplicates++;
        }
        else
        {
            Loop.Counters.Reordered++;
        }

        Loop.SawSeq(_room, seq);
    }

    /// <summary>A sender's messages come in the order in which it sent them; numbers go round, so the distance tells.</summary>
    private void CheckOwn(int number)
    {
        if (((number - _lastOwnNumber) & (Marker.IndexCount - 1)) >= Marker.IndexCount / 2)
        {
            Loop.Counters.Reordered++;
        }

        _lastOwnNumber = number;
    }

    private void OnOwnMessageSettled()
    {
        Outstanding = Math.Max(0, Outstanding - 1);
        Loop.OnSettled(this);
    }

    private void OnWelcome(EventFields welcome, long nowNs)
    {
        bool resumes = _epoch != 0;
        _isWelcome = true;
        Loop.Counters.Opened++;
        Latencies.Record(Loop.Latencies.Connect, (nowNs - ConnectStartNs) / Clock.NsPerUs);
        _epoch = welcome.Epoch;
        if (!resumes)
        {
            LastSeq = welcome.Seq;
        }
        else if (!welcome.Recovered)
        {
            Loop.Counters.Reloads++;
            _anySeqNext = welcome.Seq > LastSeq; // The newest 50 follow: a hole that the client was told of.
        }
        else if (welcome.RolledBackTo is long rolledBackTo)
        {
            LastSeq = Math.Min(LastSeq, rolledBackTo);
        }

        _missedUpTo = resumes && welcome.Seq > LastSeq ? welcome.Seq : 0;
        if (resumes && _missedUpTo == 0)
        {
            Latencies.Record(Loop.Latencies.Resume, (nowNs - ConnectStartNs) / Clock.NsPerUs);
        }

        Loop.SawSeq(_room, welcome.Seq);
        Loop.OnWelcome(this);
    }

    private void Resumed(long nowNs)
    {
        _missedUpTo = 0;
        Latencies.Record(Loop.Latencies.Resume, (nowNs - ConnectStartNs) / Clock.NsPerUs);
    }

    private void OnClose(ReadOnlySpan<byte> payload)
    {
        ushort code = payload.Length >= CloseCodeBytes ? BinaryPrimitives.ReadUInt16BigEndian(payload) : (ushort)0;
        if (code == CloseCode.SlowConsumer)
        {
            Loop.Counters.ClosedAsSlow++;
        }

        SendFrame(Opcode.Close, payload);
        End($"the server closed with {code} {Encoding.UTF8.GetString(payload[Math.Min(CloseCodeBytes, payload.Length)..])}");
    }

    private void SendFrame(Opcode opcode, ReadOnlySpan<byte> payload)
    {
        Span<byte> frame = stackalloc byte[FrameReader.HeaderBytesMax + FrameReader.ControlPayloadBytesMax];
        Send(frame[..FrameWriter.WriteMasked(frame, opcode, payload, Loop.NextMaskingKey())]);
    }
}
