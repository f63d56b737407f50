using System.Net;

namespace Chat.LoadTests.Clients;

/// <summary>
/// Many non-blocking TCP sockets of one thread, and the wait for any of them. A socket is known by its handle, which its
/// owner got from <see cref="Connect"/>. Not thread-safe: everything happens on the thread that made the set, but for
/// <see cref="Create"/>. Two ways: <see cref="EpollSockets"/> on Linux, <see cref="PolledSockets"/> elsewhere.
/// </summary>
internal abstract class SocketSet : IDisposable
{
    /// <summary>What <see cref="Receive"/> and <see cref="Send"/> answer when the socket has nothing, or takes nothing, now.</summary>
    public const int WouldBlock = -1;

    /// <summary>What they answer when the connection is broken; <see cref="LastError"/> says by what.</summary>
    public const int Broken = -2;

    /// <summary>Why the last call answered <see cref="Broken"/>.</summary>
    public string LastError { get; protected set; } = "";

    /// <summary>The fastest set that this system has.</summary>
    public static SocketSet Create() => OperatingSystem.IsLinux() ? new EpollSockets() : new PolledSockets();

    /// <summary>Begins to connect. The socket is reported writable once the attempt has ended, either way.</summary>
    /// <param name="address">Where to.</param>
    /// <param name="tag">Comes back with each event of the socket.</param>
    /// <param name="receiveBufferBytes">The kernel's receive buffer; 0 leaves it to the kernel.</param>
    /// <returns>The handle, or <see cref="Broken"/>.</returns>
    public abstract int Connect(IPEndPoint address, int tag, int receiveBufferBytes);

    /// <summary>Null when a connect that was reported has succeeded, else what went wrong.</summary>
    public abstract string? ConnectError(int handle);

    /// <returns>Bytes received, 0 at the end of the stream, <see cref="WouldBlock"/> or <see cref="Broken"/>.</returns>
    public abstract int Receive(int handle, Span<byte> buffer);

    /// <returns>Bytes taken, <see cref="WouldBlock"/> or <see cref="Broken"/>.</returns>
    public abstract int Send(int handle, ReadOnlySpan<byte> bytes);

    /// <summary>Closes with a reset, so that thousands of connections leave no TIME_WAIT behind that would use up the ports.</summary>
    public abstract void Close(int handle);

    /// <summary>Waits until a socket has something to say, or for that long. Sockets are reported once per change.</summary>
    /// <param name="ready">Where the events go; what does not fit comes with the next call.</param>
    /// <param name="timeoutNs">How long, in nanoseconds; 0 only looks.</param>
    /// <returns>How many events there are.</returns>
    public abstract int Wait(Span<SocketEvent> ready, long timeoutNs);

    public abstract void Dispose();
}

/// <summary>What became of a socket.</summary>
/// <param name="Tag">The one given to <see cref="SocketSet.Connect"/>.</param>
/// <param name="IsReadable">Bytes are there, or the end.</param>
/// <param name="IsWritable">It takes bytes; or a connect has ended, either way.</param>
/// <param name="HasEnded">The peer sends no more: what is there should be read up to the end, which is not reported again.</param>
internal readonly record struct SocketEvent(int Tag, bool IsReadable, bool IsWritable, bool HasEnded);
