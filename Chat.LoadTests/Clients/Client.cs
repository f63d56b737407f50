using System.Buffers;
using System.Net;

namespace Chat.LoadTests.Clients;

/// <summary>
/// One connection of a load test: bytes in, bytes out, and its end. Between two reads it holds memory only for an
/// incomplete frame or for what the kernel did not take. All of it happens on its loop's thread.
/// </summary>
internal abstract class Client(ClientLoop loop)
{
    private const int NoHandle = -1;

    private int _handle = NoHandle;
    private byte[] _carry = [];
    private int _carryBytes;
    private byte[] _unsent = [];
    private int _unsentStart;
    private int _unsentBytes;

    /// <summary>A stalled client leaves what comes in the kernel: a reader that is too slow, or hangs.</summary>
    public bool IsStalled { get; set; }

    /// <summary>Its name to the loop's set of sockets.</summary>
    public int Tag { get; set; }

    /// <summary>It has a socket, which may still be connecting.</summary>
    public bool HasSocket => _handle != NoHandle;

    /// <summary>The kernel's receive buffer for the next connect, in bytes; 0 leaves it to the kernel.</summary>
    public int ReceiveBufferBytes { get; set; }

    protected ClientLoop Loop { get; } = loop;

    /// <summary>When the last connect began.</summary>
    protected long ConnectStartNs { get; private set; }

    private bool IsConnecting { get; set; }

    /// <summary>Begins to connect; <see cref="OnConnected"/> or <see cref="OnEnded"/> follows.</summary>
    public void Connect(IPEndPoint address)
    {
        ConnectStartNs = Clock.NowNs;
        _handle = Loop.Sockets.Connect(address, Tag, ReceiveBufferBytes);
        if (_handle < 0)
        {
            _handle = NoHandle;
            OnEnded($"connect: {Loop.Sockets.LastError}");
            return;
        }

        IsConnecting = true;
    }

    /// <summary>Ends the connection without a word; <see cref="OnEnded"/> is not called.</summary>
    public void Drop()
    {
        if (_handle != NoHandle)
        {
            Loop.Sockets.Close(_handle);
            _handle = NoHandle;
        }

        _carryBytes = 0;
        _unsentBytes = 0;
    }

    /// <summary>What the set of sockets says of this one.</summary>
    public void OnEvent(SocketEvent socketEvent)
    {
        if (IsConnecting && socketEvent.IsWritable)
        {
            IsConnecting = false;
            if (Loop.Sockets.ConnectError(_handle) is { } error)
            {
                End($"connect: {error}");
                return;
            }

            OnConnected();
        }

        if (_unsentBytes > 0 && socketEvent.IsWritable)
        {
            SendRest();
        }

        if (socketEvent.IsReadable && !IsStalled && HasSocket)
        {
            Read(toTheEnd: socketEvent.HasEnded);
        }
    }

    /// <summary>Reads what is there, up to the end of the stream if there is one: for a client that was stalled.</summary>
    public void CatchUp()
    {
        IsStalled = false;
        if (HasSocket)
        {
            Read(toTheEnd: true);
        }
    }

    /// <summary>The socket is connected: the first bytes are to be sent.</summary>
    protected abstract void OnConnected();

    /// <summary>Bytes came in, what was not consumed before first.</summary>
    /// <param name="bytes">Valid until the return; may be written over.</param>
    /// <param name="nowNs">When they were received.</param>
    /// <returns>Bytes consumed. The rest comes again, with more behind it.</returns>
    protected abstract int OnReceived(Span<byte> bytes, long nowNs);

    /// <summary>The connection has ended, and nobody here asked for it.</summary>
    protected abstract void OnEnded(string reason);

    protected void Send(ReadOnlySpan<byte> bytes)
    {
        if (!HasSocket)
        {
            return;
        }

        if (_unsentBytes == 0)
        {
            int sent = Loop.Sockets.Send(_handle, bytes);
            if (sent == SocketSet.Broken)
            {
                End($"send: {Loop.Sockets.LastError}");
                return;
            }

            bytes = bytes[Math.Max(sent, 0)..];
        }

        if (!bytes.IsEmpty)
        {
            KeepUnsent(bytes);
        }
    }

    protected void End(string reason)
    {
        if (HasSocket)
        {
            Drop();
            OnEnded(reason);
        }
    }

    private void Read(bool toTheEnd)
    {
        Span<byte> buffer = Loop.Buffer;
        while (HasSocket)
        {
            int carried = _carryBytes;
            if (buffer.Length - carried < ClientLoop.ReadBytes)
            {
                End("protocol: a frame is longer than the buffer");
                return;
            }

            _carry.AsSpan(0, carried).CopyTo(buffer);
            int received = Loop.Sockets.Receive(_handle, buffer.Slice(carried, ClientLoop.ReadBytes));
            if (received <= 0)
            {
                if (received != SocketSet.WouldBlock)
                {
                    End(received == 0 ? "the server closed without a close frame" : Loop.Sockets.LastError);
                }

                return;
            }

            Loop.Counters.Reads++;
            Loop.Counters.ReceivedBytes += received;
            int total = carried + received;
            int consumed = OnReceived(buffer[..total], Clock.NowNs);
            if (HasSocket)
            {
                Carry(buffer[consumed..total]);
            }

            if (received < ClientLoop.ReadBytes && !toTheEnd)
            {
                return; // A short read has emptied the socket, and the next bytes are reported again.
            }
        }
    }

    private void Carry(ReadOnlySpan<byte> rest)
    {
        _carryBytes = rest.Length;
        if (rest.Length > _carry.Length || rest.IsEmpty)
        {
            Return(_carry);
            _carry = rest.IsEmpty ? [] : ArrayPool<byte>.Shared.Rent(rest.Length);
        }

        rest.CopyTo(_carry);
    }

    private void KeepUnsent(ReadOnlySpan<byte> bytes)
    {
        if (_unsentStart + _unsentBytes + bytes.Length > _unsent.Length)
        {
            byte[] larger = ArrayPool<byte>.Shared.Rent(2 * (_unsentBytes + bytes.Length));
            _unsent.AsSpan(_unsentStart, _unsentBytes).CopyTo(larger);
            Return(_unsent);
            _unsent = larger;
            _unsentStart = 0;
        }

        bytes.CopyTo(_unsent.AsSpan(_unsentStart + _unsentBytes));
        _unsentBytes += bytes.Length;
    }

    private void SendRest()
    {
        int sent = Loop.Sockets.Send(_handle, _unsent.AsSpan(_unsentStart, _unsentBytes));
        if (sent == SocketSet.Broken)
        {
            End($"send: {Loop.Sockets.LastError}");
            return;
        }

        _unsentStart += Math.Max(sent, 0);
        _unsentBytes -= Math.Max(sent, 0);
        if (_unsentBytes == 0)
        {
            Return(_unsent);
            _unsent = [];
            _unsentStart = 0;
        }
    }

    private static void Return(byte[] array)
    {
        if (array.Length > 0)
        {
            ArrayPool<byte>.Shared.Return(array);
        }
    }
}
