using System.Buffers;
using System.Net;
using System.Text;
using Chat.Protocol.Http;
using Chat.Server.Auth;
using Chat.Server.Rest;

namespace Chat.Server.Tests.Rest;

internal static class EndpointCalls
{
    /// <summary>Calls the endpoint as the router does once it has the content and knows the caller.</summary>
    public static async Task<Response> PostAsync(
        this IReadOnlyList<Route> routes, string path, string json, TokenIdentity? caller = null, CancellationToken aborted = default)
    {
        using var head = new RequestHead();
        var parser = new RequestParser(new HttpLimits());
        byte[] request = Encoding.ASCII.GetBytes($"POST {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        Assert.Equal(ParseStatus.Complete, parser.TryParse(new ReadOnlySequence<byte>(request), head, out _, out _));
        byte[] content = Encoding.UTF8.GetBytes(json);
        var call = new RestCall();
        call.Begin(head, content, content.Length, IPAddress.Loopback, aborted);
        call.Caller = caller;
        return await routes.Single(route => route.Path == path && route.Method == RequestMethod.Post).Endpoint(call);
    }
}
