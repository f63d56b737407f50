using System.Text;
using Chat.Protocol.WebSocket;
using Chat.Server.Tests.EndToEnd;

namespace Chat.Server.Tests.Conformance;

/// <summary>A server with the conformance endpoints, over the way to the sockets that the tests' environment says: shards on Linux.</summary>
public sealed class ConformanceServer() : ServerFixture(ServerLaunch.Sqlite.With("CONFORMANCE", "on"));

/// <summary>The same over pipes.</summary>
public sealed class ConformanceServerOnPipes() : ServerFixture(ServerLaunch.Sqlite.With("CONFORMANCE", "on").With("TRANSPORT", "sockets"));

/// <summary>
/// One connection to <c>/conformance/echo</c>: bytes out, frames back, each compared with what a case expects. What a case does is in
/// its name, which every failure repeats.
/// </summary>
internal sealed class EchoConnection : IDisposable
{
    public const int Fin = 0x80;
    public const int Rsv1 = 0x40;

    private readonly RawClient _client;
    private readonly string _case;

    private EchoConnection(RawClient client, string name, string extensions)
    {
        _client = client;
        _case = name;
        Extensions = extensions;
    }

    /// <summary>What the server agreed to; empty for none.</summary>
    public string Extensions { get; }

    public static async Task<EchoConnection> OpenAsync(RunningServer server, string name, string? offers = null)
    {
        RawClient client = await server.ConnectRawAsync();
        await client.SendAsync(RawClient.Handshake("/conformance/echo", offers is null ? "" : $"Sec-WebSocket-Extensions: {offers}\r\n"));
        RawResponse response = await client.ReadResponseAsync();
        Assert.True(response.Status == 101, $"{name}: {response.StatusLine}");
        return new EchoConnection(client, name, response.Fields.GetValueOrDefault("Sec-WebSocket-Extensions", ""));
    }

    /// <summary>
    /// Runs one case: sends the frames, in pieces of so many bytes (0: all at once), expects the answers, and the end. Cases are connections
    /// of their own: many can run at the same time, which matters where the server waits a while for each peer to leave.
    /// </summary>
    /// <param name="server">Where to.</param>
    /// <param name="name">What is sent, for people.</param>
    /// <param name="frames">What is sent.</param>
    /// <param name="expected">Frames that come back, before the close.</param>
    /// <param name="closeCode">The code of the server's close frame; 1000 when nothing is wrong, and then the client closes first.</param>
    /// <param name="pieceBytes">How it is cut.</param>
    public static async Task RunAsync(
        RunningServer server, string name, byte[] frames, IReadOnlyList<(int First, byte[] Payload)> expected, int closeCode = 1000, int pieceBytes = 0)
    {
        using EchoConnection echo = await OpenAsync(server, pieceBytes == 0 ? name : $"{name}, in pieces of {pieceBytes}");
        await echo.SendAsync(frames, pieceBytes);
        foreach ((int first, byte[] payload) in expected)
        {
            await echo.ExpectAsync(first, payload);
        }

        await (closeCode == 1000 ? echo.CloseAsync() : echo.ExpectCloseAsync(closeCode));
    }

    public static byte[] Frame(int first, ReadOnlySpan<byte> payload, uint maskingKey = 0x9D41C2B3)
    {
        byte[] frame = new byte[FrameWriter.MaskedFrameBytes(payload.Length)];
        FrameWriter.WriteMasked(frame, Opcode.Binary, payload, maskingKey);
        frame[0] = (byte)first;
        return frame;
    }

    public static byte[] Text(string text) => Frame(Fin | RawClient.Text, Encoding.UTF8.GetBytes(text));

    public async Task SendAsync(byte[] bytes, int pieceBytes = 0)
    {
        try
        {
            foreach (byte[] piece in pieceBytes == 0 ? [bytes] : bytes.Chunk(pieceBytes))
            {
                await _client.SendAsync(piece);
            }
        }
        catch (Xunit.Sdk.XunitException exception) when (exception.InnerException is System.Net.Sockets.SocketException)
        {
            // It has refused what came before, and closed: what it said of that is read next.
        }
    }

    public async Task ExpectAsync(int first, byte[] payload)
    {
        (int First, byte[] Payload) frame = await ReadAsync();
        Assert.True(
            frame.First == first && frame.Payload.AsSpan().SequenceEqual(payload),
            $"{_case}: expected {first:X2} with {payload.Length} bytes, got {frame.First:X2} with {frame.Payload.Length}: {Show(frame.Payload)}");
    }

    /// <summary>The server's close frame with this code, and then the end of the connection.</summary>
    public async Task ExpectCloseAsync(int code)
    {
        (int first, byte[] payload) = await ReadAsync();
        Assert.True(
            first == (Fin | RawClient.Close) && payload.Length >= 2 && ((payload[0] << 8) | payload[1]) == code,
            $"{_case}: expected close {code}, got {first:X2}: {Show(payload)}");
        string rest = await _client.ReadToEndAsync();
        Assert.True(rest.Length == 0, $"{_case}: {rest.Length} bytes after the close frame");
    }

    /// <summary>Closes, and expects the echo of it and nothing before.</summary>
    public async Task CloseAsync()
    {
        await SendAsync(RawClient.CloseFrame(1000));
        await ExpectCloseAsync(1000);
    }

    public void Dispose() => _client.Dispose();

    internal async Task<(int First, byte[] Payload)> ReadAsync()
    {
        try
        {
            return await _client.ReadAnyFrameAsync();
        }
        catch (Exception exception) when (exception is Xunit.Sdk.XunitException)
        {
            throw new Xunit.Sdk.XunitException($"{_case}: {exception.Message}");
        }
    }

    private static string Show(byte[] payload) => Encoding.UTF8.GetString(payload.AsSpan(0, Math.Min(payload.Length, 130)));
}
