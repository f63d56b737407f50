using Chat.LoadTests.Loads;
using Chat.LoadTests.Measuring;

namespace Chat.LoadTests.Clients;

/// <summary>Who takes part, and where: enough to make the same clients in this process or in another.</summary>
/// <param name="Target">The server, and the ids of the rooms.</param>
/// <param name="Tokens">Of the users that the connections share.</param>
/// <param name="Connections">In the whole run.</param>
/// <param name="PublishersPerRoom">The first members of each room, who send.</param>
/// <param name="Threads">Loops in this process.</param>
/// <param name="Share">Which of the connections are this process's: those whose index is <c>Share.Index</c> modulo <c>Share.Count</c>.</param>
internal sealed record GroupPlan(
    LoopTarget Target, IReadOnlyList<string> Tokens, int Connections, int PublishersPerRoom, int Threads, ProcessShare Share);

/// <summary>One of several processes that share the clients of a run.</summary>
internal readonly record struct ProcessShare(int Index, int Count);

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

/// <summary>
/// The clients of one process, dealt out to its loops. The work is done on the loops' threads.
/// </summary>
internal sealed class ClientGroup : IClients
{
    private readonly GroupPlan _plan;
    private readonly ClientLoop[] _loops;
    private readonly ProcessUsage _usage = ProcessUsage.OfThis();

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

    public string? Fault => null;

    public async Task OpenAsync(OpenPace pace)
    {
        OpenPace each = pace with { Concurrency = Math.Max(1, pace.Concurrency / _loops.Length), PerSecond = pace.PerSecond / _loops.Length };
        Task[] openings = await OnLoopsAsync(loop => loop.Open(loop.Clients, each));
        await Task.WhenAll(openings);
    }

    public Task PublishAsync(PublishPlan plan) => OnLoopsAsync(loop =>
    {
        var template = new MessageTemplate(plan.ContentBytes, plan.WithNonces);
        WebSocketClient[] publishers = [.. loop.Clients.Where(IsPublisher)];
        Publishing publishing = plan.Load is { } load
            ? new OpenLoopPublishing(load, plan.StartNs, template, new PublisherChoice(_plan.Target.Rooms.Count, _plan.PublishersPerRoom, plan.Skew), publishers)
            : new ClosedLoopPublishing(publishers, plan.Window, plan.StartNs, template);
        loop.Publish(publishing, plan.MeasureFromNs, plan.MeasureToNs);
        return true;
    });

    public Task StopPublishingAsync(long measureFromNs, long measureToNs) => OnLoopsAsync(loop =>
    {
        loop.Publish(null, measureFromNs, measureToNs);
        return true;
    });

    public async Task<GroupSample> SampleAsync()
    {
        GroupSample[] samples = await OnLoopsAsync(static loop => new GroupSample(
            loop.Counters with { }, loop.TakeLatencies(), loop.FirstNote,
            loop.Clients.Count(static client => client.IsMember) + loop.Callers.Count(static caller => caller.HasSocket), CpuS: 0));
        return GroupSample.Merge(samples) with { CpuS = _usage.Read().CpuS };
    }

    public async Task<long[]> HeadsAsync()
    {
        long[][] heads = await OnLoopsAsync(static loop => loop.Heads.ToArray());
        return [.. Enumerable.Range(0, _plan.Target.Rooms.Count).Select(room => heads.Max(ofLoop => ofLoop[room]))];
    }

    public async Task<Backlog> BehindAsync(IReadOnlyList<long> heads)
    {
        var behind = await OnLoopsAsync(loop =>
        {
            IEnumerable<WebSocketClient> members = loop.Clients.Where(static client => client.IsMember && !client.IsStalled);
            return (Missing: members.Sum(client => heads[client.Room] - client.LastSeq), Unanswered: members.Sum(static client => (long)client.Outstanding));
        });
        return new Backlog(behind.Sum(static each => each.Missing), behind.Sum(static each => each.Unanswered));
    }

    public Task LeaveAsync() => OnLoopsAsync(static loop =>
    {
        foreach (WebSocketClient client in loop.Clients)
        {
            client.Leave(forgets: true);
        }

        return true;
    });

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

    public Task CallAsync(int connections, RestMix mix) => OnLoopsAsync((loop, number) =>
    {
        int first = _plan.Share.Index + number * _plan.Share.Count;
        for (int i = first; i < connections; i += _plan.Share.Count * _loops.Length)
        {
            loop.Add(new RestClient(loop, mix));
        }

        return true;
    });

    public Task StopCallingAsync() => OnLoopsAsync(static loop =>
    {
        foreach (RestClient caller in loop.Callers)
        {
            caller.IsStopping = true;
        }

        return true;
    });

    public ValueTask DisposeAsync()
    {
        foreach (ClientLoop loop in _loops)
        {
            loop.Dispose();
        }

        _usage.Dispose();
        return ValueTask.CompletedTask;
    }

    private bool IsPublisher(WebSocketClient client) => client.Index / _plan.Target.Rooms.Count < _plan.PublishersPerRoom;

    private Task<T[]> OnLoopsAsync<T>(Func<ClientLoop, T> work) => OnLoopsAsync((loop, _) => work(loop));

    private Task<T[]> OnLoopsAsync<T>(Func<ClientLoop, int, T> work) =>
        Task.WhenAll(_loops.Select((loop, number) => loop.RunAsync(() => work(loop, number))));
}
