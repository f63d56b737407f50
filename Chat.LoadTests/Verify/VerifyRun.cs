using System.Diagnostics;
using Chat.LoadTests.Hosting;

namespace Chat.LoadTests.Verify;

/// <summary>
/// One run: clients publish while faults are injected; then the faults end, everything comes to rest, and what every client was told is
/// compared with the history and with the database. The public state may be read by the display while it runs.
/// </summary>
internal sealed class VerifyRun
{
    private const int AccountsMax = 4;

    /// <summary>Rooms of a client that subscribes, so that most rooms have several such members.</summary>
    private const int SubscriptionsMax = 3;

    private const int WindowMessages = 20;
    private const int RestPollMs = 50;

    /// <summary>Without faults, everything has to be answered and delivered within this time.</summary>
    private static readonly TimeSpan RestTimeout = TimeSpan.FromSeconds(60);

    private readonly VerifySettings _settings;
    private readonly List<string> _sources = [];
    private volatile string _phase = "starting";
    private volatile bool _isPublishing = true;
    private volatile FaultInjection? _faults;

    public VerifyRun(VerifySettings settings) => _settings = settings;

    public string Phase => _phase;

    public Tally Tally { get; } = new();

    public Findings Findings { get; } = new();

    /// <summary>Null before the clients start.</summary>
    public CutSchedule? Cuts { get; private set; }

    /// <summary>Messages in the history at the end.</summary>
    public long Stored { get; private set; }

    /// <summary>What the ledgers were compared with.</summary>
    public IReadOnlyList<string> Sources => _sources;

    public Uri? Url { get; private set; }

    /// <exception cref="CannotRunException">There is nothing to judge.</exception>
    public async Task RunAsync(CancellationToken cancellation)
    {
        await using PostgresServer? database = _settings.IsPostgresOurs ? await PostgresServer.CreateAsync(_settings.PostgresBin)
            : _settings.PostgresData is { } data ? PostgresServer.Open(data, _settings.PostgresBin)
            : null;
        ServerLaunch launch = _settings.IsPostgresOurs ? _settings.Launch with { DatabaseUrl = database!.DatabaseUrl } : _settings.Launch;
        await using Target target = await Target.OpenAsync(_settings.Url, launch, cancellation);
        Url = target.Url;
        foreach (Uri node in _settings.OtherNodes)
        {
            await Target.CheckAsync(node, cancellation);
        }

        using Accounts accounts = await Accounts.RegisterAsync(target.Url, Math.Min(AccountsMax, _settings.Clients), cancellation);
        long[] rooms = await accounts.CreateRoomsAsync(_settings.Rooms, "verify", cancellation);
        using var history = new RestHistory(target.Url, accounts.For(0).Token);
        Cuts = new CutSchedule(_settings.Faults.Cuts, _settings.Duration, TimeProvider.System);
        VerifyClient[] clients = await MakeClientsAsync(
            new VerifyContext([target.Url, .. _settings.OtherNodes], history, Cuts, Findings, Tally), accounts, rooms, cancellation);
        _faults = new FaultInjection(
            _settings.Faults, _settings.Duration, target.Process, database, Tally, Findings, new Random(_settings.Seed));

        await PublishAsync(clients, history, rooms, cancellation);

        _phase = "comparing with the history";
        var histories = new List<RoomHistory>();
        foreach (long room in rooms)
        {
            RoomHistory read = await history.ReadAsync(room, cancellation);
            histories.Add(read);
            Stored += read.Messages.Count;
            Comparison.Compare(
                read, clients.SelectMany(client => client.Ledger.Sent), clients.SelectMany(client => client.Ledger.Views), Findings);
        }

        _sources.Add("history over REST");
        await CompareWithDatabaseAsync(histories, target.Process, launch.DatabaseUrl, cancellation);
    }

