using Chat.Storage;
using Npgsql;
using NpgsqlTypes;

namespace Chat.Bench;

/// <summary>
/// Rows into PostgreSQL, durable, with the foreign keys on: the time of one row, when so many are committed together. The baseline is what most
/// servers do, a prepared INSERT for each message; the importer is the message log's writer, with its fence and the rooms' last_seq; the array
/// insert is what that writer falls back to after an unclear outcome.
/// </summary>
[MemoryDiagnoser]
[InThisProcess]
public class CopyBatchBenchmarks : IAsyncDisposable
{
    /// <summary>Divides by all batch sizes, so that an operation is a row whatever the size.</summary>
    private const int Rows = 5000;

    private BenchCluster _cluster = null!;
    private NpgsqlConnection _connection = null!;
    private NpgsqlCommand _insert = null!;
    private IMessageWriter _writer = null!;
    private MessageRecord[][] _batches = [];

    [Params(1, 10, 100, 1000, 5000)]
    public int BatchRows { get; set; }

    [GlobalSetup]
    public async Task SetUp()
    {
        _cluster = await BenchCluster.OpenAsync();
        _connection = _cluster.Connect();
        _insert = new NpgsqlCommand(
            "INSERT INTO messages (id, room_id, seq, epoch, sender_id, nonce, content, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)", _connection);
        foreach (NpgsqlDbType type in (NpgsqlDbType[])[NpgsqlDbType.Bigint, NpgsqlDbType.Bigint, NpgsqlDbType.Bigint, NpgsqlDbType.Integer, NpgsqlDbType.Bigint,
            NpgsqlDbType.Text, NpgsqlDbType.Text, NpgsqlDbType.TimestampTz])
        {
            _insert.Parameters.Add(new NpgsqlParameter { NpgsqlDbType = type });
        }

        await _insert.PrepareAsync();
        _writer = _cluster.Store.OpenWriter();
    }

    /// <summary>One invocation an iteration: the table is the same size at each one's start.</summary>
    [IterationSetup]
    public void MakeRows()
    {
        _cluster.TruncateAsync().GetAwaiter().GetResult();
        _batches = _cluster.NextBatches(Rows, BatchRows);
    }

    [Benchmark(Baseline = true, OperationsPerInvoke = Rows)]
    public void PreparedInsert()
    {
        foreach (MessageRecord[] batch in _batches)
        {
            using NpgsqlTransaction? transaction = BatchRows == 1 ? null : _connection.BeginTransaction();
            foreach (MessageRecord record in batch)
            {
                Insert(record);
            }

            transaction?.Commit();
        }
    }

    [Benchmark(OperationsPerInvoke = Rows)]
    public void Unnest() => Append(resend: true);

    [Benchmark(OperationsPerInvoke = Rows)]
    public void Importer() => Append(resend: false);

    [GlobalCleanup]
    public async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        if (_cluster is null)
        {
            return; // The set-up has said why.
        }

        _writer.Dispose();
        await _insert.DisposeAsync();
        await _connection.DisposeAsync();
        await _cluster.DisposeAsync();
    }

    private void Append(bool resend)
    {
        foreach (MessageRecord[] batch in _batches)
        {
            _writer.Append(batch, resend);
        }
    }

    private void Insert(MessageRecord record)
    {
        _insert.Parameters[0].Value = record.Id;
        _insert.Parameters[1].Value = record.RoomId;
        _insert.Parameters[2].Value = record.Seq;
        _insert.Parameters[3].Value = record.Epoch;
        _insert.Parameters[4].Value = record.SenderId;
        _insert.Parameters[5].Value = record.Nonce!;
        _insert.Parameters[6].Value = record.Content;
        _insert.Parameters[7].Value = DateTime.UnixEpoch.AddMilliseconds(record.CreatedAtUnixMs);
        _insert.ExecuteNonQuery();
    }
}
