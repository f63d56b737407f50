using Microsoft.Data.Sqlite;

namespace Chat.Storage.Sqlite;

/// <summary>One-line commands. Parameters are named @1, @2, ... in order.</summary>
internal static class SqliteCommands
{
    /// <summary>Ids as one parameter, for <c>json_each</c>.</summary>
    internal static string JsonArray(IEnumerable<long> ids) => $"[{string.Join(',', ids)}]";

    internal static SqliteCommand Command(this SqliteConnection connection, string sql, params ReadOnlySpan<object> values)
    {
        var command = connection.CreateCommand();
#pragma warning disable CA2100 // Only literals of this project come here; values travel as parameters.
        command.CommandText = sql;
#pragma warning restore CA2100
        for (var i = 0; i < values.Length; i++)
            command.Parameters.AddWithValue($"@{i + 1}", values[i]);
        return command;
    }

    /// <returns>Rows changed.</returns>
    internal static int Execute(this SqliteConnection connection, string sql, params ReadOnlySpan<object> values)
    {
        using var command = connection.Command(sql, values);
        return command.ExecuteNonQuery();
    }

    /// <returns>The first column of the first row; null when there is no row or it is NULL.</returns>
    internal static long? Scalar(this SqliteConnection connection, string sql, params ReadOnlySpan<object> values)
    {
        using var command = connection.Command(sql, values);
        return command.ExecuteScalar() as long?;
    }

    internal static T? First<T>(this SqliteConnection connection, Func<SqliteDataReader, T> row, string sql, params ReadOnlySpan<object> values)
        where T : class
    {
        using var command = connection.Command(sql, values);
        using var reader = command.ExecuteReader();
        return reader.Read() ? row(reader) : null;
    }

    internal static List<T> All<T>(this SqliteConnection connection, Func<SqliteDataReader, T> row, string sql, params ReadOnlySpan<object> values)
    {
        using var command = connection.Command(sql, values);
        using var reader = command.ExecuteReader();
        var rows = new List<T>();
        while (reader.Read())
            rows.Add(row(reader));
        return rows;
    }
}
