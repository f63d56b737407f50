using Microsoft.Data.Sqlite;

namespace Chat.Storage.Sqlite;

/// <summary>
/// Brings a database file to the newest version: the element at index n of <see cref="Migrations"/> makes version n + 1.
/// </summary>
internal static class SqliteSchema
{
    private static readonly string[] Migrations =
    [
        SchemaText.Read("sqlite/schema.sql"),
        SchemaText.Read("sqlite/0002_message_runs.sql"),
        SchemaText.Read("sqlite/0003_several_nodes.sql"),
    ];

    internal static int Version => Migrations.Length;

    /// <summary>Runs under the write lock of one transaction: a second server waits here and then finds nothing to do.</summary>
    internal static void Migrate(SqliteConnection connection)
    {
        connection.Execute("""
            CREATE TABLE IF NOT EXISTS schema_version (
                version    INTEGER PRIMARY KEY,
                applied_at INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000 AS INTEGER))
            ) STRICT;
            """);
        var version = connection.Scalar("SELECT max(version) FROM schema_version") ?? 0;
        if (version > Version)
            throw new StoreSchemaException($"The database has schema version {version}, this build knows {Version}: run a newer build.");
        while (version < Version)
        {
            connection.Execute(Migrations[version]);
            version++;
            connection.Execute("INSERT INTO schema_version (version) VALUES (@1)", version);
        }
    }
}
