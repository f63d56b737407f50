using Npgsql;

namespace Chat.Storage.Postgres;

/// <summary>
/// Brings a database to the newest version: the element at index n of <see cref="Migrations"/> makes version n + 1, and the first is init.sql.
/// </summary>
internal static class PostgresSchema
{
    /// <summary>Any number that nothing else in the database uses; "chat" in ASCII, then a counter.</summary>
    internal const long MigrationLock = 0x63686174_00000001;
    internal const long SessionLock = 0x63686174_00000002;

    private static readonly string[] Migrations =
    [
        SchemaText.Read("init.sql"),
        SchemaText.Read("postgres/0002_message_runs.sql"),
        SchemaText.Read("postgres/0003_several_nodes.sql"),
    ];

    internal static int Version => Migrations.Length;

    /// <summary>One transaction under an advisory lock: a second server waits, then finds nothing to do; a failure leaves nothing behind.</summary>
    /// <returns>True when the schema was another one.</returns>
    internal static async Task<bool> MigrateAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        if (connection.PostgresParameters["server_encoding"] != "UTF8")
            throw new StoreSchemaException("The database's encoding is not UTF8; create it with ENCODING 'UTF8'.");
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken).ConfigureAwait(false);
        await ExecuteAsync(connection, $"SELECT pg_advisory_xact_lock({MigrationLock})", cancellationToken).ConfigureAwait(false);
        var version = await ReadVersionAsync(connection, cancellationToken).ConfigureAwait(false);
        if (version > Version)
            throw new StoreSchemaException($"The database has schema version {version}, this build knows {Version}: run a newer build.");
        var isOlder = version < Version;
        while (version < Version)
        {
            await ExecuteAsync(connection, Migrations[version], cancellationToken).ConfigureAwait(false);
            version++;
            // init.sql has written its own.
            await ExecuteAsync(connection, $"INSERT INTO schema_version (version) VALUES ({version}) ON CONFLICT DO NOTHING", cancellationToken)
                .ConfigureAwait(false);
        }
        await transaction.CommitAsync(cancellationToken).ConfigureAwait(false);
        return isOlder;
    }

    /// <summary>For a server that joins others, and must not change the schema under them.</summary>
    internal static async Task CheckAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        var version = await ReadVersionAsync(connection, cancellationToken).ConfigureAwait(false);
        if (version != Version)
            throw new StoreSchemaException($"The servers that have this database use schema version {version}, this build needs {Version}: stop them first, or run their build.");
    }

    private static async Task<int> ReadVersionAsync(NpgsqlConnection connection, CancellationToken cancellationToken) =>
        await ExecuteAsync(connection, "SELECT to_regclass('schema_version')::text", cancellationToken).ConfigureAwait(false) is string
            ? await ExecuteAsync(connection, "SELECT max(version) FROM schema_version", cancellationToken).ConfigureAwait(false) as int? ?? 0
            : 0;

    private static async Task<object?> ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken)
    {
#pragma warning disable CA2100 // Literals and embedded files of this project only.
        await using var command = new NpgsqlCommand(sql, connection);
#pragma warning restore CA2100
        return await command.ExecuteScalarAsync(cancellationToken).ConfigureAwait(false);
    }
}
