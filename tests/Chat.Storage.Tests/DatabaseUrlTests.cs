using Npgsql;

namespace Chat.Storage.Tests;

public sealed class DatabaseUrlTests
{
    [Theory]
    [InlineData("postgres://chat:secret@db/chat", "db", 5432, "chat", "secret", "chat")]
    [InlineData("postgresql://chat:secret@db:6543/chat", "db", 6543, "chat", "secret", "chat")]
    [InlineData("postgres://u%40corp:p%3A%2F%25%3Fw@db.example.org:1/my%20db", "db.example.org", 1, "u@corp", "p:/%?w", "my db")]
    [InlineData("postgres://chat:a@b:c@db/chat", "db", 5432, "chat", "a@b:c", "chat")]
    [InlineData("postgres://chat@[::1]:5433/chat", "::1", 5433, "chat", null, "chat")]
    [InlineData("postgres://chat@/chat?host=/run/postgresql", "/run/postgresql", 5432, "chat", null, "chat")]
    [InlineData("Host=db;Port=7;Username=chat;Password=se'cr=et;Database=chat", "db", 7, "chat", "se'cr=et", "chat")]
    public void A_url_or_key_values_become_a_connection_string(string url, string host, int port, string user, string? password, string database)
    {
        var builder = new NpgsqlConnectionStringBuilder(DatabaseUrl.ToConnectionString(url));
        Assert.Equal((host, port, user, password, database), (builder.Host, builder.Port, builder.Username, builder.Password, builder.Database));
    }

    [Theory]
    [InlineData("disable", SslMode.Disable)]
    [InlineData("require", SslMode.Require)]
    [InlineData("verify-full", SslMode.VerifyFull)]
    public void The_sslmode_of_libpq_is_understood(string sslmode, SslMode expected) =>
        Assert.Equal(expected, new NpgsqlConnectionStringBuilder(DatabaseUrl.ToConnectionString($"postgres://u@db/chat?sslmode={sslmode}&connect_timeout=3")).SslMode);

    [Theory]
    [InlineData("mysql://u:S3cret@db/chat", "must start with postgres://")]
    [InlineData("S3cret://u:S3cret@db/chat", "must start with postgres://")]
    [InlineData("postgres://u:S3cret@db", "names no database")]
    [InlineData("postgres://u:S3cret@db/", "names no database")]
    [InlineData("postgres://u:S3cret@/chat", "names no host")]
    [InlineData("postgres://u:S3cret@db:http/chat", "the port must be a number")]
    [InlineData("postgres://u:S3cret@db:0/chat", "the port must be a number")]
    [InlineData("postgres://u:S3cret@db:65536/chat", "the port must be a number")]
    [InlineData("postgres://u:S3cret%zz@db/chat", "the password has a '%'")]
    [InlineData("postgres://u:S3cret%4@db/chat", "the password has a '%'")]
    [InlineData("postgres://u:S3c?ret@db/chat", "names no database")]
    [InlineData("postgres://u:p@db/chat?S3cret=1", "unknown parameter")]
    [InlineData("postgres://u:p@db/chat?sslmode=S3cret", "sslmode must be")]
    [InlineData("postgres://u:p@db/chat?connect_timeout=S3cret", "connect_timeout must be")]
    [InlineData("postgres://u:S3c#ret@db#S3cret/chat", "contains '#'")]
    [InlineData("S3cret", "neither a postgres:// URL nor")]
    [InlineData("Host=db;Port=S3cret", "neither a postgres:// URL nor")]
    [InlineData("Host=db;S3cret=1", "neither a postgres:// URL nor")]
    [InlineData("Password=S3cret;Database=chat", "names no host")]
    public void A_malformed_url_is_explained_without_quoting_it(string url, string explanation)
    {
        var e = Assert.Throws<FormatException>(() => DatabaseUrl.ToConnectionString(url));
        Assert.Contains(explanation, e.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("S3c", e.ToString(), StringComparison.Ordinal);
    }
}
