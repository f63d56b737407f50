using Chat.LoadTests.Clients;
using Chat.LoadTests.Measuring;

namespace Chat.LoadTests.Processes;

/// <summary>
/// Clients in several processes, each with its share: for more connections than one process may have files, and for more load than
/// the threads of one make. When a process dies, what it had counted stays in the sum and the others go on; <see cref="Fault"/>
/// then says that the run is to be broken off.
/// </summary>
internal sealed class ClientProcesses : IClients
{
    private readonly ClientProcess[] _processes;
    private readonly GroupSample[] _last;
    private readonly ProcessUsage _usage = ProcessUsage.OfThis();

    private ClientProcesses(ClientProcess[] processes)
    {
        _processes = processes;
        _last = [.. processes.Select(static _ => new GroupSample(new Counters(), new Latencies(), null, 0, 0))];
    }

    public string? Fault { get; private set; }

    public IReadOnlyList<ClientProcess> All => _processes;

    /// <summary>Starts the processes, which make their clients.</summary>
    /// <param name="plan">The whole run's; each process gets its share of it.</param>
    /// <param name="count">How many.</param>
    /// <exception cref="CannotRunException">One did not start.</exception>
    public static async Task<ClientProcesses> StartAsync(GroupPlan plan, int count)
    {
        var processes = new ClientProcesses([.. Enumerable.Range(0, count).Select(static _ => ClientProcess.Start())]);
        await processes.AskAsync(number => new EnterRequest(plan with { Share = new ProcessShare(number, count) }));
        if (processes.Fault is { } fault)
        {
            await processes.DisposeAsync();
            throw new CannotRunException(fault);
        }

        return processes;
    }

    public Task OpenAsync(OpenPace pace)
    {
        int count = _processes.Length;
        return AskAsync(_ => new OpenRequest(pace with { Concurrency = Math.Max(1, pace.Concurrency / count), PerSecond = pace.PerSecond / count }));
    }

    public Task PublishAsync(PublishPlan plan) => AskAsync(_ => new PublishRequest(plan));

    public Task StopPublishingAsync(long measureFromNs, long measureToNs) => AskAsync(_ => new StopPublishingRequest(measureFromNs, measureToNs));

    public async Task<GroupSample> SampleAsync()
    {
        ClientAnswer?[] answers = await AskAsync(static _ => new SampleRequest());
        for (int i = 0; i < answers.Length; i++)
        {
            _last[i] = answers[i]?.Sample ?? _last[i] with { Latencies = new Latencies(), Members = 0 };
        }

        var sum = GroupSample.Merge(_last);
        return sum with { CpuS = sum.CpuS + _usage.Read().CpuS };
    }

    public async Task<long[]> HeadsAsync()
    {
        long[] heads = [];
        foreach (IReadOnlyList<long> ofProcess in (await AskAsync(static _ => new HeadsRequest())).Select(static answer => answer?.Heads ?? []))
        {
            heads = heads.Length == 0 ? [.. ofProcess] : ofProcess.Count == 0 ? heads : [.. heads.Zip(ofProcess, Math.Max)];
        }

        return heads;
    }

    public async Task<Backlog> BehindAsync(IReadOnlyList<long> heads)
    {
        ClientAnswer?[] answers = await AskAsync(_ => new BehindRequest(heads));
        return new Backlog(answers.Sum(static answer => answer?.Backlog.Missing ?? 0), answers.Sum(static answer => answer?.Backlog.Unanswered ?? 0));
    }

    public Task LeaveAsync() => AskAsync(static _ => new LeaveRequest());

    public Task DropAsync(int everyNth, int offset) => AskAsync(_ => new DropRequest(everyNth, offset));

    public async Task<int> StallAsync(int everyNth, int receiveBufferBytes) =>
        (await AskAsync(_ => new StallRequest(everyNth, receiveBufferBytes))).Sum(static answer => answer?.Count ?? 0);

    public Task CatchUpAsync() => AskAsync(static _ => new CatchUpRequest());

    public Task PingAsync() => AskAsync(static _ => new PingRequest());

    public Task CallAsync(int connections, RestMix mix) => AskAsync(_ => new CallRequest(connections, mix));

    public Task StopCallingAsync() => AskAsync(static _ => new StopCallingRequest());

    public async ValueTask DisposeAsync()
    {
        foreach (ClientProcess process in _processes)
        {
            await process.DisposeAsync();
        }

        _usage.Dispose();
    }

    /// <summary>Asks all at once. Null in place of an answer: that process has died.</summary>
    private async Task<ClientAnswer?[]> AskAsync(Func<int, ClientRequest> request)
    {
        ClientAnswer?[] answers = await Task.WhenAll(_processes.Select((process, number) => process.AskAsync(request(number))));
        for (int i = 0; i < answers.Length && Fault is null; i++)
        {
            Fault = answers[i] is null ? $"Client process {i + 1} of {_processes.Length} {await _processes[i].ObituaryAsync()}" : null;
        }

        return answers;
    }
}
