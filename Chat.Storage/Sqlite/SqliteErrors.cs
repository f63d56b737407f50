using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace Chat.Storage.Sqlite;

/// <summary>Which SQLite errors pass by themselves.</summary>
internal static class SqliteErrors
{
    internal static bool IsTransient(SqliteException e) => IsTransient(e.SqliteErrorCode);

    /// <summary>
    /// True for a lock, a full disk, a failed read, write or fsync, and a file that cannot be opened for now. READONLY is among them:
    /// it is what a file system remounted after an I/O error answers.
    /// </summary>
    internal static bool IsTransient(int errorCode) => (errorCode & 0xff) is
        raw.SQLITE_BUSY or raw.SQLITE_LOCKED or raw.SQLITE_FULL or raw.SQLITE_IOERR or raw.SQLITE_CANTOPEN
        or raw.SQLITE_NOMEM or raw.SQLITE_READONLY or raw.SQLITE_PROTOCOL or raw.SQLITE_INTERRUPT;

    /// <summary>The file is there and can be read, and is no sound database.</summary>
    internal static bool IsDamaged(SqliteException e) => e.SqliteErrorCode is raw.SQLITE_NOTADB or raw.SQLITE_CORRUPT;

    internal static bool IsForeignKey(SqliteException e) => e.SqliteExtendedErrorCode == raw.SQLITE_CONSTRAINT_FOREIGNKEY;

    internal static bool IsUnique(SqliteException e) =>
        e.SqliteExtendedErrorCode is raw.SQLITE_CONSTRAINT_UNIQUE or raw.SQLITE_CONSTRAINT_PRIMARYKEY;

    /// <summary>The data of a row is at fault, or what somebody allows in the tables.</summary>
    internal static bool IsRefusal(SqliteException e) =>
        e.SqliteErrorCode is raw.SQLITE_CONSTRAINT or raw.SQLITE_MISMATCH or raw.SQLITE_TOOBIG && !IsUnique(e);

    internal static StoreUnavailableException Unavailable(SqliteException e) => new($"SQLite: {e.Message}", e);
}
