using System.Net;
using System.Net.Sockets;

namespace Chat.LoadTests.Clients;

/// <summary>
/// Sockets of the runtime, looked at one after the other: works on every system, and costs a system call for each socket
/// in each round, so its ceiling is a fraction of <see cref="EpollSockets"/>'s. A handle is a place in the table.
/// </summary>
internal sealed class PolledSockets : SocketSet
{
    /// <summary>Pause between two rounds that found nothing; a coarse timer is what every system has.</summary>
    private const int PauseMs = 1;

    private readonly List<Entry?> _entries = [];
    private readonly Stack<int> _free = new();
    private int _next;

    public override int Connect(IPEndPoint address, int tag, int receiveBufferBytes)
    {
        var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp)
        {
            Blocking = false,
            NoDelay = true,
            LingerState = new LingerOption(true, 0),
        };
        if (receiveBufferBytes > 0)
        {
            socket.ReceiveBufferSize = receiveBufferBytes;
        }

        try
        {
            socket.Connect(address);
        }
        catch (SocketException error) when (error.SocketErrorCode is SocketError.WouldBlock or SocketError.InProgress)
        {
            // What a non-blocking connect always says.
        }
        catch (SocketException error)
        {
            socket.Dispose();
            return Fail(error.SocketErrorCode, error.Message);
        }

        var entry = new Entry(socket, tag);
        if (_free.TryPop(out int handle))
        {
            _entries[handle] = entry;
            return handle;
        }

        _entries.Add(entry);
        return _entries.Count - 1;
    }

    public override string? ConnectError(int handle)
    {
        var error = (SocketError)(int)_entries[handle]!.Socket.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.Error)!;
        return error == SocketError.Success ? null : new SocketException((int)error).Message;
    }

    public override int Receive(int handle, Span<byte> buffer)
    {
        int received = _entries[handle]!.Socket.Receive(buffer, SocketFlags.None, out SocketError error);
        return error == SocketError.Success ? received : Fail(error, error.ToString());
    }

    public override int Send(int handle, ReadOnlySpan<byte> bytes)
    {
        Entry entry = _entries[handle]!;
        int sent = entry.Socket.Send(bytes, SocketFlags.None, out SocketError error);
        if (error != SocketError.Success)
        {
            sent = Fail(error, error.ToString());
        }

        entry.WantsToWrite |= sent == WouldBlock || (sent >= 0 && sent < bytes.Length);
        return sent;
    }

    public override void Close(int handle)
    {
        _entries[handle]!.Socket.Dispose();
        _entries[handle] = null;
        _free.Push(handle);
    }

    public override int Wait(Span<SocketEvent> ready, long timeoutNs)
    {
        int count = Look(ready);
        if (count == 0 && timeoutNs > 0)
        {
            Thread.Sleep(PauseMs);
            count = Look(ready);
        }

        return count;
    }

    public override void Dispose()
    {
        foreach (Entry? entry in _entries)
        {
            entry?.Socket.Dispose();
        }
    }

    /// <summary>One round over the table, from where the last one ended, so that a full answer starves nobody.</summary>
    private int Look(Span<SocketEvent> ready)
    {
        int count = 0;
        for (int looked = 0; looked < _entries.Count && count < ready.Length; looked++)
        {
            _next = (_next + 1) % _entries.Count;
            if (_entries[_next] is not { } entry)
            {
                continue;
            }

            bool isWritable = entry.WantsToWrite && (entry.Socket.Poll(0, SelectMode.SelectWrite) || entry.Socket.Poll(0, SelectMode.SelectError));
            bool isReadable = entry.Socket.Poll(0, SelectMode.SelectRead);
            if (isReadable || isWritable)
            {
                entry.WantsToWrite &= !isWritable;
                ready[count++] = new SocketEvent(entry.Tag, isReadable, isWritable, HasEnded: false);
            }
        }

        return count;
    }

    private int Fail(SocketError error, string message)
    {
        if (error == SocketError.WouldBlock)
        {
            return WouldBlock;
        }

        LastError = message;
        return Broken;
    }

    private sealed class Entry(Socket socket, int tag)
    {
        public Socket Socket { get; } = socket;

        public int Tag { get; } = tag;

        /// <summary>True from the start: the end of the connect is reported as writable.</summary>
        public bool WantsToWrite { get; set; } = true;
    }
}
