using System.IO.Pipelines;
using Chat.Protocol.Http;
using Chat.Server.Transport;
using Microsoft.AspNetCore.Connections;

namespace Chat.Server.Connections;

/// <summary>
/// The answer to a connection that is one too many: before anything of it is read, without content, and without a line in the log. It costs little, since a
/// flood of connections ends here.
/// </summary>
internal static class Refusal
{
    /// <summary>Sends it. The connection is to be closed then.</summary>
    public static async Task SendAsync(ConnectionContext connection, HttpServices services, int status)
    {
        services.Metrics.ConnectionsRefused.Add();
        PipeWriter output = connection.Transport.Output;
        Write(output, services, status);
        await output.FlushAsync();
        (output as SocketWriter)?.EndSending();
        // A request that is here already, or nearly, would turn the close into a reset. Nobody is waited for any longer than that.
        await Linger.DiscardAsync(connection.Transport.Input, Linger.TrailMs, services.Time, new LingerPace(services.Limits.BodyBytesMax));
    }

    private static void Write(PipeWriter output, HttpServices services, int status)
    {
        var writer = new ResponseWriter(output, RequestMethod.Other, status, services.Date.Now);
        writer.WriteField("Retry-After"u8, 1);
        writer.End();
    }
}
