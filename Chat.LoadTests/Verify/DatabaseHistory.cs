using System.Data.Common;
using Microsoft.Data.Sqlite;
using Npgsql;

namespace Chat.LoadTests.Verify;

/// <summary>Reads rooms from the database itself, past the server and its caches.</summary>
/// <param name="connection">Closed; opened for each room.</param>
internal sealed class DatabaseHistory(DbConnection connection) : IAsyncDisposable
{
    public static DatabaseHistory OfSqlite(string file) =>
        new(new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = file, Mode = SqliteOpenMode.ReadWrite, Pooling = false }.ConnectionString));

    /// <exception cref="CannotRunException">Not a URL of PostgreSQL.</exception>
    public static DatabaseHistory OfPostgres(string url) => new(new NpgsqlConnection(ToConnectionString(url)));

    /// <exception cref="CannotRunException">The database cannot be read.</exception>
    public async Task<RoomHistory> ReadAsync(long room, CancellationToken cancellation)
    {
        var messages = new List<StoredMessage>();
        try
        {
            await connection.OpenAsync(cancellation);
            await using DbCommand command = connection.CreateCommand();
            command.CommandText = "SELECT seq, id, coalesce(nonce, ''), content FROM messages WHERE room_id = @room ORDER BY seq";
            DbParameter parameter = command.CreateParameter();
            (parameter.ParameterName, parameter.Value) = ("room", room);
            command.Parameters.Add(parameter);
            await using DbDataReader reader = await command.ExecuteReaderAsync(cancellation);
            while (await reader.ReadAsync(cancellation))
            {
                messages.Add(new StoredMessage(reader.GetInt64(0), reader.GetInt64(1), reader.GetString(2), reader.GetString(3)));
            }
        }
        catch (DbException exception)
        {
            throw new CannotRunException($"The database cannot be read: {exception.Message}", exception);
        }
        finally
        {
            await connection.CloseAsync();
        }

        return new RoomHistory("the database", room, messages);
    }

    public ValueTask DisposeAsync() => connection.DisposeAsync();

    /// <summary>Npgsql's own form passes as it is; of a URL's parameters only sslmode is read.</summary>
    private static string ToConnectionString(string url)
    {
        try
        {
            if (!url.Contains("://", StringComparison.Ordinal))
            {
                return new NpgsqlConnectionStringBuilder(url).ConnectionString;
            }

            var uri = new Uri(url);
            string[] user = uri.UserInfo.Split(':', 2);
            var builder = new NpgsqlConnectionStringBuilder
            {
                Host = uri.Host,
                Port = uri.Port < 0 ? 5432 : uri.Port,
                Database = Uri.UnescapeDataString(uri.AbsolutePath.TrimStart('/')),
                Username = Uri.UnescapeDataString(user[0]),
                Password = user.Length > 1 ? Uri.UnescapeDataString(user[1]) : null,
            };
            foreach (string pair in uri.Query.TrimStart('?').Split('&').Where(pair => pair.StartsWith("sslmode=", StringComparison.Ordinal)))
            {
                builder["SSL Mode"] = pair["sslmode=".Length..].Replace("verify-", "Verify", StringComparison.Ordinal);
            }

            return builder.ConnectionString;
        }
        catch (Exception exception) when (exception is UriFormatException or ArgumentException)
        {
            // Not quoted: it may hold a password.
            throw new CannotRunException("The database's URL is none of PostgreSQL: postgres://user:password@host:port/database.", exception);
        }
    }
}
