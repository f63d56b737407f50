using Chat.Storage;

namespace Chat.Bench;

/// <summary>
/// How near the message log's writer, with its transaction for each 1000 rows, comes to the fastest way into the same table: one psql \copy of all
/// the rows as text. The time of psql's process is in it, which is about a hundredth.
/// </summary>
[MemoryDiagnoser]
[InThisProcess]
public class BulkLoadBenchmarks
{
    private const int Rows = 100_000;
    private const int BatchRows = 1000;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("chat-bench-");
    private BenchCluster _cluster = null!;
    private IMessageWriter _writer = null!;
    private MessageRecord[][] _batches = [];

    private string TextFile => Path.Combine(_folder.FullName, "rows.txt");

    [GlobalSetup]
    public async Task SetUp()
    {
        _cluster = await BenchCluster.OpenAsync();
        _writer = _cluster.Store.OpenWriter();
        if (!OperatingSystem.IsWindows())
        {
            // psql runs as the cluster's user.
            File.SetUnixFileMode(_folder.FullName, _folder.UnixFileMode | UnixFileMode.OtherRead | UnixFileMode.OtherExecute);
        }
    }

    [IterationSetup]
    public void MakeRows()
    {
        _cluster.TruncateAsync().GetAwaiter().GetResult();
        _batches = _cluster.NextBatches(Rows, BatchRows);
        File.WriteAllLines(TextFile, _batches.SelectMany(static batch => batch).Select(static record => string.Join(
            '\t', record.Id, record.RoomId, record.Seq, record.Epoch, record.SenderId, record.Nonce, System.Text.Encoding.UTF8.GetString(record.Content.Span),
            DateTime.UnixEpoch.AddMilliseconds(record.CreatedAtUnixMs).ToString("yyyy-MM-dd HH:mm:ss.fff'Z'", System.Globalization.CultureInfo.InvariantCulture))));
    }

    [Benchmark(Baseline = true, OperationsPerInvoke = Rows)]
    public Task PsqlCopy() => _cluster.Server.RunScriptAsync(
        _cluster.Url[(_cluster.Url.LastIndexOf('/') + 1)..],
        $"\\copy messages (id, room_id, seq, epoch, sender_id, nonce, content, created_at) from '{TextFile}'");

    [Benchmark(OperationsPerInvoke = Rows)]
    public void Writer()
    {
        foreach (MessageRecord[] batch in _batches)
        {
            _writer.Append(batch, resend: false);
        }
    }

    [GlobalCleanup]
    public async Task CleanUp()
    {
        _folder.Delete(recursive: true);
        if (_cluster is not null)
        {
            _writer.Dispose();
            await _cluster.DisposeAsync();
        }
    }
}
