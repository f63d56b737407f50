using System.Buffers;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>A client as an app would write it: <see cref="ClientWebSocket"/>, one JSON object a message.</summary>
public sealed class ChatSocket : IDisposable
{
    private readonly RunningServer _server;
    private readonly ClientWebSocket _socket;
    private readonly ArrayBufferWriter<byte> _received = new();

    private ChatSocket(RunningServer server, ClientWebSocket socket)
    {
        _server = server;
        _socket = socket;
    }

    /// <summary>The room's welcome, where the test has read it already.</summary>
    public JsonElement Welcome { get; set; }

    public string? SubProtocol => _socket.SubProtocol;

    public static async Task<ChatSocket> ConnectAsync(RunningServer server, string pathAndQuery, Action<ClientWebSocketOptions>? configure = null)
    {
        ClientWebSocket socket = Make(configure);
        await server.Within(ConnectAsync(socket, server, pathAndQuery), "handshake");
        return new ChatSocket(server, socket);
    }

    /// <summary>Null when the server is not there, or refuses.</summary>
    public static async Task<ChatSocket?> TryConnectAsync(RunningServer server, string pathAndQuery)
    {
        ClientWebSocket socket = Make(null);
        try
        {
            await ConnectAsync(socket, server, pathAndQuery);
            return new ChatSocket(server, socket);
        }
        catch (Exception exception) when (exception is WebSocketException or OperationCanceledException)
        {
            socket.Dispose();
            return null;
        }
    }

    /// <summary>The status with which a handshake is refused.</summary>
    public static async Task<int> RefusedAsync(RunningServer server, string pathAndQuery, Action<ClientWebSocketOptions>? configure = null)
    {
        using ClientWebSocket socket = Make(configure);
        try
        {
            await ConnectAsync(socket, server, pathAndQuery);
        }
        catch (WebSocketException)
        {
            return (int)socket.HttpStatusCode;
        }

        throw new Xunit.Sdk.XunitException("The handshake was accepted.");
    }

    public async Task SendAsync(string text) => await SendAsync(Encoding.UTF8.GetBytes(text), WebSocketMessageType.Text, true);

    public async Task SendAsync(byte[] data, WebSocketMessageType type, bool endOfMessage)
    {
        using var deadline = new CancellationTokenSource(Deadline.ForAnswer);
        await _socket.SendAsync(data, type, endOfMessage, deadline.Token);
    }

    /// <summary>Sends a message, with a nonce when one is given.</summary>
    public Task SayAsync(string content, string? nonce = null) => SendAsync(nonce is null
        ? $$"""{"type":"message","content":{{JsonSerializer.Serialize(content)}}}"""
        : $$"""{"type":"message","content":{{JsonSerializer.Serialize(content)}},"nonce":"{{nonce}}"}""");

    /// <summary>The next event, whatever it is.</summary>
    public async Task<JsonElement> NextAsync()
    {
        WebSocketMessageType type = await _server.Within(ReceiveAsync(), "the next event");
        Assert.True(type == WebSocketMessageType.Text, $"Expected an event, but: {type} {_socket.CloseStatus} {_socket.CloseStatusDescription}");
        return JsonElement.Parse(_received.WrittenSpan);
    }

    /// <summary>The next event; null when the connection has ended, however.</summary>
    public async Task<JsonElement?> TryNextAsync()
    {
        try
        {
            return await ReceiveAsync() == WebSocketMessageType.Text ? JsonElement.Parse(_received.WrittenSpan) : null;
        }
        catch (Exception exception) when (exception is WebSocketException or OperationCanceledException) // Broken, or silent for too long.
        {
            return null;
        }
    }

    /// <summary>Sends a message; false when the connection has ended.</summary>
    public async Task<bool> TrySayAsync(string content, string nonce)
    {
        try
        {
            await SayAsync(content, nonce);
            return true;
        }
        catch (Exception exception) when (exception is WebSocketException or OperationCanceledException)
        {
            return false;
        }
    }

