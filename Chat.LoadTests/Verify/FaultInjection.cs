using System.Diagnostics;
using Chat.LoadTests.Hosting;

namespace Chat.LoadTests.Verify;

/// <summary>
/// Breaks the server and its database, one after the other in a random order, over the time of a run. Each fault waits until messages are
/// acknowledged again after the one before, so that all of them happen under load. Now and then the server is killed while its database is down.
/// </summary>
internal sealed class FaultInjection(
    FaultCounts counts, TimeSpan over, ServerProcess? server, PostgresServer? database, Tally tally, Findings findings, Random random)
{
    private const int AcknowledgedBetweenFaults = 50;
    private const int FreezeMsMax = 3000;

    /// <summary>Now and then one that outlasts every time limit of the server, so that it gives its connections up.</summary>
    private const int LongFreezeMs = 30_000;
    private const int FreezesPerLongFreeze = 5;

    private const int DownMsMax = 500;
    private const double KillWhileDatabaseIsDown = 0.25;

    /// <summary>How long a server that is well may take for its first acknowledgement, on a machine that is busy with everything else.</summary>
    private static readonly TimeSpan ProgressTimeout = TimeSpan.FromSeconds(60);

    private enum Kind
    {
        Kill,
        Terminate,
        CrashDatabase,
        FreezeDatabase,
    }

    /// <summary>Injects all of them.</summary>
    /// <exception cref="CannotRunException">The server ended by itself, or does not start again.</exception>
    public async Task RunAsync(CancellationToken cancellation)
    {
        Queue<Kind> kinds = Shuffle();
        double intervalMs = over.TotalMilliseconds / (kinds.Count + 1);
        while (kinds.TryDequeue(out Kind kind))
        {
            long startedAt = Stopwatch.GetTimestamp();
            double afterMs = random.NextDouble() * 2 * intervalMs;
            if (!await WaitForProgressAsync(tally.Acknowledged + AcknowledgedBetweenFaults, cancellation))
            {
                findings.Add(Fault.Unanswered, $"nothing was acknowledged within {ProgressTimeout.TotalSeconds} s; the server's log ends with\n{server?.Log}");
                return;
            }

            double restMs = afterMs - Stopwatch.GetElapsedTime(startedAt).TotalMilliseconds;
            await Task.Delay(TimeSpan.FromMilliseconds(Math.Max(0, restMs)), cancellation);
            CheckServer();
            await InjectAsync(kind, kinds, cancellation);
        }
    }

    /// <exception cref="CannotRunException">The server ended by itself.</exception>
    public void CheckServer()
    {
        if (server is { HasExited: true })
        {
            throw new CannotRunException($"The server ended by itself:\n{server.Log}");
        }
    }

    private Queue<Kind> Shuffle()
    {
        Kind[] kinds =
        [
            .. Enumerable.Repeat(Kind.Kill, counts.Kills),
            .. Enumerable.Repeat(Kind.Terminate, counts.Terminations),
            .. Enumerable.Repeat(Kind.CrashDatabase, counts.DatabaseStops),
            .. Enumerable.Repeat(Kind.FreezeDatabase, counts.DatabaseFreezes),
        ];
        random.Shuffle(kinds);
        return new Queue<Kind>(kinds);
    }

    private async Task InjectAsync(Kind kind, Queue<Kind> next, CancellationToken cancellation)
    {
        switch (kind)
        {
            case Kind.Kill:
                await server!.KillAsync();
                Interlocked.Increment(ref tally.Kills);
                await StartServerAsync(cancellation);
                break;
            case Kind.Terminate:
                int exitCode = await server!.TerminateAsync();
                Interlocked.Increment(ref tally.Terminations);
                if (exitCode != 0)
                {
                    Interlocked.Increment(ref tally.UncleanStops);
                }

                await StartServerAsync(cancellation);
                break;
            case Kind.CrashDatabase:
                await CrashDatabaseAsync(next, cancellation);
                break;
            default:
                await database!.FreezeAsync();
                bool isLong = Interlocked.Increment(ref tally.DatabaseFreezes) % FreezesPerLongFreeze == 0;
                try
                {
                    await Task.Delay(isLong ? LongFreezeMs : random.Next(FreezeMsMax), cancellation);
                }
                finally
                {
                    await database.ThawAsync();
                }

                await RecordRecoveryAsync(tally.AfterDatabase, Stopwatch.GetTimestamp(), tally.Acknowledged, cancellation);
                break;
        }
    }

    private async Task StartServerAsync(CancellationToken cancellation)
    {
        long startedAt = Stopwatch.GetTimestamp();
        await server!.StartAgainAsync(cancellation);
        await RecordRecoveryAsync(tally.AfterServer, startedAt, tally.Acknowledged, cancellation);
    }

    private async Task CrashDatabaseAsync(Queue<Kind> next, CancellationToken cancellation)
    {
        await database!.CrashAsync();
        Interlocked.Increment(ref tally.DatabaseStops);
        await Task.Delay(random.Next(DownMsMax), cancellation);
        Task serverStart = Task.CompletedTask;
        if (next.TryPeek(out Kind kind) && kind == Kind.Kill && random.NextDouble() < KillWhileDatabaseIsDown)
        {
            next.Dequeue();
            await server!.KillAsync();
            Interlocked.Increment(ref tally.Kills);
            serverStart = server.StartAgainAsync(cancellation); // Waits for the database.
        }

        long acknowledged = tally.Acknowledged;
        await database.StartAgainAsync();
        long returnedAt = Stopwatch.GetTimestamp();
        await serverStart;
        await RecordRecoveryAsync(tally.AfterDatabase, returnedAt, acknowledged, cancellation);
    }

    private async Task RecordRecoveryAsync(HdrHistogram.LongHistogram histogram, long since, long acknowledged, CancellationToken cancellation)
    {
        if (await WaitForProgressAsync(acknowledged + 1, cancellation))
        {
            histogram.RecordValue((long)Stopwatch.GetElapsedTime(since).TotalMilliseconds);
        }
    }

    private async Task<bool> WaitForProgressAsync(long acknowledged, CancellationToken cancellation)
    {
        for (long startedAt = Stopwatch.GetTimestamp(); Interlocked.Read(ref tally.Acknowledged) < acknowledged;)
        {
            CheckServer();
            if (Stopwatch.GetElapsedTime(startedAt) > ProgressTimeout)
            {
                return false;
            }

            await Task.Delay(1, cancellation);
        }

        return true;
    }
}
