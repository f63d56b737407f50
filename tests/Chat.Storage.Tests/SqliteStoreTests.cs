using Chat.Storage.Sqlite;
using Microsoft.Data.Sqlite;

namespace Chat.Storage.Tests;

public sealed class SqliteStoreTests : StoreContract
{
    protected override Task<TestDatabase> CreateDatabaseAsync() => Task.FromResult<TestDatabase>(new SqliteTestDatabase());

    [Fact]
    public void The_database_file_is_readable_by_its_owner_only()
    {
        if (OperatingSystem.IsWindows())
            return;
        foreach (var file in Directory.GetFiles(Path.GetDirectoryName(((SqliteTestDatabase)Database).Path)!))
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
    }

    [Fact]
    public async Task A_file_that_is_damaged_where_only_the_session_looks_is_refused()
    {
        var path = ((SqliteTestDatabase)Database).Path;
        await Store.DisposeAsync();
        long page;
        await using (var connection = new SqliteConnection($"Data Source={path};Pooling=False"))
        {
            await connection.OpenAsync(Stop);
            page = connection.Scalar("SELECT rootpage FROM sqlite_schema WHERE name = 'messages'")!.Value;
        }
        await using (var file = File.OpenWrite(path))
        {
            file.Position = (page - 1) * 4096;
            await file.WriteAsync(new byte[4096], Stop);
        }
        await using var store = Database.NewStore();
        var e = await Assert.ThrowsAsync<StoreSchemaException>(() => store.BeginSessionAsync(Stop));
        Assert.Contains("damaged", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_folder_that_is_not_there_is_not_taken_for_another_server()
    {
        await using var store = new SqliteStore(((SqliteTestDatabase)Database).Path + ".d/chat.db");
        var e = await Assert.ThrowsAsync<StoreUnavailableException>(() => store.BeginSessionAsync(Stop));
        Assert.Contains("chat.db", e.Message, StringComparison.Ordinal);
    }
}
