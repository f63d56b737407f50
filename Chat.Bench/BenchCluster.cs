using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Chat.Storage;
using Chat.TestKit;
using Npgsql;

namespace Chat.Bench;

/// <summary>
/// Runs a class's benchmarks in this process. The database takes the time, not the JIT, and a process for each row would start a cluster each.
/// </summary>
[AttributeUsage(AttributeTargets.Class)]
internal sealed class InThisProcessAttribute : Attribute, IConfigSource
{
    public IConfig Config { get; } =
        ManualConfig.CreateEmpty().AddJob(Job.Default.WithToolchain(InProcessEmitToolchain.Instance).AsMutator());
}

/// <summary>
/// A private PostgreSQL for the benchmarks of this process, and a store on a fresh database of it. The cluster goes away
/// with the process, which its shell waits for.
/// </summary>
internal sealed class BenchCluster : IAsyncDisposable
{
    public const string Nonce = "0123456789abcdef";

    private static readonly Lazy<Task<PostgresCluster>> Cluster = new(() => PostgresCluster.StartAsync(fsync: !IsDry));

    /// <summary>Nobody looks at the times: no fsync, and one batch where there are many. To be set before the first cluster.</summary>
    public static bool IsDry { get; set; }

    private readonly byte[] _content = [.. Enumerable.Repeat((byte)'x', 128)];
    private long _lastId;
    private readonly Dictionary<long, long> _lastSeqs = [];

    private BenchCluster(PostgresCluster cluster, string url)
    {
        Server = cluster;
        Url = url;
        Store = StoreFactory.Create(url, "");
    }

    public PostgresCluster Server { get; }

    public string Url { get; }

    public IChatStore Store { get; }

    public int Epoch { get; private set; }

    /// <summary>Who sends the rows.</summary>
    public long UserId { get; private set; }

    /// <summary>The rooms that the rows go to in turn.</summary>
    public IReadOnlyList<long> Rooms { get; } = [1, 2, 3];

    /// <exception cref="InvalidOperationException">PostgreSQL is not installed here, or does not start.</exception>
    public static async Task<BenchCluster> OpenAsync()
    {
        if (PostgresCluster.WhyUnavailable is { } reason)
        {
            throw new InvalidOperationException($"These benchmarks need PostgreSQL: {reason} On Debian: apt-get install postgresql.");
        }

        PostgresCluster cluster = await Cluster.Value;
        var bench = new BenchCluster(cluster, await cluster.CreateDatabaseAsync());
        await bench.Store.InitializeAsync(CancellationToken.None);
        StoreSession session = await bench.Store.BeginSessionAsync(CancellationToken.None);
        bench.Epoch = session.Epoch;
        bench.UserId = (await bench.Store.CreateUserAsync("ann@example.com", "Ann", "hash", CancellationToken.None))!.Id;
        return bench;
    }

    public NpgsqlConnection Connect()
    {
        var connection = new NpgsqlConnection(DatabaseUrl.ToConnectionString(Url));
        connection.Open();
        return connection;
    }

    /// <summary>So many rows in batches of that size; in a dry run one batch.</summary>
    public MessageRecord[][] NextBatches(int rows, int batchRows) =>
        [.. Enumerable.Range(0, IsDry ? 1 : rows / batchRows).Select(_ => NextRows(batchRows))];

    /// <summary>The next rows, with contents of 128 bytes: runs of a room each, ascending.</summary>
    public MessageRecord[] NextRows(int count)
    {
        var rows = new MessageRecord[count];
        int room = 0;
        for (int i = 0; i < count; i++)
        {
            // A batch of the message log holds a run of each room that had something ready.
            room = i * Rooms.Count / count;
            rows[i] = new MessageRecord
            {
                Id = ++_lastId,
                RoomId = Rooms[room],
                Seq = _lastSeqs[Rooms[room]] = _lastSeqs.GetValueOrDefault(Rooms[room]) + 1,
                Epoch = Epoch,
                SenderId = UserId,
                SenderName = "Ann",
                Nonce = Nonce,
                Content = _content,
                CreatedAtUnixMs = 1_700_000_000_000,
            };
        }

        return rows;
    }

    /// <summary>Empties the table, so that every iteration writes into one of the same size.</summary>
    public Task TruncateAsync()
    {
        _lastSeqs.Clear();
        return Server.RunScriptAsync(Url[(Url.LastIndexOf('/') + 1)..], "TRUNCATE messages; UPDATE rooms SET last_seq = 0; CHECKPOINT");
    }

    public async ValueTask DisposeAsync()
    {
        await Store.EndSessionAsync(CancellationToken.None);
        await Store.DisposeAsync();
    }
}
