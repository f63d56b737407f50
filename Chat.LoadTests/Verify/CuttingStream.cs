using System.Net.Sockets;

namespace Chat.LoadTests.Verify;

/// <summary>The client broke the connection, as planned.</summary>
internal sealed class CutException() : IOException("cut by ourselves");

/// <summary>
/// A socket that breaks at a planned byte: the bytes before it have gone out, or have been received, and no more. Under TLS it counts
/// encrypted bytes. One reader and one writer at a time.
/// </summary>
internal sealed class CuttingStream : Stream
{
    private readonly Socket _socket;
    private readonly Lock _gate = new();
    private Cut? _cut;
    private int _bytesLeft;

    private CuttingStream(Socket socket) => _socket = socket;

    /// <summary>Whether a cut waits for its byte.</summary>
    public bool HasPlan
    {
        get
        {
            lock (_gate)
            {
                return _cut is not null;
            }
        }
    }

    /// <summary>
    /// Whether the planned cut was made. The loop that it was made in gets a <see cref="CutException"/>; the other one gets whatever the
    /// closed socket gives it, and may be the first to.
    /// </summary>
    public bool WasCut { get; private set; }

    public override bool CanRead => true;

    public override bool CanWrite => true;

    public override bool CanSeek => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public static async Task<CuttingStream> ConnectAsync(Uri url, CancellationToken cancellation)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(url.Host, url.Port, cancellation);
            return new CuttingStream(socket);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Plans the one cut of this connection, counted from now on.</summary>
    public void Plan(Cut cut)
    {
        lock (_gate)
        {
            _cut = cut;
            _bytesLeft = cut.Bytes;
        }
    }

    /// <exception cref="CutException">The connection was cut before the next byte.</exception>
    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        int received = await _socket.ReceiveAsync(buffer, cancellationToken);
        int allowed = Allow(isReceived: true, received);
        if (allowed == 0 && received > 0)
        {
            Break();
        }

        return allowed;
    }

    /// <exception cref="CutException">The connection was cut; the planned part of <paramref name="buffer"/> went out.</exception>
    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        int allowed = Allow(isReceived: false, buffer.Length);
        for (int sent = 0; sent < allowed;)
        {
            sent += await _socket.SendAsync(buffer[sent..allowed], cancellationToken);
        }

        if (allowed < buffer.Length)
        {
            Break();
        }
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Flush()
    {
    }

    protected override void Dispose(bool disposing)
    {
        _socket.Dispose();
        base.Dispose(disposing);
    }

    /// <summary>How many of the bytes pass before the cut.</summary>
    private int Allow(bool isReceived, int bytes)
    {
        lock (_gate)
        {
            if (_cut is null || _cut.IsReceived != isReceived)
            {
                return bytes;
            }

            int allowed = Math.Min(bytes, _bytesLeft);
            _bytesLeft -= allowed;
            return allowed;
        }
    }

    private void Break()
    {
        bool isReset;
        lock (_gate)
        {
            isReset = _cut!.IsReset;
            _cut = null;
            WasCut = true;
        }

        if (isReset)
        {
            _socket.LingerState = new LingerOption(true, 0);
        }

        _socket.Dispose();
        throw new CutException();
    }
}