    /// <summary>The next event, which must be of a type.</summary>
    public async Task<JsonElement> NextAsync(string type)
    {
        JsonElement next = await NextAsync();
        Assert.True(next.Text("type") == type, $"Expected {type}, but: {next}");
        return next;
    }

    /// <summary>The next event of a type; others are passed over.</summary>
    public async Task<JsonElement> SkipToAsync(string type)
    {
        while (true)
        {
            JsonElement next = await NextAsync();
            if (next.Text("type") == type)
            {
                return next;
            }
        }
    }

    /// <summary>The next event, which must be an error.</summary>
    public async Task<JsonElement> NextErrorAsync(string code)
    {
        JsonElement error = await NextAsync("error");
        Assert.Equal(code, error.Text("code"));
        return error;
    }

    /// <summary>The next events, which must be messages with these seqs.</summary>
    public async Task<IReadOnlyList<JsonElement>> NextMessagesAsync(long firstSeq, int count)
    {
        var messages = new List<JsonElement>();
        for (int i = 0; i < count; i++)
        {
            messages.Add(await NextAsync("message"));
            Assert.Equal(firstSeq + i, messages[i].Number("seq"));
        }

        return messages;
    }

    /// <summary>Proves that no event is on its way, by one that is asked for.</summary>
    public async Task NothingElseAsync()
    {
        await SendAsync("""{"type":"ping"}""");
        await NextAsync("pong");
    }

    /// <summary>Passes over events until the server closes, and answers its close. Returns its close code; -1 when there was none.</summary>
    public async Task<int> ClosedAsync()
    {
        try
        {
            while (await _server.Within(ReceiveAsync(), "the close") != WebSocketMessageType.Close)
            {
            }
        }
        catch (Xunit.Sdk.XunitException exception) when (exception.InnerException is WebSocketException)
        {
            return -1;
        }

        if (_socket.State == WebSocketState.CloseReceived)
        {
            using var deadline = new CancellationTokenSource(Deadline.ForAnswer);
            try
            {
                await _socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, deadline.Token);
            }
            catch (WebSocketException)
            {
                // Its close has come; one that closed with our own flood unread does not wait for the answer.
            }
        }

        return (int)_socket.CloseStatus!;
    }

    /// <summary>Closes with a handshake. Returns the server's close code.</summary>
    public async Task<int> CloseAsync(WebSocketCloseStatus status = WebSocketCloseStatus.NormalClosure, string reason = "")
    {
        using var deadline = new CancellationTokenSource(Deadline.ForAnswer);
        await _socket.CloseOutputAsync(status, reason, deadline.Token);
        return await ClosedAsync();
    }

    public void Dispose() => _socket.Dispose();

    private static ClientWebSocket Make(Action<ClientWebSocketOptions>? configure)
    {
        var socket = new ClientWebSocket();
        socket.Options.KeepAliveInterval = TimeSpan.Zero;
        socket.Options.CollectHttpResponseDetails = true;
        socket.Options.RemoteCertificateValidationCallback = static (_, certificate, _, _) => TestCertificate.IsOurs(certificate);
        configure?.Invoke(socket.Options);
        return socket;
    }

    private static async Task<bool> ConnectAsync(ClientWebSocket socket, RunningServer server, string pathAndQuery)
    {
        using var deadline = new CancellationTokenSource(Deadline.ForAnswer);
        var url = new Uri(server.Url, pathAndQuery);
        string scheme = url.Scheme == "https" ? "wss" : "ws";
        await socket.ConnectAsync(new Uri($"{scheme}://{url.Authority}{url.PathAndQuery}"), deadline.Token);
        return true;
    }

    private async Task<WebSocketMessageType> ReceiveAsync()
    {
        using var deadline = new CancellationTokenSource(Deadline.ForAnswer);
        _received.ResetWrittenCount();
        while (true)
        {
            ValueWebSocketReceiveResult result = await _socket.ReceiveAsync(_received.GetMemory(4096), deadline.Token);
            _received.Advance(result.Count);
            if (result.EndOfMessage || result.MessageType == WebSocketMessageType.Close)
            {
                return result.MessageType;
            }
        }
    }
}
