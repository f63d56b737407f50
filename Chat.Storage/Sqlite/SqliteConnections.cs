using System.Collections.Concurrent;
using Microsoft.Data.Sqlite;

namespace Chat.Storage.Sqlite;

/// <summary>
/// The open connections of one database file: one for accounts and rooms, a few for reading, and one per message writer.
/// SQLite lets one connection write at a time and makes the others poll; <see cref="WriteGate"/> lets them queue here
/// instead, so that a registration is not starved by a message log that commits back to back.
/// All work runs on thread-pool threads, at most <see cref="ReadersMax"/> + 1 of them at once.
/// </summary>
internal sealed class SqliteConnections : IDisposable
{
    /// <summary>Readers never wait for the writer (WAL); more of them than cores only adds memory (2 MB of page cache each).</summary>
    private const int ReadersMax = 4;

    /// <summary>
    /// How long SQLite polls for a lock that another process holds (a backup, a second server starting). In milliseconds.
    /// </summary>
    private const int BusyTimeoutMs = 5_000;

    /// <summary>
    /// Pages in the WAL from which a commit folds it into the database file (16 MiB). A page that every batch changes is folded in once for all
    /// of them.
    /// </summary>
    private const int CheckpointPages = 4_096;

    /// <summary>Of a page in the WAL: SQLite's default of 4 KiB, and the frame's header (https://sqlite.org/fileformat2.html#walformat).</summary>
    private const int WalFrameBytes = 4_096 + 24;

    /// <summary>What a commit may add before it folds: a batch, and the pages of the rooms in it.</summary>
    private const int WalSpareBytes = 2 << 20;

    private const long WalBytes = ((long)CheckpointPages * WalFrameBytes) + WalSpareBytes;

    private readonly string _path;
    private readonly string _connectionString;
    private readonly SemaphoreSlim _readers = new(ReadersMax);
    private readonly ConcurrentBag<SqliteConnection> _idleReaders = [];

    /// <summary>One of those who write accounts and rooms waits for the gate, with a thread of the pool; the others wait for it without.</summary>
    private readonly SemaphoreSlim _writers = new(1);

    private SqliteConnection? _writer;
    private volatile bool _disposed;

    static SqliteConnections() => SqliteNative.UseOneThreadPerConnection();

    internal SqliteConnections(string path)
    {
        _path = path;
        // Pooling off: the provider's pool would hand out connections without our pragmas.
        _connectionString = new SqliteConnectionStringBuilder
        {
            DataSource = path,
            ForeignKeys = true,
            Pooling = false,
            Mode = SqliteOpenMode.ReadWriteCreate,
            DefaultTimeout = BusyTimeoutMs / 1000, // The provider asks again for as long, 30 s if it is not told.
        }.ToString();
    }

    /// <summary>Held around every write transaction, by whoever writes.</summary>
    internal SemaphoreSlim WriteGate { get; } = new(1);

    internal SqliteConnection Open()
    {
        var connection = new SqliteConnection(_connectionString);
        try
        {
            connection.Open();
            // FULL: a commit returns after fsync, which is what an acknowledgement promises. Batches make it cheap.
            connection.Execute(
                $"PRAGMA busy_timeout = {BusyTimeoutMs}; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = {CheckpointPages};");
            return connection;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    internal async Task<T> ReadAsync<T>(Func<SqliteConnection, T> read, CancellationToken cancellationToken)
    {
        await _readers.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            return await Task.Run(() => Read(read), cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            _readers.Release();
        }
    }

    private T Read<T>(Func<SqliteConnection, T> read)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        SqliteConnection? connection = null;
        try
        {
            connection = _idleReaders.TryTake(out var idle) ? idle : Open();
            var result = read(connection);
            _idleReaders.Add(connection);
            connection = null;
            return result;
        }
        catch (SqliteException e) when (SqliteErrors.IsTransient(e))
        {
            throw SqliteErrors.Unavailable(e);
        }
        finally
        {
            connection?.Dispose();
        }
    }

    /// <summary>Runs <paramref name="write"/> in a transaction that holds SQLite's write lock from its start.</summary>
    internal async Task<T> WriteAsync<T>(Func<SqliteConnection, T> write, CancellationToken cancellationToken)
    {
        await _writers.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            return await Task.Run(() => WriteInGate(write, cancellationToken), cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            _writers.Release();
        }
    }

    /// <summary>
    /// The gate is taken and given back by the thread that writes. Around the way to a thread of the pool and back it was kept for more than 100 ms
    /// on a machine short of processor time, and the message log waited.
    /// </summary>
    private T WriteInGate<T>(Func<SqliteConnection, T> write, CancellationToken cancellationToken)
    {
        // Whoever waits asynchronously is handed the gate, and is not overtaken by a message log that comes back at once.
        WriteGate.WaitAsync(cancellationToken).GetAwaiter().GetResult();
        try
        {
            return Write(write);
        }
        finally
        {
            WriteGate.Release();
        }
    }

    private T Write<T>(Func<SqliteConnection, T> write)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        try
        {
            _writer ??= Open();
            // BEGIN IMMEDIATE: a transaction that reads first and writes later could not be retried inside.
            using var transaction = _writer.BeginTransaction(deferred: false);
            var result = write(_writer);
            transaction.Commit();
            return result;
        }
        catch (SqliteException e)
        {
            if (!SqliteErrors.IsTransient(e))
                throw;
            _writer?.Dispose();
            _writer = null;
            throw SqliteErrors.Unavailable(e);
        }
    }

    /// <summary>
    /// Lengthens the WAL to all that it will need. A commit that makes the file longer must wait for the file system's journal as well:
    /// on a machine that was out of processor time such waits took 100 ms and more, and 10 ms where the file had its length. From inside <see cref="WriteAsync"/>,
    /// whose write lock keeps every other writer of the file away. SQLite ends the log at the first frame without a valid checksum, so zeros behind it are
    /// nothing to it.
    /// </summary>
    internal void LengthenWal()
    {
        try
        {
            using var file = new FileStream(_path + "-wal", FileMode.Open, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
            file.Seek(0, SeekOrigin.End);
            var zeros = new byte[64 << 10]; // A large one would have the collector keep 16 MiB more.
            while (file.Position < WalBytes)
                file.Write(zeros, 0, (int)Math.Min(zeros.Length, WalBytes - file.Position));
            file.Flush(flushToDisk: true);
        }
        catch (IOException)
        {
            // Commits take longer then, and say themselves when the disk is full.
        }
    }

    /// <summary>The caller has stopped all work. The last connection to close folds the WAL into the database file.</summary>
    public void Dispose()
    {
        _disposed = true;
        while (_idleReaders.TryTake(out var reader))
            reader.Dispose();
        _writer?.Dispose();
        _readers.Dispose();
        _writers.Dispose();
        WriteGate.Dispose();
    }
}
