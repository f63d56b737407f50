using Chat.Storage.Postgres;
using Npgsql;

namespace Chat.Storage.Tests;

/// <summary>SQLSTATE codes as in appendix A of PostgreSQL's documentation.</summary>
public sealed class PostgresErrorsTests
{
    [Theory]
    [InlineData("08006", true)] // connection_failure
    [InlineData("25006", true)] // read_only_sql_transaction
    [InlineData("25P03", true)] // idle_in_transaction_session_timeout
    [InlineData("25P04", true)] // transaction_timeout
    [InlineData("28P01", true)] // invalid_password
    [InlineData("3D000", true)] // invalid_catalog_name
    [InlineData("40001", true)] // serialization_failure
    [InlineData("40003", true)] // statement_completion_unknown
    [InlineData("40P01", true)] // deadlock_detected
    [InlineData("53100", true)] // disk_full
    [InlineData("55P03", true)] // lock_not_available
    [InlineData("57014", true)] // query_canceled
    [InlineData("57P01", true)] // admin_shutdown
    [InlineData("58030", true)] // io_error
    [InlineData("22021", false)] // character_not_in_repertoire
    [InlineData("23503", false)] // foreign_key_violation
    [InlineData("25P02", false)] // in_failed_sql_transaction
    [InlineData("42P01", false)] // undefined_table
    [InlineData("XX001", false)] // data_corrupted
    public void What_passes_by_itself_or_with_an_operators_help_is_told_from_what_the_statement_did(string sqlState, bool isUnavailable) =>
        Assert.Equal(isUnavailable, PostgresErrors.IsUnavailable(new PostgresException("text", "ERROR", "ERROR", sqlState)));
}
