using System.Net;
using System.Net.Sockets;

namespace Chat.LoadTests.Hosting;

/// <summary>Ports for a server that must come back on the same one.</summary>
internal static class FreePort
{
    // Below 32768, where Linux begins to take the ports of outgoing connections. From those, a client that connects to a stopped
    // server's port could be given that very port: it would be connected to itself, and keep the server from coming back.
    private const int First = 20_000;
    private const int Last = 32_000;
    private const int TriesMax = 100;

    /// <summary>A TCP port of 127.0.0.1 that nobody listened on a moment ago.</summary>
    /// <exception cref="CannotRunException">There seems to be none.</exception>
    public static int Next()
    {
        for (int tries = 0; tries < TriesMax; tries++)
        {
            int port = Random.Shared.Next(First, Last);
            try
            {
                using var listener = new TcpListener(IPAddress.Loopback, port);
                listener.Start();
                return port;
            }
            catch (SocketException)
            {
                // Taken; another one.
            }
        }

        throw new CannotRunException($"No free port between {First} and {Last}.");
    }
}
