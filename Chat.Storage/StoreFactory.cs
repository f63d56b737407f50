using Chat.Storage.Postgres;
using Chat.Storage.Sqlite;

namespace Chat.Storage;

/// <summary>Chooses the store that the settings ask for.</summary>
public static class StoreFactory
{
    /// <summary>
    /// PostgreSQL when <paramref name="databaseUrl"/> is set, else SQLite in <c>chat.db</c> of <paramref name="dataDir"/>, which is created for
    /// its owner only when missing. Nothing is connected or opened yet.
    /// </summary>
    /// <param name="databaseUrl">As <see cref="DatabaseUrl"/> reads it.</param>
    /// <param name="dataDir">For SQLite.</param>
    /// <param name="time">Gives the created_at of what is not a message.</param>
    /// <param name="isShared">Several servers use the database at once, which must be PostgreSQL.</param>
    /// <exception cref="FormatException">The URL cannot be read; the message is fit for the user and the log.</exception>
    /// <exception cref="IOException">The folder cannot be made; or <see cref="UnauthorizedAccessException"/>.</exception>
    public static IChatStore Create(string? databaseUrl, string dataDir, TimeProvider? time = null, bool isShared = false)
    {
        if (!string.IsNullOrWhiteSpace(databaseUrl))
            return new PostgresStore(DatabaseUrl.ToConnectionString(databaseUrl), time, isShared);
        Invariant.Require(!isShared);
        if (OperatingSystem.IsWindows())
            Directory.CreateDirectory(dataDir);
        else
            Directory.CreateDirectory(dataDir, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        return new SqliteStore(Path.Combine(dataDir, "chat.db"), time);
    }
}
