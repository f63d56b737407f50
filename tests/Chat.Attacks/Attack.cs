namespace Chat.Attacks;

/// <summary>One way to wear a server down: so many attackers, each of which visits the server over and over.</summary>
/// <param name="Name">As on the command line and in the report.</param>
/// <param name="Attackers">How many at a time.</param>
/// <param name="VisitAsync">One visit: from a connection, or a burst of them, to its end. Says by <see cref="Attacker.Expect"/> what must hold.</param>
internal sealed record Attack(string Name, int Attackers, Func<Attacker, Task> VisitAsync)
{
    /// <summary>
    /// Between two visits of an attacker: a round trip of the internet. Without it they would ask how many handshakes a second two
    /// cores can do that the attackers share, which is another question.
    /// </summary>
    private const int PauseMs = 50;

    public static IReadOnlyList<Attack> All { get; } = [.. SlowAttacks.All, .. HttpAttacks.All, .. ConnectionAttacks.All, .. FrameAttacks.All];

    /// <summary>Attacks until cancelled, and writes down what happens.</summary>
    public Task InflictAsync(AttackTarget target, Tally tally, CancellationToken stop) =>
        Task.WhenAll(Enumerable.Range(0, Attackers).Select(number => Task.Run(() => AttackAsync(new Attacker(target, tally, number, stop)))));

    private async Task AttackAsync(Attacker attacker)
    {
        while (!attacker.Stop.IsCancellationRequested)
        {
            try
            {
                await VisitAsync(attacker);
                attacker.Tally.Visited();
                await attacker.PauseAsync(PauseMs);
            }
            catch (OperationCanceledException) when (attacker.Stop.IsCancellationRequested)
            {
                return;
            }
        }
    }
}

/// <summary>What came of one attack. Any thread.</summary>
internal sealed class Tally(string name)
{
    private const int ViolationsMax = 5;

    private readonly Lock _lock = new();
    private readonly List<string> _violations = [];
    private readonly TaskCompletionSource _visited = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _visits;
    private long _refused;

    public string Name => name;

    /// <summary>Visits that went to their end.</summary>
    public long Visits => Volatile.Read(ref _visits);

    /// <summary>Completes with the first of them.</summary>
    public Task FirstVisit => _visited.Task;

    /// <summary>Connections that the server would not have.</summary>
    public long Refused => Volatile.Read(ref _refused);

    /// <summary>What should not have happened; the first few.</summary>
    public IReadOnlyList<string> Violations
    {
        get
        {
            lock (_lock)
            {
                return [.. _violations];
            }
        }
    }

    public void Visited()
    {
        Interlocked.Increment(ref _visits);
        _visited.TrySetResult();
    }

    public void WasRefused() => Interlocked.Increment(ref _refused);

    public void Violated(string what)
    {
        lock (_lock)
        {
            if (_violations.Count < ViolationsMax)
            {
                _violations.Add($"{name}: {what}");
            }
        }
    }
}
