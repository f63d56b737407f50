using System.Collections.Immutable;
using System.Net;
using Chat.Protocol.Http;

namespace Chat.Server.Connections;

/// <summary>
/// Whose address a request comes from: the peer's, unless the peer is one of our own proxies. Then it is what that proxy has
/// written down, and so on for a row of proxies, from the nearest back to the first that is not ours. What stands before
/// that one the client may have written itself. Immutable, thread-safe.
/// </summary>
/// <param name="trusted">The proxies.</param>
/// <param name="readsForwarded">
/// They write Forwarded, not X-Forwarded-For. One of the two alone is read: a proxy passes the other on as the client sent it.
/// </param>
/// <param name="expectsProxyHeader">Their connections begin with a header of the PROXY protocol.</param>
internal sealed class ClientAddresses(ImmutableArray<IPNetwork> trusted, bool readsForwarded, bool expectsProxyHeader)
{
    /// <summary>Whether a connection from there begins with a header of the PROXY protocol.</summary>
    public bool ExpectsProxyHeader(IPAddress peer) => expectsProxyHeader && IsTrusted(peer);

    public bool IsTrusted(IPAddress address) => IsIn(trusted, address);

    public static bool IsIn(ImmutableArray<IPNetwork> networks, IPAddress address)
    {
        foreach (IPNetwork network in networks)
        {
            if (network.Contains(address))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>The client's address.</summary>
    /// <param name="peer">Who has connected, from <see cref="PeerOf"/> or a PROXY header.</param>
    /// <param name="head">The request.</param>
    public IPAddress Resolve(IPAddress peer, RequestHead head)
    {
        if (!IsTrusted(peer))
        {
            return peer;
        }

        IReadOnlyList<IPAddress?> nodes = readsForwarded ? ForwardedNodes.ReadForwarded(head) : ForwardedNodes.ReadXForwardedFor(head);
        IPAddress client = peer;
        for (int i = nodes.Count - 1; i >= 0 && nodes[i] is { } node; i--)
        {
            client = node;
            if (!IsTrusted(node))
            {
                break;
            }
        }

        return client;
    }

    /// <summary>The address of a socket's other end; <see cref="IPAddress.None"/> when it is gone already.</summary>
    public static IPAddress PeerOf(EndPoint? endPoint)
    {
        IPAddress address = (endPoint as IPEndPoint)?.Address ?? IPAddress.None;
        return address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address; // As a socket for both families shows it.
    }
}
