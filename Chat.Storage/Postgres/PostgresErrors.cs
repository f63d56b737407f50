using System.Data;
using System.Net.Sockets;
using Npgsql;

namespace Chat.Storage.Postgres;

/// <summary>Sorts what Npgsql throws by what to do about it.</summary>
internal static class PostgresErrors
{
    /// <summary>True for errors that pass by themselves or with an operator's help, whatever the statement said.</summary>
    internal static bool IsUnavailable(Exception e) => e switch
    {
        PostgresException p => p.SqlState is
            PostgresErrorCodes.LockNotAvailable or PostgresErrorCodes.QueryCanceled
            or PostgresErrorCodes.ReadOnlySqlTransaction or PostgresErrorCodes.InsufficientPrivilege
            // The operator's idle_in_transaction_session_timeout and transaction_timeout.
            or "25P03" or "25P04"
            // 40 rolled back (deadlock, serialization). 28 the role may not log in, 3D the database does not exist: not yet, or not now.
            // 08 connection, 53 resources (disk full, too many connections), 57P shutdown and crash, 58 system (I/O).
            || p.SqlState.StartsWith("40", StringComparison.Ordinal)
            || p.SqlState.StartsWith("28", StringComparison.Ordinal) || p.SqlState.StartsWith("3D", StringComparison.Ordinal)
            || p.SqlState.StartsWith("08", StringComparison.Ordinal) || p.SqlState.StartsWith("53", StringComparison.Ordinal)
            || p.SqlState.StartsWith("57P", StringComparison.Ordinal) || p.SqlState.StartsWith("58", StringComparison.Ordinal),
        NpgsqlException or TimeoutException or IOException or SocketException => true,
        // A connection that broke while another thread's error was on its way says so by its state.
        ObjectDisposedException => true,
        _ => false,
    };

    /// <summary>
    /// The same, on a connection that was held before: one that Npgsql has found dead meanwhile (by its keepalive, or in a rollback) says no more
    /// than that it is not open, as it would to a program that forgot to open it.
    /// </summary>
    internal static bool IsUnavailable(Exception e, NpgsqlConnection? connection) =>
        IsUnavailable(e) || (e is InvalidOperationException && connection?.FullState is ConnectionState.Broken or ConnectionState.Closed);

    /// <summary>The message without the statement or its values.</summary>
    internal static string Describe(Exception e) =>
        e is PostgresException p ? $"PostgreSQL: {p.SqlState} {p.MessageText}" : $"PostgreSQL: {e.InnerException?.Message ?? e.Message}";

    internal static StoreUnavailableException Unavailable(Exception e) => new(Describe(e), e);
}
