using System.Runtime.InteropServices;
using SQLitePCL;

namespace Chat.Storage.Sqlite;

/// <summary>
/// The calls that run for every row, by pointer: SQLitePCLRaw's take a SafeHandle, whose counting is two interlocked operations a call, ten
/// calls a row. Names and meanings are those of https://sqlite.org/c3ref/funclist.html; results are <see cref="raw"/>'s codes.
/// </summary>
internal static unsafe partial class SqliteNative
{
    private const string Library = "e_sqlite3"; // What SQLitePCLRaw.bundle_e_sqlite3 brings.

    /// <summary>The pointer value by which SQLite copies a bound text at once (SQLITE_TRANSIENT of sqlite3.h).</summary>
    internal const nint Transient = -1;

    [LibraryImport(Library)]
    [SuppressGCTransition]
    internal static partial int sqlite3_bind_int64(nint statement, int index, long value);

    [LibraryImport(Library)]
    [SuppressGCTransition]
    internal static partial int sqlite3_bind_null(nint statement, int index);

    [LibraryImport(Library)]
    internal static partial int sqlite3_bind_text(nint statement, int index, byte* text, int bytes, nint destructor);

    [LibraryImport(Library)]
    internal static partial int sqlite3_step(nint statement);

    [LibraryImport(Library)]
    internal static partial int sqlite3_reset(nint statement);

    /// <summary>
    /// SQLite with no lock of its own around a connection or its count of memory: each connection here belongs to one thread at a time
    /// (<see cref="SqliteConnections"/>), and every statement is disposed by it, never by a finalizer. Before the first connection of the process; later it does nothing.
    /// </summary>
    internal static void UseOneThreadPerConnection()
    {
        Batteries_V2.Init();
        _ = raw.sqlite3_config(raw.SQLITE_CONFIG_MULTITHREAD); // Misuse, when a connection was opened before by somebody else: slower, not wrong.
        _ = raw.sqlite3_config(raw.SQLITE_CONFIG_MEMSTATUS, 0);
    }
}