    private async Task<VerifyClient[]> MakeClientsAsync(VerifyContext context, Accounts accounts, long[] rooms, CancellationToken cancellation)
    {
        // As docs/protocol.md tells a first connect: a page, then the socket from the page on. The rooms are new, so the page is empty.
        var epochs = new Dictionary<long, long>();
        foreach (long room in rooms)
        {
            epochs[room] = (await context.History.ReadPagePatientlyAsync(room, 0, cancellation)).Epoch;
        }

        double intervalMs = 1000 * _settings.Clients / _settings.RatePerS;
        var clients = new VerifyClient[_settings.Clients];
        for (int i = 0; i < clients.Length; i++)
        {
            int subscriptions = i % 2 == 0 ? 1 : Math.Min(rooms.Length, SubscriptionsMax);
            IEnumerable<(long, long)> entered = Enumerable.Range(i / 2, subscriptions)
                .Select(index => rooms[index % rooms.Length])
                .Select(room => (room, epochs[room]));
            clients[i] = new VerifyClient(
                context,
                accounts.For(i),
                new ClientLedger(i + 1, entered, Findings, Tally),
                new Publishing(intervalMs, WindowMessages, () => _isPublishing),
                new Random(HashCode(_settings.Seed, i + 1)));
        }

        return clients;
    }

    /// <summary>A seed for each client that is the same in each run, as System.HashCode is not.</summary>
    private static int HashCode(int seed, int client) => unchecked((seed * 16777619) ^ (client * (int)2654435761));

    private async Task PublishAsync(VerifyClient[] clients, RestHistory history, long[] rooms, CancellationToken cancellation)
    {
        using var stopping = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        _phase = "publishing under faults";
        long startedAt = Stopwatch.GetTimestamp();
        Task faults = _faults!.RunAsync(stopping.Token);
        Task running = Task.WhenAll(clients.Select(client => client.RunAsync(stopping.Token)));
        try
        {
            while (!faults.IsCompleted || !Cuts!.IsOver || Stopwatch.GetElapsedTime(startedAt) < _settings.Duration)
            {
                if (running.IsCompleted || faults.IsCompleted)
                {
                    await (running.IsCompleted ? running : faults); // An exception ends the run.
                    _faults.CheckServer();
                }

                await Task.Delay(RestPollMs, cancellation);
            }

            _phase = "coming to rest";
            _isPublishing = false;
            await ComeToRestAsync(clients, history, rooms, running, cancellation);
        }
        finally
        {
            await stopping.CancelAsync();
            await Task.WhenAll(running, faults).ContinueWith(
                static _ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        }
    }

    /// <summary>Waits until every message is answered and every client has seen every room to its end; or for long.</summary>
    private async Task ComeToRestAsync(VerifyClient[] clients, RestHistory history, long[] rooms, Task running, CancellationToken cancellation)
    {
        long startedAt = Stopwatch.GetTimestamp();
        while (!running.IsCompleted && Stopwatch.GetElapsedTime(startedAt) < RestTimeout)
        {
            _faults!.CheckServer();
            await Task.Delay(RestPollMs, cancellation);
            if (clients.Any(client => client.Ledger.Unanswered > 0))
            {
                continue;
            }

            var heads = new Dictionary<long, long>();
            foreach (long room in rooms)
            {
                heads[room] = await history.ReadHeadPatientlyAsync(room, cancellation);
            }

            if (clients.All(client => client.Ledger.HasCaughtUp(heads)))
            {
                return;
            }
        }
    }

    /// <summary>Our own server is stopped before, so that nothing it keeps in memory can help it.</summary>
    private async Task CompareWithDatabaseAsync(
        List<RoomHistory> histories, ServerProcess? server, string databaseUrl, CancellationToken cancellation)
    {
        string? url = server is null ? _settings.CheckDatabase : databaseUrl;
        if (url is null)
        {
            return;
        }

        _phase = "comparing with the database";
        if (server is not null && await server.TerminateAsync() != 0)
        {
            Interlocked.Increment(ref Tally.UncleanStops);
        }

        await using DatabaseHistory database = url.Length == 0 ? DatabaseHistory.OfSqlite(server!.SqliteFile) : DatabaseHistory.OfPostgres(url);
        foreach (RoomHistory history in histories)
        {
            Comparison.CompareSources(history, await database.ReadAsync(history.Room, cancellation), Findings);
        }

        _sources.Add(url.Length == 0 ? "SQLite file" : "PostgreSQL");
    }
}
