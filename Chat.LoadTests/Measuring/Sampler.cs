using Chat.LoadTests.Clients;
using Chat.LoadTests.Hosting;
using Chat.LoadTests.Reports;

namespace Chat.LoadTests.Measuring;

/// <summary>A moment of a run: what had been counted and used until then.</summary>
internal sealed record Mark(long AtNs, Counters Counters, double? ServerCpuS, double ClientCpuS, double? MachineCpuS)
{
    public double SecondsSince(Mark earlier) => (AtNs - earlier.AtNs) / (double)Clock.NsPerSecond;
}

/// <summary>
/// Looks at the clients and the server once a second while a scenario waits, and keeps what it saw: a row of the timeline
/// for each second, all latencies in sum. Used by one task.
/// </summary>
internal sealed class Sampler(IClients clients, Target target, ProcessUsage? server, string mainStep, Action<TimelineRow> show)
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(1);

    private readonly List<TimelineRow> _timeline = [];
    private readonly long _startNs = Clock.NowNs;
    private Latencies _sinceRow = new();
    private Mark? _lastRow;

    public IReadOnlyList<TimelineRow> Timeline => _timeline;

    /// <summary>All that was timed so far.</summary>
    public Latencies Latencies { get; private set; } = new();

    public Counters Counters { get; private set; } = new();

    public string? FirstNote { get; private set; }

    /// <summary>Connections that are welcome now.</summary>
    public int Members { get; private set; }

    /// <summary>The server's memory now, in MiB; null when it runs elsewhere.</summary>
    public double? ServerMemoryMib => server?.Read().MemoryMib;

    /// <summary>Takes a sample now.</summary>
    public async Task<Mark> MarkAsync()
    {
        GroupSample sample = await clients.SampleAsync();
        _sinceRow.Add(sample.Latencies);
        Latencies.Add(sample.Latencies);
        Counters = sample.Counters;
        FirstNote ??= sample.Note;
        Members = sample.Members;
        var mark = new Mark(Clock.NowNs, sample.Counters, server?.Read().CpuS, sample.CpuS, MachineInspection.BusyCpuS());
        _lastRow ??= mark;
        return mark;
    }

    /// <summary>Forgets what was timed so far: a warm-up is over.</summary>
    public async Task<Mark> StartAgainAsync()
    {
        Mark mark = await MarkAsync();
        Latencies = new Latencies();
        return mark;
    }

    /// <summary>Waits, and writes a row for each second of it.</summary>
    /// <param name="untilNs">When to come back, by <see cref="Clock"/>.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <exception cref="CannotRunException">The server has died, or some of the clients have.</exception>
    public async Task WatchAsync(long untilNs, CancellationToken cancellation)
    {
        for (long leftNs = untilNs - Clock.NowNs; leftNs > 0; leftNs = untilNs - Clock.NowNs)
        {
            var left = TimeSpan.FromMicroseconds(leftNs / Clock.NsPerUs + 1);
            await Task.Delay(left < Period ? left : Period, cancellation);
            await RowAsync();
            RequireAlive();
        }
    }

    /// <summary>Waits for something, and writes rows meanwhile.</summary>
    public async Task WatchAsync(Task task, CancellationToken cancellation)
    {
        while (await Task.WhenAny(task, Task.Delay(Period, cancellation)) != task)
        {
            cancellation.ThrowIfCancellationRequested();
            await RowAsync();
            RequireAlive();
        }

        await task;
    }

    private async Task RowAsync()
    {
        Mark? last = _lastRow;
        Mark mark = await MarkAsync();
        double seconds = last is null ? 0 : mark.SecondsSince(last);
        if (last is null || seconds < 0.2)
        {
            return; // The rest of a wait is no second of its own: it goes into the next row.
        }

        Counters passed = mark.Counters - last.Counters;
        var latency = LatencyFigures.Of(_sinceRow.Named(mainStep));
        Counters all = mark.Counters;
        var row = new TimelineRow(
            (mark.AtNs - _startNs) / (double)Clock.NsPerSecond,
            passed.Published / seconds,
            (passed.Delivered + passed.Answered) / seconds,
            latency.P50,
            latency.P99,
            all.Refused + all.Failed + all.Closed + all.Lost + all.Duplicates + all.Reordered + all.Misrouted,
            Members,
            (mark.ServerCpuS - last.ServerCpuS) / seconds * 100,
            ServerMemoryMib,
            (mark.ClientCpuS - last.ClientCpuS) / seconds * 100);
        _timeline.Add(row);
        _sinceRow = new Latencies();
        _lastRow = mark;
        show(row);
    }

    /// <exception cref="CannotRunException">The server has died, or some of the clients have: by the last sample there is nothing to wait for.</exception>
    public void RequireAlive()
    {
        if (clients.Fault is { } fault)
        {
            throw new CannotRunException(fault);
        }

        if (target.Process is { HasExited: true } process)
        {
            throw new CannotRunException($"The server died in the middle of the run. Its last lines:\n{process.Log}");
        }

        if (Members == 0 && Counters.Closed > 0)
        {
            throw new CannotRunException($"The server ended every connection in the middle of the run. First: {FirstNote}.");
        }
    }
}
