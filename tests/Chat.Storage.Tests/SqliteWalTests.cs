using System.Text;
using Chat.Storage.Sqlite;
using Chat.TestKit;

namespace Chat.Storage.Tests;

/// <summary>The write-ahead log has its whole length from the start. What counts in it is what SQLite wrote, wherever that ends.</summary>
public sealed class SqliteWalTests : IDisposable
{
    private readonly TempFolder _folder = new();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Commits_do_not_change_its_length()
    {
        await using var store = await StartAsync("chat.db");
        var length = new FileInfo(_folder.File("chat.db-wal")).Length;
        Assert.InRange(length, 16 << 20, 20 << 20);

        using var writer = store.OpenWriter();
        var userId = (await store.CreateUserAsync("ida@example.org", "Ida", "hash", Stop))!.Id;
        for (var i = 0; i < 40; i++) // Some 40 MB, more than it holds: it is folded in on the way.
            writer.Append([.. Enumerable.Range(1, 250).Select(n => Row(userId, (i * 250) + n))], resend: false);
        Assert.Equal(length, new FileInfo(_folder.File("chat.db-wal")).Length);
    }

    /// <summary>What a power failure leaves: the files as they are, that nobody has closed.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(5000)] // Folded in, and begun again over old frames.
    public async Task A_store_that_was_never_closed_comes_back_with_all_of_it(int rows)
    {
        await using (var store = await StartAsync("chat.db"))
        {
            using var writer = store.OpenWriter();
            var userId = (await store.CreateUserAsync("ida@example.org", "Ida", "hash", Stop))!.Id;
            for (var seq = 1; seq <= rows; seq += 250)
                writer.Append([.. Enumerable.Range(seq, Math.Min(250, rows - seq + 1)).Select(n => Row(userId, n))], resend: false);
            File.Copy(_folder.File("chat.db"), _folder.File("copy.db"));
            File.Copy(_folder.File("chat.db-wal"), _folder.File("copy.db-wal"));
        }

        for (var starts = 0; starts < 2; starts++)
        {
            await using var copy = await StartAsync("copy.db");
            Assert.Equal(rows, await copy.LastSeqAsync(1, Stop));
            var page = await copy.ReadMessagesAsync(1, null, rows - 1, 10, Stop);
            Assert.Equal($"message {rows} ", Encoding.UTF8.GetString(Assert.Single(page).Content.Span).TrimEnd('x'));
        }
    }

    [Fact]
    public async Task A_clean_stop_leaves_the_database_alone_in_the_folder()
    {
        var store = await StartAsync("chat.db");
        await store.EndSessionAsync(Stop);
        await store.DisposeAsync();
        Assert.False(File.Exists(_folder.File("chat.db-wal")));
    }

    private async Task<SqliteStore> StartAsync(string name)
    {
        var store = new SqliteStore(_folder.File(name));
        await store.InitializeAsync(Stop);
        await store.BeginSessionAsync(Stop);
        return store;
    }

    private static MessageRecord Row(long userId, long seq) => new()
    {
        Id = seq,
        RoomId = 1,
        Seq = seq,
        Epoch = 1,
        SenderId = userId,
        SenderName = "Ida",
        Content = Encoding.UTF8.GetBytes($"message {seq} ".PadRight(4000, 'x')),
        CreatedAtUnixMs = seq,
    };
}
