using System.Net;
using System.Net.Sockets;
using Chat.LoadTests.Clients;
using Chat.LoadTests.Hosting;
using Chat.LoadTests.Loads;
using Chat.LoadTests.Measuring;
using Chat.LoadTests.Processes;
using Chat.LoadTests.Reports;

namespace Chat.LoadTests.Scenarios;

/// <summary>
/// One run of a scenario: the server, the clients, what was measured. A scenario enters its clients, opens them, lets them
/// do something, and sets the figures that are its own. Used by one task.
/// </summary>
internal sealed class LoadRun : IAsyncDisposable
{
    /// <summary>After the last message, answers are waited for this long.</summary>
    private const double DrainSeconds = 10;

    /// <summary>A load begins this long after it was ordered, so that all loops are ready by then.</summary>
    private const double LeadSeconds = 0.05;

    private const int DrainPauseMs = 20;

    /// <summary>What members miss while they are away is sent at this rate: fast, and below what any server is overloaded by.</summary>
    private const double BurstPerS = 2000;

    private const int BurstContentBytes = 32;
    private const long BurstPauseNs = 20 * Clock.NsPerMs;

    private readonly LoadSettings _settings;
    private readonly LiveView _view;
    private readonly List<StepResult> _steps = [];
    private readonly Dictionary<string, double> _figures = [];
    private readonly List<string> _notes = [];
    private Accounts? _accounts;
    private ProcessUsage? _server;
    private double _memoryBeforeMib;
    private double _openingS;

    private readonly string _main;

    private LoadRun(string main, LoadSettings settings, LiveView view, Target target)
    {
        _main = main;
        _settings = settings;
        _view = view;
        Target = target;
    }

    public Target Target { get; }

    public IClients Clients { get; private set; } = null!;

    public Sampler Sampler { get; private set; } = null!;

    /// <summary>Ids of the rooms that were made for this run.</summary>
    public IReadOnlyList<long> Rooms { get; private set; } = [];

    public Accounts Accounts => _accounts!;

    /// <summary>Measured time, in seconds.</summary>
    public double MeasuredS { get; private set; }

    public IReadOnlyList<StepResult> Steps => _steps;

    public IReadOnlyDictionary<string, double> Figures => _figures;

    public IReadOnlyList<string> Notes => _notes;

    /// <summary>Finds or starts the server.</summary>
    /// <param name="main">The step whose latencies are the report's own.</param>
    /// <param name="settings">The shared options.</param>
    /// <param name="view">Where progress is shown.</param>
    /// <param name="cancellation">Ends it.</param>
    public static async Task<LoadRun> BeginAsync(string main, LoadSettings settings, LiveView view, CancellationToken cancellation)
    {
        view.Phase(settings.Url is null ? "starting a server" : $"looking for {settings.Url}", 0);
        return new LoadRun(main, settings, view, await Target.OpenAsync(settings.Url, settings.Launch, cancellation));
    }

    /// <summary>Makes accounts and rooms, and the clients, which do not connect yet.</summary>
    /// <param name="connections">Connections, dealt out to the rooms in turn.</param>
    /// <param name="rooms">Rooms to make.</param>
    /// <param name="publishersPerRoom">The first members of each room, who send.</param>
    /// <param name="cancellation">Ends it.</param>
    /// <param name="freshServer">
    /// A server of its own is started again before the clients come: password hashes and thousands of calls leave memory
    /// behind, in which the first thousands of connections would be had for nothing.
    /// </param>
    public async Task EnterAsync(int connections, int rooms, int publishersPerRoom, CancellationToken cancellation, bool freshServer = false)
    {
        FileLimit.Require(connections, _settings.Processes, Target.Process is not null);
        _view.Phase($"making {_settings.Users} accounts and {rooms} rooms", 0);
        _accounts = await Accounts.RegisterAsync(Target.Url, _settings.Users, cancellation);
        Rooms = await _accounts.CreateRoomsAsync(rooms, "Load", cancellation);
        if (freshServer && Target.Process is { } process)
        {
            await process.TerminateAsync();
            await process.StartAgainAsync(cancellation);
        }

        var target = new LoopTarget(await ResolveAsync(Target.Url, cancellation), Target.Url.Authority, Rooms);
        string[] tokens = [.. Enumerable.Range(0, _accounts.Count).Select(user => _accounts.For(user).Token)];
        var plan = new GroupPlan(
            target, tokens, connections, Math.Min(publishersPerRoom, connections / Math.Max(1, rooms)), _settings.Threads, new ProcessShare(0, 1));
        Clients = _settings.Processes == 1 ? new ClientGroup(plan) : await ClientProcesses.StartAsync(plan, _settings.Processes);
        int processId = Target.Process?.ProcessId ?? _settings.ServerPid;
        _server = processId == 0 ? null : ProcessUsage.Find(processId) ?? throw new CannotRunException($"--server-pid: there is no process {processId}.");
        _memoryBeforeMib = _server?.Read().MemoryMib ?? 0;
        Sampler = new Sampler(Clients, Target, _server, _main, _view.Show);
    }

