using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;

namespace Chat.Server.Connections;

/// <summary>
/// Whether the peer of a connection through Kestrel's own sockets is gone. Kestrel's word for it comes as well when the peer has only ended what it
/// sends (FIN), and waits for an answer (RFC 9293 section 3.6). <see cref="Transport.ShardConnection"/> tells the two apart itself.
/// </summary>
internal sealed class PeerDeparture : IDisposable
{
    private readonly CancellationTokenSource _gone = new();
    private readonly Socket? _socket;
    private readonly CancellationTokenRegistration _registration;

    public PeerDeparture(ConnectionContext connection)
    {
        _socket = connection.Features.Get<IConnectionSocketFeature>()?.Socket;
        _registration = connection.ConnectionClosed.UnsafeRegister(static departure => ((PeerDeparture)departure!).OnInputEnded(), this);
    }

    /// <summary>Cancelled, on the thread pool, when the peer has reset the connection or it was aborted here.</summary>
    public CancellationToken Token => _gone.Token;

    public void Dispose()
    {
        _registration.Dispose(); // Waits for a call that has begun.
        _gone.Dispose();
    }

    private void OnInputEnded()
    {
        if (_socket is null || !CanSend(_socket))
        {
            _gone.Cancel();
        }
    }

    /// <summary>A send of nothing fails where any would.</summary>
    private static bool CanSend(Socket socket)
    {
        try
        {
            socket.Send(ReadOnlySpan<byte>.Empty, SocketFlags.None, out SocketError error);
            return error == SocketError.Success;
        }
        catch (ObjectDisposedException)
        {
            return false;
        }
    }
}
