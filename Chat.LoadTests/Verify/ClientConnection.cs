using System.Net.Security;
using System.Text;
using Chat.LoadTests.Hosting;
using Chat.Protocol;
using Chat.Protocol.WebSocket;

namespace Chat.LoadTests.Verify;

/// <summary>
/// One connection of a client, from its handshake to whatever ends it. Call <see cref="RunAsync"/> once; it always ends with an exception
/// or a cancellation. Two loops share it: one reads, one writes; what they share is in the <see cref="ClientLedger"/>.
/// </summary>
internal sealed class ClientConnection(
    VerifyContext context, Account account, ClientLedger ledger, bool isOneRoom, Random random, Publishing publishing) : IAsyncDisposable
{
    private const int BufferBytes = 64 * 1024;
    private const int ResponseHeadBytesMax = 16 * 1024;

    /// <summary>An event holds a message of 4,000 characters at most; a frame beyond this is not one of the server's.</summary>
    private const int EventBytesMax = 256 * 1024;

    /// <summary>A batch of frames that goes out at once; a message with its frame has to fit what is left of it.</summary>
    private const int WriteBytes = 16 * 1024;
    private const int FrameBytesMax = 4 * 1024;

    /// <summary>Between two looks for something to send.</summary>
    private const int IdleMs = 10;

    private readonly Uri _url = context.Nodes[random.Next(context.Nodes.Count)];
    private readonly byte[] _received = new byte[BufferBytes];
    private readonly byte[] _scratch = new byte[BufferBytes];
    private MessageReader _reader = new(FrameSender.Server, EventBytesMax);
    private int _start;
    private int _end;
    private CuttingStream? _cutting;
    private Stream? _stream;
    private volatile byte[]? _pongDue;
    private volatile bool _hasBeenWelcomed;

    /// <summary>A room was entered, so that the server may be called alive.</summary>
    public bool HasBeenWelcomed => _hasBeenWelcomed;

    /// <summary>The client broke it, as planned.</summary>
    public bool WasCut => _cutting is { WasCut: true };

    public async Task RunAsync(CancellationToken cancellation)
    {
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        ledger.Connect();
        _cutting = await CuttingStream.ConnectAsync(_url, cancellation);
        PlanCut();
        _stream = await SecureAsync(_cutting, ending.Token);
        await ShakeHandsAsync(ending.Token);
        Interlocked.Increment(ref context.Tally.Connections);
        Task reading = ReadAsync(ending.Token);
        Task writing = WriteAsync(ending.Token);
        Task first = await Task.WhenAny(reading, writing);
        await ending.CancelAsync();
        await Task.WhenAll(reading, writing).ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        await first;
    }

    public async ValueTask DisposeAsync()
    {
        _reader.Dispose();
        if (_cutting is null)
        {
            return;
        }

        if (_cutting.HasPlan)
        {
            context.Cuts.GiveBack();
        }

        await _cutting.DisposeAsync(); // Not by way of TLS, which would say goodbye.
    }

    private async Task<Stream> SecureAsync(CuttingStream cutting, CancellationToken cancellation)
    {
        if (_url.Scheme != "https")
        {
            return cutting;
        }

        var secure = new SslStream(cutting);
        await secure.AuthenticateAsClientAsync(new SslClientAuthenticationOptions { TargetHost = _url.Host }, cancellation);
        return secure;
    }

    private void PlanCut()
    {
        if (!_cutting!.HasPlan && context.Cuts.TryTake(random) is { } cut)
        {
            _cutting.Plan(cut);
        }
    }

    private async Task ShakeHandsAsync(CancellationToken cancellation)
    {
        byte[] nonce = new byte[16];
        random.NextBytes(nonce);
        string key = Convert.ToBase64String(nonce);
        string path = "/ws";
        if (isOneRoom)
        {
            long room = ledger.Rooms.First();
            (long since, long epoch) = ledger.ResumePoint(room);
            path = $"/ws/{room}?since={since}&epoch={epoch}";
        }

        string request = $"GET {path} HTTP/1.1\r\nHost: {_url.Authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            + $"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nAuthorization: Bearer {account.Token}\r\n\r\n";
        await _stream!.WriteAsync(Encoding.ASCII.GetBytes(request), cancellation);
        int headBytes;
        while ((headBytes = _received.AsSpan(0, _end).IndexOf("\r\n\r\n"u8)) < 0)
        {
            if (_end >= ResponseHeadBytesMax)
            {
                throw new InvalidDataException("the answer to the handshake has no end");
            }

            await ReceiveAsync(cancellation);
        }

        CheckAnswer(Encoding.Latin1.GetString(_received, 0, headBytes), key);
        _start = headBytes + 4;
    }

    private void CheckAnswer(string head, string key)
    {
        string status = head.Split(' ', 3) is [_, var code, ..] ? code : "";
        if (status == "101")
        {
            byte[] accept = new byte[Handshake.AcceptBytes];
            Handshake.ComputeAccept(Encoding.ASCII.GetBytes(key), accept);
            if (!head.Contains(Encoding.ASCII.GetString(accept), StringComparison.Ordinal))
            {
                throw new InvalidDataException("the server accepted the handshake with another client's key");
            }

            return;
        }

        if (status == "404")
        {
            context.Findings.Add(Fault.Lost, $"room {ledger.Rooms.First()} is gone: its handshake is answered with 404");
        }
        else if (status.StartsWith('4') && status is not ("408" or "429"))
        {
            throw new CannotRunException($"{_url} refuses the WebSocket handshake: {head.Split('\r')[0]}");
        }

        throw new IOException($"handshake answered with {status}");
    }

    private async Task ReadAsync(CancellationToken cancellation)
    {
        while (true)
        {
            while (TakeEvents(out long roomToPage))
            {
                await FillGapAsync(roomToPage, cancellation);
            }

            await ReceiveAsync(cancellation);
        }
    }

    private async Task ReceiveAsync(CancellationToken cancellation)
    {
        if (_start > 0)
        {
            _received.AsSpan(_start, _end - _start).CopyTo(_received);
            (_start, _end) = (0, _end - _start);
        }

        int received = await _stream!.ReadAsync(_received.AsMemory(_end), cancellation);
        if (received == 0)
        {
            throw new EndOfStreamException();
        }

        _end += received;
    }

    /// <summary>Takes what has been received. True when it stopped at a welcome whose gap has to be paged.</summary>
    private bool TakeEvents(out long roomToPage)
    {
        roomToPage = 0;
        while (true)
        {
            ReadStatus status = _reader.Read(
                _received.AsSpan(_start, _end - _start), _scratch, out int consumed, out _, out ReadOnlySpan<byte> payload, out ProtocolError error);
            _start += consumed;
            switch (status)
            {
                case ReadStatus.NeedMore:
                    return false;
                case ReadStatus.Text:
                    if (TakeEvent(ServerEvent.Parse(payload), out roomToPage))
                    {
                        return true;
                    }

                    break;
                case ReadStatus.Ping:
                    _pongDue = payload.ToArray();
                    break;
                case ReadStatus.Pong:
                    break;
                case ReadStatus.Close:
                    ushort code = MessageReader.ReadClose(payload, out _);
                    context.Tally.CountClose(code);
                    throw new IOException($"closed with {code}");
                default:
                    throw new InvalidDataException($"not a frame of a server: {error.Reason}");
            }
        }
    }

    private bool TakeEvent(in ServerEvent read, out long roomToPage)
    {
        roomToPage = 0;
        switch (read.Type)
        {
            case "welcome" when read.Room != 0:
                _hasBeenWelcomed = true;
                roomToPage = read.Room;
                return ledger.Welcome(read);
            case "message":
                Interlocked.Increment(ref context.Tally.Deliveries);
                ledger.Message(read);
                break;
            case "ack":
                ledger.Acknowledge(read);
                break;
            case "error":
                TakeError(read);
                break;
            default:
                break; // The connection's own welcome, pongs, and whatever a newer server says.
        }

        return false;
    }

    private void TakeError(in ServerEvent error)
    {
        switch (error.Code)
        {
            case "overloaded" or "rate_limited":
                Interlocked.Increment(ref context.Tally.Overloaded);
                ledger.PutOff(error.Nonce, Environment.TickCount64 + (error.RetryAfterMs > 0 ? error.RetryAfterMs : 1000));
                break;
            case "not_stored":
                ledger.Refuse(error.Nonce);
                break;
            case "unavailable":
                throw new IOException("the database is away");
            default:
                throw new InvalidDataException($"a sound command was refused with {error.Code} (nonce '{error.Nonce}', room {error.Room})");
        }
    }

    private async Task FillGapAsync(long room, CancellationToken cancellation)
    {
        for (bool hasMore = true; hasMore;)
        {
            HistoryPage page = await context.History.ReadPageAsync(room, ledger.ResumePoint(room).Since, cancellation);
            if (!ledger.AddPage(room, page))
            {
                throw new IOException("the server was restarted while the gap was paged");
            }

            hasMore = page.HasMore;
        }
    }

    private async Task WriteAsync(CancellationToken cancellation)
    {
        byte[] buffer = new byte[WriteBytes];
        int length = isOneRoom ? 0 : Subscribe(buffer);
        while (true)
        {
            length += Fill(buffer.AsSpan(length));
            PlanCut();
            if (length == 0)
            {
                await Task.Delay(IdleMs, cancellation);
                continue;
            }

            await _stream!.WriteAsync(buffer.AsMemory(0, length), cancellation);
            length = 0;
        }
    }

    private int Subscribe(Span<byte> buffer)
    {
        int length = 0;
        foreach (long room in ledger.Rooms)
        {
            (long since, long epoch) = ledger.ResumePoint(room);
            length += WriteFrame(
                buffer[length..], Opcode.Text, Encoding.ASCII.GetBytes($$"""{"type":"subscribe","room_id":{{room}},"since":{{since}},"epoch":{{epoch}}}"""));
        }

        return length;
    }

    private int Fill(Span<byte> buffer)
    {
        int length = 0;
        if (_pongDue is { } payload)
        {
            _pongDue = null;
            length += WriteFrame(buffer, Opcode.Pong, payload);
        }

        publishing.Make(ledger, random);
        while (buffer.Length - length > FrameBytesMax && ledger.NextToSend(Environment.TickCount64) is { } message)
        {
            Interlocked.Increment(ref context.Tally.Sent);
            string json = $$"""{"type":"message","room_id":{{message.Room}},"content":"{{message.Nonce.Content()}}","nonce":"{{message.Nonce}}"}""";
            length += WriteFrame(buffer[length..], Opcode.Text, Encoding.ASCII.GetBytes(json));
        }

        return length;
    }

    private int WriteFrame(Span<byte> destination, Opcode opcode, byte[] payload) =>
        FrameWriter.WriteMasked(destination, opcode, payload, (uint)random.Next());
}
