using System.Text;
using Chat.Storage.Postgres;

namespace Chat.Storage.Tests;

/// <summary>What every store promises. One subclass for each store.</summary>
public abstract class StoreContract : IAsyncLifetime
{
    protected TestDatabase Database { get; private set; } = null!;
    protected IChatStore Store { get; private set; } = null!;

    protected abstract Task<TestDatabase> CreateDatabaseAsync();

    protected static CancellationToken Stop => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        Database = await CreateDatabaseAsync();
        Store = Database.NewStore();
        await Store.InitializeAsync(Stop);
    }

    public async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        if (Database is null)
            return;
        await Store.DisposeAsync();
        await Database.DisposeAsync();
    }

    [Fact]
    public async Task A_new_database_has_three_sample_rooms_and_the_next_is_the_fourth()
    {
        var rooms = await Store.ListRoomsAsync(0, 1000, Stop);
        Assert.Equal([(1, "General"), (2, "Random"), (3, "Help")], rooms.Select(room => (room.Id, room.Name)));
        Assert.All(rooms, room => Assert.Equal(0, room.LastSeq));
        var room = await Store.CreateRoomAsync("Fourth", Stop);
        Assert.Equal(4, room.Id);
        Assert.Equal(room, await Store.FindRoomAsync(4, Stop));
    }

    [Fact]
    public async Task Initializing_again_changes_nothing()
    {
        await Database.ExecuteAsync("DELETE FROM rooms WHERE id = 2");
        await Store.InitializeAsync(Stop);
        Assert.Equal([1L, 3L], (await Store.ListRoomsAsync(0, 1000, Stop)).Select(room => room.Id));
    }

    [Fact]
    public async Task Of_many_servers_that_start_at_once_with_an_empty_database_one_makes_its_schema_and_has_it()
    {
        await using var database = await CreateDatabaseAsync();
        var stores = Enumerable.Range(0, 8).Select(_ => database.NewStore()).ToArray();
        var starts = stores.Select(store => Task.Run(() => store.BeginSessionAsync(Stop), Stop)).ToArray();
        await Task.WhenAny(Task.WhenAll(starts));
        Assert.Equal(new StoreSession(1, 0), await Assert.Single(starts, start => start.IsCompletedSuccessfully));
        Assert.All(starts.Where(start => start.IsFaulted), start => Assert.IsType<StoreInUseException>(start.Exception!.InnerException));
        Assert.Equal(3, (await stores[0].ListRoomsAsync(0, 1000, Stop)).Count);
        foreach (var store in stores)
            await store.DisposeAsync();
    }

    [Fact]
    public async Task A_schema_newer_than_this_build_is_refused()
    {
        await Database.ExecuteAsync("INSERT INTO schema_version (version) VALUES (99)");
        var e = await Assert.ThrowsAsync<StoreSchemaException>(() => Store.InitializeAsync(Stop));
        Assert.Contains("99", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_database_that_has_another_table_by_one_of_our_names_is_refused()
    {
        await using var database = await CreateDatabaseAsync();
        await database.ExecuteAsync("CREATE TABLE users (name text)");
        await using var store = database.NewStore();
        var e = await Assert.ThrowsAsync<StoreSchemaException>(() => store.BeginSessionAsync(Stop));
        Assert.DoesNotContain('\n', e.Message);
    }

    [Fact]
    public async Task An_email_differing_only_in_case_is_taken_and_found()
    {
        var user = await Store.CreateUserAsync("Ida@Example.org", "Ida", "hash", Stop);
        Assert.NotNull(user);
        Assert.Null(await Store.CreateUserAsync("iDA@EXAMPLE.ORG", "Other", "hash", Stop));
        Assert.Equal(user, await Store.FindUserByEmailAsync("ida@example.ORG", Stop));
        Assert.Equal(user, await Store.FindUserByIdAsync(user.Id, Stop));
        Assert.Equal("Ida@Example.org", user.Email);
    }

    [Fact]
    public async Task A_password_hash_is_replaced_unless_another_one_has_come_meanwhile()
    {
        var user = (await Store.CreateUserAsync("ida@example.org", "Ida", "old", Stop))!;

        Assert.True(await Store.ReplacePasswordHashAsync(user.Id, "old", "new", Stop));
        Assert.False(await Store.ReplacePasswordHashAsync(user.Id, "old", "newer", Stop));
        Assert.False(await Store.ReplacePasswordHashAsync(404, "old", "newer", Stop));

        Assert.Equal(user with { PasswordHash = "new" }, await Store.FindUserByIdAsync(user.Id, Stop));
    }

    [Fact]
    public async Task Of_many_registrations_of_one_email_at_once_one_wins()
    {
        var users = await Task.WhenAll(Enumerable.Range(0, 20).Select(i =>
            Store.CreateUserAsync(i % 2 == 0 ? "one@example.org" : "ONE@example.org", $"user {i}", "hash", Stop)));
        Assert.Single(users, user => user is not null);
    }

    [Fact]
    public async Task Unknown_ids_are_answered_with_nothing()
    {
        Assert.Null(await Store.FindUserByEmailAsync("nobody@example.org", Stop));
        Assert.Null(await Store.FindUserByIdAsync(404, Stop));
        Assert.Null(await Store.FindRoomAsync(404, Stop));
        Assert.Empty(await Store.ListMembersAsync(404, 0, 1000, Stop));
        Assert.False(await Store.IsMemberAsync(404, 404, Stop));
        Assert.False(await Store.RemoveMemberAsync(404, 404, Stop));
        Assert.Empty(await Store.ReadMessagesAsync(404, null, null, 10, Stop));
        Assert.Equal(0, await Store.LastSeqAsync(404, Stop));
        Assert.Equal(0, await Store.LastSeqUpToEpochAsync(404, 1, Stop));
    }

    [Fact]
    public async Task Joining_twice_adds_once_and_leaving_twice_removes_once()
    {
        var user = (await Store.CreateUserAsync("ida@example.org", "Ida", "hash", Stop))!;
        Assert.True(await Store.AddMemberAsync(1, user.Id, Stop));
        Assert.False(await Store.AddMemberAsync(1, user.Id, Stop));
        Assert.True(await Store.IsMemberAsync(1, user.Id, Stop));
        var member = Assert.Single(await Store.ListMembersAsync(1, 0, 1000, Stop));
        Assert.Equal((user.Id, "Ida"), (member.UserId, member.Username));
        Assert.True(await Store.RemoveMemberAsync(1, user.Id, Stop));
        Assert.False(await Store.RemoveMemberAsync(1, user.Id, Stop));
    }

    [Fact]
    public async Task Lists_go_on_after_an_id_and_end_at_a_limit()
    {
        var users = new List<UserRecord>();
        foreach (var name in (string[])["Ida", "Joe", "Kim"])
        {
            users.Add((await Store.CreateUserAsync($"{name}@example.org", name, "hash", Stop))!);
            await Store.AddMemberAsync(2, users[^1].Id, Stop);
        }
        await Store.AddMemberAsync(3, users[0].Id, Stop);
        Assert.Equal([1L, 2L], (await Store.ListRoomsAsync(0, 2, Stop)).Select(room => room.Id));
        Assert.Equal([3L], (await Store.ListRoomsAsync(2, 2, Stop)).Select(room => room.Id));
        Assert.Empty(await Store.ListRoomsAsync(long.MaxValue, 2, Stop));
        Assert.Equal(["Ida", "Joe"], (await Store.ListMembersAsync(2, 0, 2, Stop)).Select(member => member.Username));
        Assert.Equal(["Kim"], (await Store.ListMembersAsync(2, users[1].Id, 2, Stop)).Select(member => member.Username));
        Assert.Empty(await Store.ListMembersAsync(2, users[2].Id, 2, Stop));
    }

    [Fact]
    public async Task Joining_an_unknown_room_or_as_an_unknown_user_is_an_error()
    {
        var user = (await Store.CreateUserAsync("ida@example.org", "Ida", "hash", Stop))!;
        await Assert.ThrowsAsync<KeyNotFoundException>(() => Store.AddMemberAsync(404, user.Id, Stop));
        await Assert.ThrowsAsync<KeyNotFoundException>(() => Store.AddMemberAsync(1, 404, Stop));
    }

    [Fact]
    public async Task The_epoch_rises_only_after_an_unclean_stop()
    {
        Assert.Equal(new StoreSession(1, 0), await Store.BeginSessionAsync(Stop));
        await Store.EndSessionAsync(Stop);
        Assert.Equal(1, (await Store.BeginSessionAsync(Stop)).Epoch);
        await Store.DisposeAsync();

        Store = Database.NewStore();
        Assert.Equal(2, (await Store.BeginSessionAsync(Stop)).Epoch);
        await Store.EndSessionAsync(Stop);
        Assert.Equal(2, (await Store.BeginSessionAsync(Stop)).Epoch);
    }

    [Fact]
    public async Task A_second_server_is_refused_while_the_first_has_its_session()
    {
        await Store.BeginSessionAsync(Stop);
        // As if the first were an older build.
        await Database.ExecuteAsync($"DELETE FROM schema_version WHERE version = {PostgresSchema.Version}");
        await using var second = Database.NewStore();
        await Assert.ThrowsAsync<StoreInUseException>(() => second.BeginSessionAsync(Stop));
        await Database.ExecuteAsync($"INSERT INTO schema_version (version) VALUES ({PostgresSchema.Version})"); // Would be refused, had the second done so.
        await Store.EndSessionAsync(Stop);
        Assert.Equal(1, (await second.BeginSessionAsync(Stop)).Epoch);
    }

    [Fact]
    public async Task A_server_that_was_replaced_commits_nothing_more()
    {
        await Store.BeginSessionAsync(Stop);
        var user = (await Store.CreateUserAsync("ida@example.org", "Ida", "hash", Stop))!;
        using var writer = Store.OpenWriter();
        writer.Append([Row(1, 1, user)], resend: false);
        Assert.True(await Store.HoldsSessionAsync(Stop));
        // What a new session does first. The lock that keeps a second server out is the tests' business elsewhere; this is the net below it.
        await Database.ExecuteAsync("UPDATE server_state SET session = session + 1");

        var e = Assert.Throws<AppendException>(() => writer.Append([Row(2, 2, user)], resend: false));
        Assert.Equal(AppendErrorKind.SessionLost, e.Kind);
        Assert.False(await Store.HoldsSessionAsync(Stop));
        Assert.Equal(1, await Store.LastSeqAsync(1, Stop));
    }

    [Fact]
    public async Task A_resent_batch_is_stored_once()
    {
        await Store.BeginSessionAsync(Stop);
        var user = (await Store.CreateUserAsync("ida@example.org", "Ida", "hash", Stop))!;
        MessageRecord[] batch = [Row(1, 1, user), Row(2, 2, user), Row(3, 1, user, roomId: 2), Row(4, 3, user)];
        using var writer = Store.OpenWriter();
        writer.Append(batch.AsSpan(0, 2), resend: false);
        writer.Append(batch, resend: true);
        writer.Append(batch, resend: true);
        Assert.Equal([1L, 2L, 4L], (await Store.ReadMessagesAsync(1, null, null, 10, Stop)).Select(message => message.Id));
        Assert.Equal(3, await Store.LastSeqAsync(1, Stop));
        Assert.Equal(1, await Store.LastSeqAsync(2, Stop));
    }

    [Theory]
    [InlineData(2, 1, "another id at a taken seq")]
    [InlineData(1, 2, "a taken id at another seq")]
    public async Task Two_servers_numbering_one_room_is_a_conflict(long id, long seq, string _)
    {
        await Store.BeginSessionAsync(Stop);
        var user = (await Store.CreateUserAsync("ida@example.org", "Ida", "hash", Stop))!;
        using (var writer = Store.OpenWriter())
        {
            writer.Append([Row(1, 1, user)], resend: false);
            // The first attempt cannot know whether it committed before; the resend can.
            Assert.Equal(AppendErrorKind.Transient, Assert.Throws<AppendException>(() => writer.Append([Row(id, seq, user)], resend: false)).Kind);
        }
        using var again = Store.OpenWriter();
        Assert.Equal(AppendErrorKind.SequenceConflict, Assert.Throws<AppendException>(() => again.Append([Row(id, seq, user)], resend: true)).Kind);
        Assert.Equal(1, await Store.LastSeqAsync(1, Stop));
    }

    /// <summary>A replica took over that lacks what was acknowledged last, or somebody put an older file in its place.</summary>
    [Fact]
    public async Task A_room_that_has_lost_its_end_is_a_conflict_and_gets_no_hole()
    {
        await Store.BeginSessionAsync(Stop);
        var user = (await Store.CreateUserAsync("ida@example.org", "Ida", "hash", Stop))!;
        using var writer = Store.OpenWriter();
        writer.Append([Row(1, 1, user), Row(2, 2, user), Row(3, 1, user, roomId: 2)], resend: false);
        await Database.ExecuteAsync("DELETE FROM messages WHERE id = 2");
        await Database.ExecuteAsync("UPDATE rooms SET last_seq = 1 WHERE id = 1");

        MessageRecord[] next = [Row(4, 2, user, roomId: 2), Row(5, 3, user), Row(6, 4, user)];
        Assert.Equal(AppendErrorKind.Transient, Assert.Throws<AppendException>(() => writer.Append(next, resend: false)).Kind);
        using var again = Store.OpenWriter();
        Assert.Equal(AppendErrorKind.SequenceConflict, Assert.Throws<AppendException>(() => again.Append(next, resend: true)).Kind);

        Assert.Equal([1L], (await Store.ReadMessagesAsync(1, null, null, 10, Stop)).Select(message => message.Seq));
        Assert.Equal(1, await Store.LastSeqAsync(1, Stop));
        Assert.Equal(1, await Store.LastSeqAsync(2, Stop));
    }

    [Fact]
    public async Task Pages_by_seq_are_exact_in_both_directions()
    {
        await Store.BeginSessionAsync(Stop);
        var user = (await Store.CreateUserAsync("ida@example.org", "Ida", "hash", Stop))!;
        using var writer = Store.OpenWriter();
        writer.Append(Enumerable.Range(1, 25).Select(i => Row(i, i, user)).ToArray(), resend: false);

        Assert.Equal(Enumerable.Range(16, 10).Select(i => (long)i), await Seqs(null, null, 10));
        Assert.Equal(Enumerable.Range(6, 10).Select(i => (long)i), await Seqs(16, null, 10));
        Assert.Equal([1, 2, 3, 4, 5], await Seqs(6, null, 10));
        Assert.Equal([1, 2, 3], await Seqs(null, 0, 3));
        Assert.Equal([4, 5, 6], await Seqs(null, 3, 3));
        Assert.Equal([25], await Seqs(null, 24, 3));
        Assert.Empty(await Seqs(null, 25, 3));
        Assert.Empty(await Seqs(1, null, 3));
        Assert.Equal([4], await Seqs(5, 3, 3));

        async Task<IEnumerable<long>> Seqs(long? before, long? after, int limit) =>
            (await Store.ReadMessagesAsync(1, before, after, limit, Stop)).Select(message => message.Seq);
    }

    [Fact]
    public async Task The_end_of_each_epoch_is_found()
    {
        await Store.BeginSessionAsync(Stop);
        var user = (await Store.CreateUserAsync("ida@example.org", "Ida", "hash", Stop))!;
        using var writer = Store.OpenWriter();
        // Epoch 1 ends at 10, epoch 2 has nothing in this room, epoch 3 ends at 11, epoch 4 at 40.
        writer.Append(Enumerable.Range(1, 40).Select(i => Row(i, i, user, epoch: i <= 10 ? 1 : i == 11 ? 3 : 4)).ToArray(), resend: false);
        long[] ends = [0, 10, 10, 11, 40, 40];
        for (var epoch = 0; epoch < ends.Length; epoch++)
            Assert.Equal(ends[epoch], await Store.LastSeqUpToEpochAsync(1, epoch, Stop));
    }

    [Fact]
    public async Task Every_valid_character_comes_back_as_it_went()
    {
        // Each scalar value but NUL, in rows of up to 4,000 characters.
        var rows = new List<string>();
        var text = new StringBuilder();
        for (var scalar = 1; scalar <= 0x10FFFF; scalar++)
        {
            if (!Rune.IsValid(scalar))
                continue;
            text.Append(new Rune(scalar).ToString());
            if (text.Length < 3_999)
                continue;
            rows.Add(text.ToString());
            text.Clear();
        }
        rows.AddRange([text.ToString(), " ", "\\N", "\\.", "\t\r\n\v", "'; DROP TABLE messages; --", "\uFEFF", "\uFFFF", "e\u0301", "\u202Ertl", "👩‍👩‍👧‍👦"]);

        await Store.BeginSessionAsync(Stop);
        var user = (await Store.CreateUserAsync("ida@example.org", "Ida \"\\'\u0001", "hash", Stop))!;
        var sent = rows.Select((row, i) => Row(i + 1, i + 1, user, content: row)).ToArray();
        using var writer = Store.OpenWriter();
        writer.Append(sent.AsSpan(0, sent.Length / 2), resend: false);
        writer.Append(sent, resend: true);

        var stored = await Store.ReadMessagesAsync(1, null, 0, sent.Length + 1, Stop);
        Assert.Equal(sent.Length, stored.Count);
        for (var i = 0; i < sent.Length; i++)
        {
            Assert.Equal(rows[i], Encoding.UTF8.GetString(stored[i].Content.Span));
            Assert.Equal(sent[i].Nonce, stored[i].Nonce);
            Assert.Equal(user.Username, stored[i].SenderName);
            Assert.Equal(sent[i].CreatedAtUnixMs, stored[i].CreatedAtUnixMs);
        }
    }

    private static MessageRecord Row(long id, long seq, UserRecord sender, long roomId = 1, int epoch = 1, string content = "hello") => new()
    {
        Id = id,
        RoomId = roomId,
        Seq = seq,
        Epoch = epoch,
        SenderId = sender.Id,
        SenderName = sender.Username,
        Nonce = seq % 2 == 0 ? null : $"é{seq}",
        Content = Encoding.UTF8.GetBytes(content),
        CreatedAtUnixMs = 1_790_000_000_123 + seq,
    };
}
