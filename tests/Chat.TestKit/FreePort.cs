using System.Net;
using System.Net.Sockets;

namespace Chat.TestKit;

public static class FreePort
{
    /// <summary>
    /// A TCP port of 127.0.0.1 that nobody listened on a moment ago. Only for programs that cannot listen on port 0 and say which they got.
    /// </summary>
    public static int Next()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
