using System.Diagnostics;
using System.Net.Sockets;
using System.Text;

namespace Chat.Attacks;

/// <summary>A TCP connection to the server that may do what no library would. What the server ends is no error here.</summary>
internal sealed class RawSocket(Socket socket, CancellationToken stop) : IDisposable
{
    private readonly byte[] _buffer = new byte[16 * 1024];
    private int _start;
    private int _end;

    /// <summary>Whether there is something to read, or the end.</summary>
    public bool HasAnswer => _start < _end || socket.Poll(0, SelectMode.SelectRead);

    /// <summary>False when the server has ended the connection.</summary>
    public async ValueTask<bool> TrySendAsync(ReadOnlyMemory<byte> bytes)
    {
        try
        {
            while (!bytes.IsEmpty)
            {
                bytes = bytes[await socket.SendAsync(bytes, stop)..];
            }

            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    /// <summary>The status of the next response; 0 when the connection ended without one. What follows its head is still to be read.</summary>
    public async Task<int> ReadStatusAsync()
    {
        var head = new StringBuilder();
        while (head.Length < 4 || head.ToString(head.Length - 4, 4) != "\r\n\r\n")
        {
            if (_start == _end && !await FillAsync())
            {
                return 0;
            }

            head.Append((char)_buffer[_start++]);
        }

        return head.Length > 12 && int.TryParse(head.ToString(9, 3), out int status) ? status : -1;
    }

    /// <summary>Passes over frames until the server's close frame: its code; 0 when the connection ended without one.</summary>
    public async Task<int> ReadCloseAsync()
    {
        while (true)
        {
            int first = await ReadByteAsync();
            long length = await ReadByteAsync();
            int extended = length switch { 126 => 2, 127 => 8, _ => 0 };
            for (int i = 0; i < extended; i++)
            {
                length = ((i == 0 ? 0 : length) << 8) | (uint)await ReadByteAsync();
            }

            if (first < 0 || length < 0)
            {
                return 0;
            }

            bool isClose = (first & 0x0F) == 8;
            int code = 0;
            for (long i = 0; i < length; i++)
            {
                int next = await ReadByteAsync();
                if (next < 0)
                {
                    return 0;
                }

                code = isClose && i < sizeof(ushort) ? (code << 8) | next : code;
            }

            if (isClose)
            {
                return code;
            }
        }
    }

    /// <summary>
    /// Reads until the server ends the connection, at most so long in all, or after the last that came. False when it does not. An end that has
    /// come and that we, who are busy too, have not got to yet counts.
    /// </summary>
    public async Task<bool> EndsWithinAsync(int milliseconds, bool ofSilence = false)
    {
        long startedAt = Stopwatch.GetTimestamp();
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(stop);
        timeout.CancelAfter(milliseconds);
        try
        {
            while (await socket.ReceiveAsync(_buffer, timeout.Token) > 0)
            {
                if (ofSilence)
                {
                    timeout.CancelAfter(milliseconds);
                }
                else if (Stopwatch.GetElapsedTime(startedAt).TotalMilliseconds > milliseconds)
                {
                    return HasEnded();
                }
            }

            return true;
        }
        catch (SocketException)
        {
            return true;
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            return HasEnded();
        }
    }

    /// <summary>Whether behind what is here to read there is the end. What is read for it is at most what the kernel holds for a socket.</summary>
    private bool HasEnded()
    {
        try
        {
            for (int left = socket.ReceiveBufferSize; left > 0 && socket.Poll(0, SelectMode.SelectRead);)
            {
                int bytes = socket.Receive(_buffer);
                if (bytes == 0)
                {
                    return true;
                }

                left -= bytes;
            }

            return false;
        }
        catch (SocketException)
        {
            return true;
        }
    }

    /// <summary>Says that nothing more will be sent, and stays.</summary>
    public void EndInput()
    {
        try
        {
            socket.Shutdown(SocketShutdown.Send);
        }
        catch (SocketException)
        {
            // Ended already.
        }
    }

    /// <summary>Vanishes with RST.</summary>
    public void Reset()
    {
        socket.LingerState = new LingerOption(true, 0);
        socket.Dispose();
    }

    public void Dispose() => socket.Dispose();

    private async ValueTask<int> ReadByteAsync() => _start < _end || await FillAsync() ? _buffer[_start++] : -1;

    private async Task<bool> FillAsync()
    {
        _start = _end = 0;
        try
        {
            _end = await socket.ReceiveAsync(_buffer, stop);
        }
        catch (SocketException)
        {
            return false;
        }

        return _end > 0;
    }
}
