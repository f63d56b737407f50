using System.Globalization;
using System.Text.Json;

namespace Chat.Server.Tests.EndToEnd;

/// <summary>
/// A client as docs/protocol.md asks for it: keeps each message until its acknowledgement, comes back with the last seq and epoch it has, drops what was
/// rolled back, and sends again what has no acknowledgement, in its order. It writes down what it saw and what it was promised.
/// </summary>
/// <param name="server">Where it talks.</param>
/// <param name="user">As whom.</param>
/// <param name="room">In which room.</param>
/// <param name="name">Begins its nonces.</param>
/// <param name="onAcknowledged">Called for each message, at its first acknowledgement.</param>
internal sealed class LoyalClient(RunningServer server, User user, long room, string name, Action onAcknowledged)
{
    private const int UnacknowledgedMax = 30;

    /// <summary>By number; the number is in the nonce.</summary>
    private readonly SortedSet<int> _unacknowledged = [];

    private readonly List<(long Seq, long Id, string Nonce)> _seen = [];
    private readonly Dictionary<int, (long Seq, long Id)> _acknowledged = [];
    private long _epoch = -1;
    private int _sent;
    private volatile bool _isStopping;

    /// <summary>After <see cref="RunAsync"/>.</summary>
    public int AcknowledgedCount => _acknowledged.Count;

    /// <summary>How often it was told to drop something.</summary>
    public int Rollbacks { get; private set; }

    /// <summary>Sends nothing new; <see cref="RunAsync"/> ends when everything sent is acknowledged.</summary>
    public void Stop() => _isStopping = true;

    public async Task RunAsync()
    {
        while (!IsDone)
        {
            string since = _epoch < 0 ? "&since=0" : $"&since={_seen.Count}&epoch={_epoch}";
            using ChatSocket? socket = await ChatSocket.TryConnectAsync(server, $"/ws/{room}?token={user.Token}{since}");
            if (socket is not null && await socket.TryNextAsync() is { } welcome)
            {
                Enter(welcome);
                await ChatAsync(socket);
            }

            await Task.Delay(10, TestContext.Current.CancellationToken); // The server is away, or was in a hurry: no need to hammer it.
        }
    }

    /// <summary>Compares its notes with what the server holds in the end.</summary>
    public void Check(IReadOnlyList<JsonElement> history)
    {
        Assert.Equal(_sent, _acknowledged.Count);
        var own = new Dictionary<int, JsonElement>();
        foreach (JsonElement message in history.Where(message => IsOwn(message.Text("nonce"))))
        {
            Assert.True(own.TryAdd(NumberOf(message.Text("nonce")), message), $"Stored twice: {message}");
        }

        Assert.Equal(_sent, own.Count);
        long last = 0;
        for (int number = 0; number < _sent; number++)
        {
            Assert.Equal(_acknowledged[number], (own[number].Number("seq"), own[number].Number("id")));
            Assert.True(own[number].Number("seq") > last, $"Reordered: {own[number]}");
            last = own[number].Number("seq");
        }

        Assert.Equal(
            history.Take(_seen.Count).Select(message => (message.Number("seq"), message.Number("id"), message.Text("nonce"))), _seen);
    }

    private bool IsDone => _isStopping && _unacknowledged.Count == 0;

    private void Enter(JsonElement welcome)
    {
        Assert.Equal("welcome", welcome.Text("type"));
        Assert.True(welcome.Flag("recovered"), $"{welcome}");
        if (welcome.GetProperty("rolled_back_to") is { ValueKind: JsonValueKind.Number } rolledBackTo)
        {
            int kept = (int)rolledBackTo.GetInt64();
            Assert.InRange(kept, 0, _seen.Count - 1);
            _seen.RemoveRange(kept, _seen.Count - kept);
            Rollbacks++;
        }

        _epoch = welcome.Number("epoch");
    }

    /// <summary>Until the connection ends, or there is nothing left to do, or the server asks to come again later.</summary>
    private async Task ChatAsync(ChatSocket socket)
    {
        foreach (int number in _unacknowledged)
        {
            if (!await socket.TrySayAsync("load", Nonce(number)))
            {
                return;
            }
        }

        while (!IsDone)
        {
            while (!_isStopping && _unacknowledged.Count < UnacknowledgedMax)
            {
                _unacknowledged.Add(_sent);
                if (!await socket.TrySayAsync("load", Nonce(_sent++)))
                {
                    return;
                }
            }

            if (await socket.TryNextAsync() is not { } next || !Take(next))
            {
                return;
            }
        }
    }

    /// <summary>False when the message has to be sent again.</summary>
    private bool Take(JsonElement next)
    {
        switch (next.Text("type"))
        {
            case "message":
                Assert.Equal(_seen.Count + 1, next.Number("seq"));
                _seen.Add((next.Number("seq"), next.Number("id"), next.Text("nonce")));
                return true;
            case "ack":
                int number = NumberOf(next.Text("nonce"));
                if (_unacknowledged.Remove(number))
                {
                    _acknowledged.Add(number, (next.Number("seq"), next.Number("id")));
                    onAcknowledged();
                }

                Assert.Equal(_acknowledged[number], (next.Number("seq"), next.Number("id")));
                return true;
            default:
                Assert.True(next.Text("code") is "overloaded" or "unavailable", $"{next}");
                return false;
        }
    }

    private string Nonce(int number) => $"{name}/{number}";

    private bool IsOwn(string nonce) => nonce.StartsWith($"{name}/", StringComparison.Ordinal);

    private static int NumberOf(string nonce) => int.Parse(nonce.AsSpan(nonce.IndexOf('/') + 1), CultureInfo.InvariantCulture);
}
