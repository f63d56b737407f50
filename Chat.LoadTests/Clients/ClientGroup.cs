using Chat.LoadTests.Loads;

namespace Chat.LoadTests.Clients;

/// <summary>Who takes part, and where: enough to make the same clients in this process or in another.</summary>
/// <param name="Target">The server, and the ids of the rooms.</param>
/// <param name="Tokens">Of the users that the connections share.</param>
/// <param name="Connections">In the whole run.</param>
/// <param name="PublishersPerRoom">The first members of each room, who send.</param>
/// <param name="Threads">Loops in this process.</param>
/// <param name="Share">Which of the connections are this process's: those whose index is <c>Share.Index</c> modulo <c>Share.Count</c>.</param>
internal sealed record GroupPlan(
    LoopTarget Target, IReadOnlyList<string> Tokens, int Connections, int PublishersPerRoom, int Threads, LoadShare Share);

/// <summary>What is sent, and which part of it counts.</summary>
/// <param name="Load">Open loop; null for a closed one.</param>
/// <param name="Window">Closed loop: messages under way for each publisher.</param>
/// <param name="ContentBytes">Length of each content.</param>
/// <param name="WithNonces">Messages carry a nonce, so that their acks can be timed.</param>
/// <param name="Skew">How uneven the rooms' shares are: <see cref="PublisherChoice"/>.</param>
/// <param name="StartNs">When the load begins, by <see cref="Clock"/>.</param>
/// <param name="MeasureFromNs">Messages due from here on are timed.</param>
/// <param name="MeasureToNs">And up to here.</param>
internal sealed record PublishPlan(
    LoadPlan? Load, int Window, int ContentBytes, bool WithNonces, double Skew, long StartNs, long MeasureFromNs, long MeasureToNs);

/// <summary>What a group counted since it began, and timed since the last sample.</summary>
internal sealed record GroupSample(Counters Counters, Latencies Latencies, string? Note, int Members);

/// <summary>
/// The clients of one process, dealt out to its loops. Called by one task at a time; the work is done on the loops' threads.
/// </summary>
internal sealed class ClientGroup : IDisposable
{
    private readonly GroupPlan _plan;
    private readonly ClientLoop[] _loops;

    public ClientGroup(GroupPlan plan)
    {
        _plan = plan;
        _loops = [.. Enumerable.Range(0, plan.Threads).Select(number => new ClientLoop(plan.Target, number))];
        int own = 0;
        for (int index = plan.Share.Index; index < plan.Connections; index += plan.Share.Count)
        {
            ClientLoop loop = _loops[own++ % _loops.Length];
            string token = plan.Tokens[index % plan.Tokens.Count];
            loop.Add(new WebSocketClient(loop, index, index % plan.Target.Rooms.Count, token));
        }
    }

    public IReadOnlyList<ClientLoop> Loops => _loops;

    /// <summary>Connects all who are not, and waits until each was welcomed or failed.</summary>
    /// <param name="pace">Of the whole group; loops share it.</param>
    public async Task OpenAsync(OpenPace pace)
    {
        OpenPace each = pace with { Concurrency = Math.Max(1, pace.Concurrency / _loops.Length), PerSecond = pace.PerSecond / _loops.Length };
        Task[] openings = await OnLoopsAsync(loop => loop.Open(loop.Clients, each));
        await Task.WhenAll(openings);
    }

    /// <summary>Begins to send; what was sent before goes on its way.</summary>
    public Task PublishAsync(PublishPlan plan) => OnLoopsAsync((loop, number) =>
    {
        var share = new LoadShare(_plan.Share.Index * _loops.Length + number, _plan.Share.Count * _loops.Length);
        var template = new MessageTemplate(plan.ContentBytes, plan.WithNonces);
        WebSocketClient[] publishers = [.. loop.Clients.Where(IsPublisher)];
        Publishing publishing = plan.Load is { } load
            ? new OpenLoopPublishing(load, share, plan.StartNs, template, new PublisherChoice(publishers, plan.Skew, share.Index))
            : new ClosedLoopPublishing(publishers, plan.Window, plan.StartNs, template);
        loop.Publish(publishing, plan.MeasureFromNs, plan.MeasureToNs);
        return true;
    });

    /// <summary>Sends no more. What is under way still counts.</summary>
    public Task StopPublishingAsync(long measureFromNs, long measureToNs) => OnLoopsAsync(loop =>
    {
        loop.Publish(null, measureFromNs, measureToNs);
        return true;
    });

