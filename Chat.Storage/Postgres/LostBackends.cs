using System.Collections.Concurrent;
using Npgsql;

namespace Chat.Storage.Postgres;

/// <summary>One backend of PostgreSQL: a process id alone may have been given to another one since.</summary>
internal readonly record struct Backend(int ProcessId, DateTime StartedAt)
{
    internal static Backend Of(NpgsqlConnection connection)
    {
        using var command = new NpgsqlCommand("SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()", connection);
        return new Backend(connection.ProcessID, (DateTime)command.ExecuteScalar()!);
    }
}

/// <summary>
/// The backends of message writers that lost their connection within a batch. One that does not know it yet (the network lost its route, and
/// no reset came through) holds the locks of its open transaction until TCP gives up, and every further attempt at the same rows would
/// wait for them. So the next writer ends them first. What they had committed stays, what they had not is rolled back. Thread-safe.
/// </summary>
internal sealed class LostBackends
{
    private readonly ConcurrentDictionary<Backend, bool> _backends = new();

    internal void Add(Backend backend) => _backends.TryAdd(backend, true);

    /// <exception cref="NpgsqlException">As any command; what was not ended is kept for the next call.</exception>
    internal void End(NpgsqlConnection connection)
    {
        foreach (var (backend, _) in _backends)
        {
            // Both are sessions of one role, which is all the right it takes.
            using var command = new NpgsqlCommand(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2", connection)
            {
                Parameters = { new NpgsqlParameter<int> { TypedValue = backend.ProcessId }, new NpgsqlParameter<DateTime> { TypedValue = backend.StartedAt } },
            };
            command.ExecuteNonQuery();
            _backends.TryRemove(backend, out _);
        }
    }
}