    /// <summary>Connects all clients that are not.</summary>
    /// <param name="pace">How fast.</param>
    /// <param name="mustAll">A run with fewer is worth nothing.</param>
    /// <param name="cancellation">Ends it.</param>
    /// <returns>Connections welcomed a second.</returns>
    public async Task<double> OpenAsync(OpenPace pace, bool mustAll, CancellationToken cancellation)
    {
        _view.Phase("connecting", 0);
        Mark before = await Sampler.MarkAsync();
        await Sampler.WatchAsync(Clients.OpenAsync(pace), cancellation);
        Mark after = await Sampler.MarkAsync();
        Counters passed = after.Counters - before.Counters;
        _openingS += after.SecondsSince(before);
        Sampler.RequireAlive();
        if (passed.Opened == 0 && passed.Failed > 0)
        {
            throw new CannotRunException($"None of {passed.Failed:N0} connections was welcomed. First: {Sampler.FirstNote}.");
        }

        if (mustAll && passed.Failed > 0)
        {
            throw new CannotRunException($"{passed.Failed:N0} of {passed.Failed + passed.Opened:N0} connections failed. First: {Sampler.FirstNote}.");
        }

        return passed.Opened / after.SecondsSince(before);
    }

    /// <summary>Sends, measures, and waits for the last answers.</summary>
    /// <param name="load">Open loop, with its warm-up in front; null for a closed one.</param>
    /// <param name="window">Closed loop: messages under way for each publisher.</param>
    /// <param name="shape">Size, nonces, skew and times.</param>
    /// <param name="meanwhile">Called about once a second while it lasts; null for nothing.</param>
    /// <param name="cancellation">Ends it; what was measured stays.</param>
    public async Task PublishAsync(LoadPlan? load, int window, MessageShape shape, Func<Task>? meanwhile, CancellationToken cancellation)
    {
        long startNs = Clock.NowNs + Clock.FromSeconds(LeadSeconds);
        long fromNs = startNs + Clock.FromSeconds(shape.WarmUpS);
        long toNs = fromNs + Clock.FromSeconds(shape.Seconds);
        await Clients.PublishAsync(new PublishPlan(load, window, shape.ContentBytes, shape.WithNonces, shape.Skew, startNs, fromNs, toNs));
        if (shape.WarmUpS > 0)
        {
            _view.Phase("warming up", shape.WarmUpS);
            await Sampler.WatchAsync(fromNs, cancellation);
        }

        _view.Phase("measuring", shape.Seconds);
        Mark from = await Sampler.MarkAsync();
        try
        {
            await WatchAsync(toNs, meanwhile, cancellation);
        }
        finally
        {
            await Clients.StopPublishingAsync(fromNs, toNs);
            SetPublishFigures(from, await Sampler.MarkAsync());
        }

        await DrainAsync(shape.AcksComplete, cancellation);
    }

