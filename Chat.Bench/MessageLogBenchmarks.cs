using System.Threading.Channels;
using Chat.Protocol;
using Chat.Storage;
using Microsoft.Extensions.Logging.Abstractions;

namespace Chat.Bench;

/// <summary>
/// One message through the message log, from its reservation to the word that it is durable, by a store that takes no time: what batching, order and
/// limits cost. Several rooms take turns, as messages of a server do. The baseline is the usual write-behind queue: a bounded channel of rows, a
/// thread that takes what is there, and a callback for each batch; it keeps no order among threads and serves no reader.
/// </summary>
[MemoryDiagnoser]
public class MessageLogBenchmarks : IDisposable
{
    /// <summary>An operation is a message. Below the log's limit on rows, so that none is refused.</summary>
    private const int Messages = 50_000;

    private const int Rooms = 10;
    private const int BatchRowsMax = 1000;

    private readonly byte[] _content = new byte[128];
    private readonly ManualResetEventSlim _allCommitted = new();
    private readonly Channel<MessageRecord> _channel = Channel.CreateBounded<MessageRecord>(
        new BoundedChannelOptions(65_536) { SingleReader = true, AllowSynchronousContinuations = true });

    private MessageLog _log = null!;
    private RoomLog[] _rooms = [];
    private long[] _seqs = [];
    private int _committed;

    [GlobalSetup]
    public void SetUp()
    {
        _log = new MessageLog(
            new InstantStore(), new StoreSession(1, 0), new MessageLogOptions(), batch => Committed(batch.Length),
            static (_, failure) => throw new InvalidOperationException($"{failure}"), TimeProvider.System, NullLogger.Instance);
        _rooms = [.. Enumerable.Range(1, Rooms).Select(room => _log.OpenRoom(room, 0))];
        _seqs = new long[Rooms];
        new Thread(Drain) { IsBackground = true, Name = "write-behind" }.Start();
    }

    [Benchmark(Baseline = true, OperationsPerInvoke = Messages)]
    public void WriteBehindChannel()
    {
        Begin();
        for (int i = 0; i < Messages; i++)
        {
            Invariant.Require(_channel.Writer.TryWrite(NewRecord(i + 1, i % Rooms, i + 1)));
        }

        _allCommitted.Wait();
    }

    [Benchmark(OperationsPerInvoke = Messages)]
    public void MessageLog()
    {
        Begin();
        for (int i = 0; i < Messages; i++)
        {
            int room = i % Rooms;
            Invariant.Require(_log.TryReserve(_content.Length));
            _log.Append(_rooms[room], NewRecord(_log.NextMessageId(), room, ++_seqs[room]));
        }

        _allCommitted.Wait();
    }

    [GlobalCleanup]
    public void Dispose()
    {
        _channel.Writer.TryComplete();
        _log.DisposeAsync().AsTask().GetAwaiter().GetResult();
        _allCommitted.Dispose();
        GC.SuppressFinalize(this);
    }

    private void Begin()
    {
        _committed = 0;
        _allCommitted.Reset();
    }

    private void Committed(int rows)
    {
        _committed += rows;
        if (_committed == Messages)
        {
            _allCommitted.Set();
        }
    }

    private void Drain()
    {
        var batch = new MessageRecord[BatchRowsMax];
        while (_channel.Reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult())
        {
            int rows = 0;
            while (rows < batch.Length && _channel.Reader.TryRead(out MessageRecord? record))
            {
                batch[rows++] = record;
            }

            Committed(rows);
        }
    }

    private MessageRecord NewRecord(long id, int room, long seq) => new()
    {
        Id = id,
        RoomId = room + 1,
        Seq = seq,
        Epoch = 1,
        SenderId = 1,
        SenderName = "Ann",
        Nonce = "0123456789abcdef",
        Content = _content,
        CreatedAtUnixMs = 1_700_000_000_000,
    };
}
