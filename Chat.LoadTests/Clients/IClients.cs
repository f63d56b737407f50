using Chat.LoadTests.Processes;

namespace Chat.LoadTests.Clients;

/// <summary>
/// All clients of a run: in this process (<see cref="ClientGroup"/>) or dealt out to several (<see cref="ClientProcesses"/>).
/// Called by one task at a time, but for samples, which may be taken while an opening is under way.
/// </summary>
internal interface IClients : IAsyncDisposable
{
    /// <summary>Null, or why some of the clients are gone and the run is worth no more; for people.</summary>
    string? Fault { get; }

    /// <summary>Connects all who are not, and waits until each was welcomed or failed.</summary>
    /// <param name="pace">Of all together.</param>
    Task OpenAsync(OpenPace pace);

    /// <summary>Begins to send; what was sent before goes on its way.</summary>
    Task PublishAsync(PublishPlan plan);

    /// <summary>Sends no more. What is under way still counts.</summary>
    Task StopPublishingAsync(long measureFromNs, long measureToNs);

    Task<GroupSample> SampleAsync();

    /// <summary>The newest seq that anybody saw, by room.</summary>
    Task<long[]> HeadsAsync();

    /// <summary>What members still lack below the heads.</summary>
    Task<Backlog> BehindAsync(IReadOnlyList<long> heads);

    /// <summary>Ends all connections; who is opened again is a new client.</summary>
    Task LeaveAsync();

    /// <summary>Cuts some connections off without a word, but not those that publish. Opened again, they resume.</summary>
    Task DropAsync(int everyNth, int offset);

    /// <summary>Lets some of the connections read no more; they get a small receive buffer, so that the server soon feels it.</summary>
    /// <returns>How many.</returns>
    Task<int> StallAsync(int everyNth, int receiveBufferBytes);

    /// <summary>Lets stalled clients read all that is left for them, up to the end.</summary>
    Task CatchUpAsync();

    /// <summary>Every member asks for a sign of life; answers are counted as pongs.</summary>
    Task PingAsync();

    /// <summary>Opens REST connections, each of which makes one call after the other.</summary>
    Task CallAsync(int connections, RestMix mix);

    /// <summary>Each ends with the answer to its call.</summary>
    Task StopCallingAsync();
}

/// <summary>What is still under way.</summary>
/// <param name="Missing">Events that members lack.</param>
/// <param name="Unanswered">Messages of publishers without any answer.</param>
internal readonly record struct Backlog(long Missing, long Unanswered);

/// <summary>What some clients counted since they began, and timed since the last sample.</summary>
/// <param name="Counters">Since they began.</param>
/// <param name="Latencies">Since the last sample.</param>
/// <param name="Note">The first thing that went wrong, or null.</param>
/// <param name="Members">Connections that are welcome now; of REST, that are open.</param>
/// <param name="CpuS">CPU time of the processes that they live in, in seconds.</param>
internal sealed record GroupSample(Counters Counters, Latencies Latencies, string? Note, int Members, double CpuS)
{
    /// <summary>All of them as one: counts are summed, and histograms are, so that a percentile is that of all values.</summary>
    public static GroupSample Merge(IReadOnlyCollection<GroupSample> samples)
    {
        var latencies = new Latencies();
        foreach (GroupSample sample in samples)
        {
            latencies.Add(sample.Latencies);
        }

        return new GroupSample(
            samples.Aggregate(new Counters(), static (sum, sample) => sum + sample.Counters),
            latencies,
            samples.Select(static sample => sample.Note).FirstOrDefault(static note => note is not null),
            samples.Sum(static sample => sample.Members),
            samples.Sum(static sample => sample.CpuS));
    }
}
