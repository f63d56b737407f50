using System.Buffers.Binary;
using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>A client that may do what no library would: bytes in, bytes out.</summary>
public sealed class RawClient : IDisposable
{
    public const int Continuation = 0;
    public const int Text = 1;
    public const int Binary = 2;
    public const int Close = 8;
    public const int Ping = 9;
    public const int Pong = 10;

    private const int Fin = 0x80;

    private readonly RunningServer _server;
    private readonly Socket _socket;
    private readonly byte[] _buffer = new byte[64 * 1024];
    private int _start;
    private int _end;

    private RawClient(RunningServer server, Socket socket)
    {
        _server = server;
        _socket = socket;
    }

    /// <param name="server">Where to.</param>
    /// <param name="receiveBufferBytes">Small, for a client that makes the server wait.</param>
    public static async Task<RawClient> ConnectAsync(RunningServer server, int? receiveBufferBytes = null)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        if (receiveBufferBytes is { } bytes)
        {
            socket.ReceiveBufferSize = bytes;
        }

        await socket.ConnectAsync(server.Url.Host, server.Url.Port);
        return new RawClient(server, socket);
    }

    /// <summary>The server's end was a reset, which may have taken an answer away.</summary>
    public bool WasReset { get; private set; }

    /// <summary>An opening handshake (RFC 6455 section 1.2) without the token, which is in the path.</summary>
    public static string Handshake(string path, string moreFields = "") =>
        $"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + $"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{moreFields}\r\n";

    /// <summary>A frame as a client sends it. <paramref name="first"/> is FIN, the reserved bits and the opcode.</summary>
    public static byte[] Frame(int first, ReadOnlySpan<byte> payload, bool isMasked = true)
    {
        var frame = new List<byte> { (byte)first };
        int mask = isMasked ? 0x80 : 0;
        Span<byte> length = stackalloc byte[8];
        switch (payload.Length)
        {
            case < 126:
                frame.Add((byte)(mask | payload.Length));
                break;
            case <= ushort.MaxValue:
                frame.Add((byte)(mask | 126));
                BinaryPrimitives.WriteUInt16BigEndian(length, (ushort)payload.Length);
                frame.AddRange(length[..2]);
                break;
            default:
                frame.Add((byte)(mask | 127));
                BinaryPrimitives.WriteUInt64BigEndian(length, (ulong)payload.Length);
                frame.AddRange(length);
                break;
        }

        ReadOnlySpan<byte> key = isMasked ? [0x37, 0xfa, 0x21, 0x3d] : [0, 0, 0, 0];
        if (isMasked)
        {
            frame.AddRange(key);
        }

        for (int i = 0; i < payload.Length; i++)
        {
            frame.Add((byte)(payload[i] ^ key[i % 4]));
        }

        return [.. frame];
    }

    public static byte[] Frame(int opcode, string text) => Frame(Fin | opcode, Encoding.UTF8.GetBytes(text));

    public static byte[] CloseFrame(int code) => Frame(Fin | Close, [(byte)(code >> 8), (byte)code]);

    public Task SendAsync(string text) => SendAsync(Encoding.Latin1.GetBytes(text));

    public async Task SendAsync(byte[] bytes)
    {
        for (int sent = 0; sent < bytes.Length;)
        {
            sent += await _server.Within(_socket.SendAsync(bytes.AsMemory(sent)).AsTask(), "sending");
        }
    }

    /// <summary>Sends them so many times, or until the server closes or something else has happened. How many times it did.</summary>
    public async Task<int> FloodAsync(byte[] bytes, int timesMax, Task? until = null)
    {
        int times = 0;
        try
        {
            for (; times < timesMax && until is not { IsCompleted: true }; times++)
            {
                await SendAsync(bytes);
            }
        }
        catch (Xunit.Sdk.XunitException exception) when (exception.InnerException is SocketException)
        {
            // Closed meanwhile.
        }

        return times;
    }

    /// <summary>Sends a byte a write; with <paramref name="untilAnswered"/> only until an answer has come. Returns how many.</summary>
    public async Task<int> TrickleAsync(string text, bool untilAnswered)
    {
        byte[] bytes = Encoding.Latin1.GetBytes(text);
        int i = 0;
        for (; i < bytes.Length && !(untilAnswered && _socket.Available > 0); i++)
        {
            try
            {
                await _socket.SendAsync(bytes.AsMemory(i, 1)).AsTask().WaitAsync(Deadline.ForAnswer);
            }
            catch (SocketException) when (untilAnswered)
            {
                break; // Closed meanwhile; what it said can still be read.
            }
        }

        return i;
    }

    /// <summary>Says that nothing more will be sent, and stays.</summary>
    public void EndInput() => _socket.Shutdown(SocketShutdown.Send);

    /// <summary>Vanishes: what the server sends from now on, or has sent already, is answered with RST.</summary>
    public void Reset()
    {
        _socket.LingerState = new LingerOption(true, 0);
        _socket.Dispose();
    }

    /// <summary>One response, with its content when it has one.</summary>
    public async Task<RawResponse> ReadResponseAsync(bool toHead = false)
    {
        string head = "";
        while (!head.EndsWith("\r\n\r\n", StringComparison.Ordinal))
        {
            head += (char)await ReadByteAsync();
        }

        string[] lines = head.Split("\r\n", StringSplitOptions.RemoveEmptyEntries);
        var fields = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        foreach (string line in lines.Skip(1))
        {
            int colon = line.IndexOf(':');
            string name = line[..colon];
            string value = line[(colon + 1)..].Trim();
            fields[name] = fields.TryGetValue(name, out string? before) ? $"{before}, {value}" : value;
        }

        int status = int.Parse(lines[0].Split(' ')[1], CultureInfo.InvariantCulture);
        bool hasContent = status >= 200 && status != 204 && !toHead;
        byte[] content = new byte[hasContent ? int.Parse(fields["Content-Length"], CultureInfo.InvariantCulture) : 0];
        await ReadExactlyAsync(content);
        return new RawResponse(status, lines[0], fields, Encoding.UTF8.GetString(content));
    }

    /// <summary>One frame of the server: opcode and payload.</summary>
    public async Task<(int Opcode, byte[] Payload)> ReadFrameAsync()
    {
        (int first, byte[] payload) = await ReadAnyFrameAsync();
        Assert.Equal(Fin, first & 0xF0); // The server neither fragments nor uses an extension that was not agreed.
        return (first & 0x0F, payload);
    }

    /// <summary>One frame of the server: FIN, the reserved bits and the opcode as they are, and the payload.</summary>
    public async Task<(int First, byte[] Payload)> ReadAnyFrameAsync()
    {
        int first = await ReadByteAsync();
        int second = await ReadByteAsync();
        Assert.Equal(0, second & 0x80);
        byte[] extended = new byte[second switch { 126 => 2, 127 => 8, _ => 0 }];
        await ReadExactlyAsync(extended);
        long length = second;
        if (extended.Length > 0)
        {
            length = extended.Aggregate(0L, static (value, next) => (value << 8) | next);
        }

        byte[] payload = new byte[length];
        await ReadExactlyAsync(payload);
        return (first, payload);
    }

    /// <summary>The text of the next frame, which must be an event.</summary>
    public async Task<string> ReadEventAsync()
    {
        (int opcode, byte[] payload) = await ReadFrameAsync();
        Assert.Equal(Text, opcode);
        return Encoding.UTF8.GetString(payload);
    }

    /// <summary>Passes over frames until the close frame. Returns its code, 0 for none, and its reason.</summary>
    public async Task<(int Code, string Reason)> ReadCloseAsync()
    {
        while (true)
        {
            (int opcode, byte[] payload) = await ReadFrameAsync();
            if (opcode == Close)
            {
                return payload.Length == 0
                    ? (0, "")
                    : (BinaryPrimitives.ReadUInt16BigEndian(payload), Encoding.UTF8.GetString(payload.AsSpan(2)));
            }
        }
    }

    /// <summary>Everything until the server closes, in Latin-1.</summary>
    /// <param name="leavesAfterHead">Ends the input when a response has begun, for a server that would wait for more.</param>
    public async Task<string> ReadToEndAsync(bool leavesAfterHead = false)
    {
        var text = new StringBuilder();
        do
        {
            text.Append(Encoding.Latin1.GetString(_buffer, _start, _end - _start));
            _start = _end = 0;
            if (leavesAfterHead && text.ToString().Contains("\r\n\r\n", StringComparison.Ordinal))
            {
                leavesAfterHead = false;
                try
                {
                    EndInput();
                }
                catch (SocketException)
                {
                    // The server was quicker, and not gentle about it.
                }
            }
        }
        while (await FillAsync());
        return text.ToString();
    }

    /// <summary>Asserts that the server closes and says nothing more before.</summary>
    public async Task IsClosedAsync() => Assert.Equal("", await ReadToEndAsync());

    public void Dispose() => _socket.Dispose();

    private async Task<byte> ReadByteAsync()
    {
        if (_start == _end && !await FillAsync())
        {
            throw new Xunit.Sdk.XunitException("The server closed the connection.");
        }

        return _buffer[_start++];
    }

    private async Task ReadExactlyAsync(byte[] destination)
    {
        for (int read = 0; read < destination.Length;)
        {
            if (_start == _end && !await FillAsync())
            {
                throw new Xunit.Sdk.XunitException("The server closed the connection.");
            }

            int length = Math.Min(_end - _start, destination.Length - read);
            _buffer.AsSpan(_start, length).CopyTo(destination.AsSpan(read));
            _start += length;
            read += length;
        }
    }

    /// <summary>False at the end. A reset is an end as well; what it may have destroyed, the test misses.</summary>
    private async Task<bool> FillAsync()
    {
        _start = _end = 0;
        try
        {
            _end = await _socket.ReceiveAsync(_buffer).WaitAsync(Deadline.ForAnswer);
        }
        catch (SocketException exception) when (exception.SocketErrorCode is SocketError.ConnectionReset or SocketError.ConnectionAborted)
        {
            WasReset = true;
            return false;
        }
        catch (TimeoutException)
        {
            await _server.Within(Task.FromException<bool>(new TimeoutException()), "bytes from the server");
        }

        return _end > 0;
    }
}

/// <summary>A response as it was on the wire.</summary>
public sealed record RawResponse(int Status, string StatusLine, IReadOnlyDictionary<string, string> Fields, string Content);
