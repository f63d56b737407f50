using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace Chat.Storage.Sqlite;

/// <summary>
/// A prepared statement of SQLite's C API. Parameters count from 1 and keep their values until bound again.
/// Belongs to the thread that uses its connection.
/// </summary>
/// <exception cref="SqliteException">From any member, with SQLite's own message.</exception>
internal sealed unsafe class Statement : IDisposable
{
    private readonly sqlite3 _db;
    private readonly sqlite3_stmt _statement;
    private readonly nint _pointer;

    internal Statement(sqlite3 db, string sql)
    {
        _db = db;
        Check(raw.sqlite3_prepare_v2(db, sql, out _statement));
        _pointer = _statement.DangerousGetHandle(); // Disposed by the thread that uses it, so it is there as long as we are.
    }

    internal Statement Bind(int index, long value)
    {
        Check(SqliteNative.sqlite3_bind_int64(_pointer, index, value));
        return this;
    }

    internal Statement BindNull(int index)
    {
        Check(SqliteNative.sqlite3_bind_null(_pointer, index));
        return this;
    }

    /// <summary>SQLite copies the bytes before this returns.</summary>
    internal Statement BindText(int index, ReadOnlySpan<byte> utf8)
    {
        // A null pointer would bind NULL instead of the empty text.
        fixed (byte* text = utf8.IsEmpty ? "\0"u8 : utf8)
            Check(SqliteNative.sqlite3_bind_text(_pointer, index, text, utf8.Length, SqliteNative.Transient));
        return this;
    }

    /// <summary>Runs a statement that returns no rows.</summary>
    internal void Run()
    {
        var step = SqliteNative.sqlite3_step(_pointer);
        if (step != raw.SQLITE_DONE)
            Fail(step);
        Reset();
    }

    /// <returns>The first column of the first row; null when there is none.</returns>
    internal long? Read()
    {
        var step = SqliteNative.sqlite3_step(_pointer);
        long? value = step switch
        {
            raw.SQLITE_ROW => raw.sqlite3_column_int64(_statement, 0),
            raw.SQLITE_DONE => null,
            _ => Fail(step),
        };
        Reset();
        return value;
    }

    public void Dispose() => _statement.Dispose();

    // What it returns says again what the step said.
    private void Reset() => _ = SqliteNative.sqlite3_reset(_pointer);

    private void Check(int result)
    {
        if (result != raw.SQLITE_OK)
            throw NewException(result);
    }

    private long? Fail(int result)
    {
        // The message must be read before the reset that frees the statement for the next use.
        var exception = NewException(result);
        Reset();
        throw exception;
    }

    private SqliteException NewException(int result) =>
        new(raw.sqlite3_errmsg(_db).utf8_to_string(), result & 0xff, raw.sqlite3_extended_errcode(_db));
}