    /// <summary>Sends a number of short messages, the rooms in turn, and comes back when all are sent.</summary>
    public async Task SendAsync(long messages, CancellationToken cancellation)
    {
        long before = (await Sampler.MarkAsync()).Counters.Published;
        LoadPlan load = LoadPlan.Constant(BurstPerS, (messages + 0.5) / BurstPerS);
        await Clients.PublishAsync(new PublishPlan(load, Window: 0, BurstContentBytes, WithNonces: false, Skew: 0, Clock.NowNs, long.MaxValue, long.MaxValue));
        while (Sampler.Counters.Published < before + messages)
        {
            await Sampler.WatchAsync(Clock.NowNs + BurstPauseNs, cancellation);
            await Sampler.MarkAsync();
        }

        await Clients.StopPublishingAsync(long.MaxValue, long.MaxValue);
    }

    public void Set(string figure, double value) => _figures[figure] = value;

    /// <summary>Sets what the whole run counted, and its steps, the main one first.</summary>
    public void Finish()
    {
        if (Sampler is null)
        {
            return;
        }

        Counters all = Sampler.Counters;
        if (all.Published > 0)
        {
            Set(Reports.Figures.Lost, _figures.GetValueOrDefault(Reports.Figures.Lost) + all.Lost);
            Set(Reports.Figures.Duplicates, all.Duplicates);
            Set(Reports.Figures.Reordered, all.Reordered);
            Set(Reports.Figures.Misrouted, all.Misrouted);
            Set(Reports.Figures.Foreign, all.Foreign);
        }

        Set(Reports.Figures.Refused, all.Refused);
        Set(Reports.Figures.Failed, all.Failed);
        Set(Reports.Figures.Closed, all.Closed);
        if (Sampler.ServerMemoryMib is double memoryMib)
        {
            Set(Reports.Figures.ServerMemoryMib, memoryMib);
        }

        foreach ((string name, HdrHistogram.LongHistogram histogram) in Sampler.Latencies.Recorded.OrderBy(step => step.Name != _main))
        {
            long ok = histogram.TotalCount;
            double seconds = name is "connect" or "resume" ? _openingS : MeasuredS;
            _steps.Add(new StepResult(name, ok, FailsOf(name, all), seconds > 0 ? ok / seconds : 0, LatencyFigures.Of(histogram), LatencyFigures.CurveOf(histogram)));
        }

        if (_steps is [var first, ..] && first.Name == _main)
        {
            foreach (string name in (string[])["p50", "p90", "p99", "p999", "max", "mean"])
            {
                Set(name, first.Latency.Named(name)!.Value);
            }
        }

        if (Sampler.FirstNote is { } note)
        {
            _notes.Add($"The first that went wrong: {note}.");
        }
    }

    /// <summary>Growth of the server's memory since before the connections, in bytes for each; null when it runs elsewhere.</summary>
    public double? MemoryPerConnection() =>
        Sampler.ServerMemoryMib is double now && Sampler.Members > 0 ? (now - _memoryBeforeMib) * 1024 * 1024 / Sampler.Members : null;

    public void Phase(string phase, double seconds) => _view.Phase(phase, seconds);

    public void AddNote(string note) => _notes.Add(note);