    public async Task<GroupSample> SampleAsync()
    {
        var samples = await OnLoopsAsync(static loop =>
            (Counters: loop.Counters with { }, Latencies: loop.TakeLatencies(), loop.FirstNote, Members: loop.Clients.Count(static client => client.IsMember)));
        var latencies = new Latencies();
        foreach (var sample in samples)
        {
            latencies.Add(sample.Latencies);
        }

        return new GroupSample(
            samples.Select(static sample => sample.Counters).Aggregate(static (a, b) => a + b),
            latencies,
            samples.Select(static sample => sample.FirstNote).FirstOrDefault(static note => note is not null),
            samples.Sum(static sample => sample.Members));
    }

    /// <summary>The newest seq that anybody here saw, by room.</summary>
    public async Task<long[]> HeadsAsync()
    {
        long[][] heads = await OnLoopsAsync(static loop => loop.Heads.ToArray());
        return [.. Enumerable.Range(0, _plan.Target.Rooms.Count).Select(room => heads.Max(ofLoop => ofLoop[room]))];
    }

    /// <summary>Events that members still lack below the heads, and messages of publishers without any answer.</summary>
    public async Task<(long Missing, long Unanswered)> BehindAsync(IReadOnlyList<long> heads)
    {
        var behind = await OnLoopsAsync(loop =>
        {
            IEnumerable<WebSocketClient> members = loop.Clients.Where(static client => client.IsMember && !client.IsStalled);
            return (Missing: members.Sum(client => heads[client.Room] - client.LastSeq), Unanswered: members.Sum(static client => (long)client.Outstanding));
        });
        return (behind.Sum(static each => each.Missing), behind.Sum(static each => each.Unanswered));
    }

    /// <summary>Ends all connections; who is opened again is a new client.</summary>
    public Task LeaveAsync() => OnLoopsAsync(static loop =>
    {
        foreach (WebSocketClient client in loop.Clients)
        {
            client.Leave(forgets: true);
        }

        return true;
    });

    /// <summary>Cuts some connections off without a word, but not those that publish. Opened again, they resume.</summary>
    public Task DropAsync(int everyNth, int offset) => OnLoopsAsync(loop =>
    {
        foreach (WebSocketClient client in loop.Clients)
        {
            if (client.Index % everyNth == offset % everyNth && !IsPublisher(client))
            {
                client.Leave();
            }
        }

        return true;
    });

    /// <summary>Lets some of the connections read no more; they get a small receive buffer, so that the server soon feels it.</summary>
    /// <returns>How many.</returns>
    public async Task<int> StallAsync(int everyNth, int receiveBufferBytes) => (await OnLoopsAsync(loop =>
    {
        int stalled = 0;
        foreach (WebSocketClient client in loop.Clients.Where(client => client.Index % everyNth == everyNth - 1 && !IsPublisher(client)))
        {
            client.ReceiveBufferBytes = receiveBufferBytes;
            client.IsStalled = client.IsMember;
            stalled++;
        }

        return stalled;
    })).Sum();

    /// <summary>Lets stalled clients read all that is left for them, up to the end.</summary>
    public Task CatchUpAsync() => OnLoopsAsync(static loop =>
    {
        foreach (WebSocketClient client in loop.Clients.Where(static client => client.IsStalled))
        {
            client.CatchUp();
        }

        return true;
    });

    public Task PingAsync() => OnLoopsAsync(static loop =>
    {
        foreach (WebSocketClient client in loop.Clients.Where(static client => client.IsMember))
        {
            client.Ping();
        }

        return true;
    });

    /// <summary>Opens REST connections, each of which makes one call after the other.</summary>
    /// <param name="connections">How many.</param>
    /// <param name="nextCall">Gives the next call; the loops' threads ask it.</param>
    public Task CallAsync(int connections, Func<RestCall> nextCall) => OnLoopsAsync((loop, number) =>
    {
        for (int i = number; i < connections; i += _loops.Length)
        {
            loop.Add(new RestClient(loop, nextCall));
        }

        return true;
    });

    /// <summary>Each ends with the answer to its call.</summary>
    public Task StopCallingAsync() => OnLoopsAsync(static loop =>
    {
        foreach (RestClient caller in loop.Callers)
        {
            caller.IsStopping = true;
        }

        return true;
    });

    public void Dispose()
    {
        foreach (ClientLoop loop in _loops)
        {
            loop.Dispose();
        }
    }

    private bool IsPublisher(WebSocketClient client) => client.Index / _plan.Target.Rooms.Count < _plan.PublishersPerRoom;

    private Task<T[]> OnLoopsAsync<T>(Func<ClientLoop, T> work) => OnLoopsAsync((loop, _) => work(loop));

    private Task<T[]> OnLoopsAsync<T>(Func<ClientLoop, int, T> work) =>
        Task.WhenAll(_loops.Select((loop, number) => loop.RunAsync(() => work(loop, number))));
}
