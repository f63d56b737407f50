namespace Chat.LoadTests.Clients;

/// <summary>How fast connections are opened.</summary>
/// <param name="Concurrency">Handshakes under way at a time.</param>
/// <param name="PerSecond">Begun per second; 0 leaves it to <paramref name="Concurrency"/>.</param>
/// <param name="TimeoutS">From the first connect on, in seconds: who is not welcomed then has failed.</param>
internal sealed record OpenPace(int Concurrency, double PerSecond, double TimeoutS);

/// <summary>Clients on their way in. Belongs to a loop's thread.</summary>
internal sealed class Openings(IEnumerable<WebSocketClient> clients, OpenPace pace, long startNs)
{
    private readonly Queue<WebSocketClient> _waiting = new(clients);
    private readonly HashSet<WebSocketClient> _underWay = [];
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly long _deadlineNs = startNs + Clock.FromSeconds(pace.TimeoutS);
    private int _begun;

    public Task Completion => _completion.Task;

    /// <summary>Begins what may be begun now, and gives up what is too late.</summary>
    public void Continue(ClientLoop loop, long nowNs)
    {
        if (_completion.Task.IsCompleted)
        {
            return;
        }

        if (nowNs > _deadlineNs)
        {
            GiveUp(loop);
        }

        while (_waiting.Count > 0 && _underWay.Count < pace.Concurrency && IsDue(nowNs))
        {
            WebSocketClient client = _waiting.Dequeue();
            _begun++;
            _underWay.Add(client);
            loop.Connect(client);
        }

        if (_waiting.Count == 0 && _underWay.Count == 0)
        {
            _completion.TrySetResult();
        }
    }

    public void OnOpened(WebSocketClient client) => _underWay.Remove(client);

    public void OnFailed(WebSocketClient client) => _underWay.Remove(client);

    private bool IsDue(long nowNs) => pace.PerSecond <= 0 || _begun <= (nowNs - startNs) / (double)Clock.NsPerSecond * pace.PerSecond;

    private void GiveUp(ClientLoop loop)
    {
        loop.Counters.Failed += _waiting.Count + _underWay.Count;
        loop.Note($"{_waiting.Count + _underWay.Count} connections were not welcomed within {pace.TimeoutS:0.#} s");
        foreach (WebSocketClient client in _underWay)
        {
            client.Leave();
        }

        _waiting.Clear();
        _underWay.Clear();
    }
}