    /// <summary>Sets the figures of CPU time between two moments, and the length of the measured time.</summary>
    public void SetCpuFigures(Mark from, Mark to)
    {
        MeasuredS = to.SecondsSince(from);
        double clientS = to.ClientCpuS - from.ClientCpuS;
        Set(Reports.Figures.ClientCpu, clientS / MeasuredS * 100);
        if (to.ServerCpuS - from.ServerCpuS is not double serverS)
        {
            return;
        }

        Set(Reports.Figures.ServerCpu, serverS / MeasuredS * 100);
        if (to.MachineCpuS - from.MachineCpuS is double machineS)
        {
            Set(Reports.Figures.OtherCpu, Math.Max(0, machineS - serverS - clientS) / MeasuredS * 100);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await (Clients?.DisposeAsync() ?? ValueTask.CompletedTask);
        _server?.Dispose();
        _accounts?.Dispose();
        await Target.DisposeAsync();
    }

    private async Task WatchAsync(long toNs, Func<Task>? meanwhile, CancellationToken cancellation)
    {
        if (meanwhile is null)
        {
            await Sampler.WatchAsync(toNs, cancellation);
            return;
        }

        while (Clock.NowNs < toNs)
        {
            await Sampler.WatchAsync(Math.Min(toNs, Clock.NowNs + Clock.NsPerSecond), cancellation);
            await meanwhile();
        }
    }

    private void SetPublishFigures(Mark from, Mark to)
    {
        SetCpuFigures(from, to);
        Counters passed = to.Counters - from.Counters;
        Set(Reports.Figures.MessagesPerS, passed.Published / MeasuredS);
        Set(Reports.Figures.DeliveriesPerS, passed.Delivered / MeasuredS);
        Set(Reports.Figures.DeliveriesPerRead, passed.Reads == 0 ? 0 : (double)passed.Delivered / passed.Reads);
        if (passed.Delivered > 0)
        {
            Set(Reports.Figures.ClientUsPerDelivery, (to.ClientCpuS - from.ClientCpuS) * 1e6 / passed.Delivered);
            if (to.ServerCpuS - from.ServerCpuS is double serverS)
            {
                Set(Reports.Figures.ServerUsPerDelivery, serverS * 1e6 / passed.Delivered);
            }
        }

        int threads = _settings.Processes * _settings.Threads;
        if (_figures[Reports.Figures.ClientCpu] > 95 * threads)
        {
            AddNote($"The {threads} client threads of this program were busy all the time: the server may be able to do more. See --threads and --processes.");
        }
    }

    /// <summary>Waits until every member has what the others have, and senders their acks.</summary>
    public async Task DrainAsync(bool acksComplete, CancellationToken cancellation)
    {
        _view.Phase("waiting for the last answers", 0);
        long deadlineNs = Clock.NowNs + Clock.FromSeconds(DrainSeconds);
        while (true)
        {
            (long missing, long unanswered) = await Clients.BehindAsync(await Clients.HeadsAsync());
            Counters counters = (await Sampler.MarkAsync()).Counters;
            Sampler.RequireAlive();
            if (acksComplete)
            {
                unanswered = Math.Max(unanswered, counters.Published - counters.Acked - counters.Refused);
            }

            if (Clock.NowNs > deadlineNs || (missing == 0 && unanswered <= 0))
            {
                Set(Reports.Figures.Lost, missing);
                Set(Reports.Figures.Unanswered, Math.Max(0, unanswered));
                return;
            }

            await Task.Delay(DrainPauseMs, cancellation);
        }
    }

    private long FailsOf(string step, Counters all) => step switch
    {
        "deliver" => (long)_figures.GetValueOrDefault(Reports.Figures.Lost) + all.Duplicates + all.Reordered + all.Misrouted,
        "ack" => all.Refused,
        "connect" => all.Failed,
        "resume" => all.Reloads,
        _ => Sampler.Latencies.FailsOf(step),
    };

    private static async Task<IPEndPoint> ResolveAsync(Uri url, CancellationToken cancellation)
    {
        IPAddress[] addresses = await Dns.GetHostAddressesAsync(url.IdnHost, cancellation);
        IPAddress address = addresses.FirstOrDefault(static address => address.AddressFamily == AddressFamily.InterNetwork) ?? addresses[0];
        return new IPEndPoint(address, url.Port);
    }
}

/// <summary>What messages look like, and how long they are sent.</summary>
/// <param name="ContentBytes">Length of each content.</param>
/// <param name="WithNonces">Acks are timed.</param>
/// <param name="Skew">How uneven the rooms' shares are.</param>
/// <param name="WarmUpS">Seconds before the measured time.</param>
/// <param name="Seconds">Measured time.</param>
/// <param name="AcksComplete">Nobody is cut off meanwhile, so every message must get its ack.</param>
internal sealed record MessageShape(int ContentBytes, bool WithNonces, double Skew, double WarmUpS, double Seconds, bool AcksComplete);
