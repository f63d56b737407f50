using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace Chat.Storage.Sqlite;

/// <summary>
/// A prepared statement of SQLite's C API. Parameters count from 1 and keep their values until bound again.
/// Belongs to the thread that uses its connection.
/// </summary>
/// <exception cref="SqliteException">From any member, with SQLite's own message.</exception>
internal sealed class Statement : IDisposable
{
    private readonly sqlite3 _db;
    private readonly sqlite3_stmt _statement;

    internal Statement(sqlite3 db, string sql)
    {
        _db = db;
        Check(raw.sqlite3_prepare_v2(db, sql, out _statement));
    }

    internal Statement Bind(int index, long value)
    {
        Check(raw.sqlite3_bind_int64(_statement, index, value));
        return this;
    }

    internal Statement BindNull(int index)
    {
        Check(raw.sqlite3_bind_null(_statement, index));
        return this;
    }

    /// <summary>SQLite copies the bytes before this returns.</summary>
    internal Statement BindText(int index, ReadOnlySpan<byte> utf8)
    {
        // A null pointer would bind NULL instead of the empty text.
        Check(raw.sqlite3_bind_text(_statement, index, utf8.IsEmpty ? "\0"u8[..0] : utf8));
        return this;
    }

    /// <summary>Runs a statement that returns no rows.</summary>
    internal void Run()
    {
        var step = raw.sqlite3_step(_statement);
        if (step != raw.SQLITE_DONE)
            Fail(step);
        raw.sqlite3_reset(_statement);
    }

    /// <returns>The first column of the first row; null when there is none.</returns>
    internal long? Read()
    {
        var step = raw.sqlite3_step(_statement);
        long? value = step switch
        {
            raw.SQLITE_ROW => raw.sqlite3_column_int64(_statement, 0),
            raw.SQLITE_DONE => null,
            _ => Fail(step),
        };
        raw.sqlite3_reset(_statement);
        return value;
    }

    public void Dispose() => _statement.Dispose();

    private void Check(int result)
    {
        if (result != raw.SQLITE_OK)
            throw NewException(result);
    }

    private long? Fail(int result)
    {
        // The message must be read before the reset that frees the statement for the next use.
        var exception = NewException(result);
        raw.sqlite3_reset(_statement);
        throw exception;
    }

    private SqliteException NewException(int result) =>
        new(raw.sqlite3_errmsg(_db).utf8_to_string(), result & 0xff, raw.sqlite3_extended_errcode(_db));
}
