using System.Buffers.Binary;
using Chat.Storage.Postgres;
using Chat.TestKit;
using Npgsql;

namespace Chat.Storage.Tests;

/// <summary>
/// A message log whose connection to PostgreSQL goes through a proxy that breaks it at chosen bytes. Whatever happens to a batch, each of its rows
/// is acknowledged and stored once, in order.
/// </summary>
public sealed class ConnectionFaultTests(PostgresFixture postgres)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    /// <summary>So that a thousand faults do not wait for a thousand back-offs.</summary>
    private static readonly MessageLogOptions Options = new() { BackoffMin = TimeSpan.FromMilliseconds(1), CommitIntervalMin = TimeSpan.Zero };

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(ProxyDirection.ToServer, false)]
    [InlineData(ProxyDirection.ToClient, false)]
    [InlineData(ProxyDirection.ToServer, true)]
    [InlineData(ProxyDirection.ToClient, true)]
    public async Task A_connection_cut_at_any_message_of_a_batch_loses_and_doubles_nothing(ProxyDirection direction, bool isShared)
    {
        var cluster = await postgres.ClusterAsync();
        await using var proxy = new TcpProxy(cluster.Port);
        var url = await cluster.CreateDatabaseAsync();
        await using var running = await RunningLog.StartAsync(Through(proxy, url, isShared: isShared), Options);
        var room = running.Log.OpenRoom(1, 0);
        await AppendBatchAsync(running, room);
        proxy.Record();
        await AppendBatchAsync(running, room);
        var (toServer, toClient) = proxy.Recorded();
        var messages = direction == ProxyDirection.ToServer ? toServer : toClient;

        foreach (var cut in Cuts(messages, isShared))
        {
            var happened = proxy.Plan(ProxyFault.Cut, direction, cut);
            await AppendBatchAsync(running, room);
            await happened.WaitAsync(Patience, Stop);
            await AssertNothingElseIsStoredAsync(url, running);
        }
        Assert.True(running.Log.IsHealthy);
    }

    [Fact]
    public async Task A_commit_whose_answer_is_late_is_waited_for()
    {
        var cluster = await postgres.ClusterAsync();
        await using var proxy = new TcpProxy(cluster.Port);
        var url = await cluster.CreateDatabaseAsync();
        await using var running = await RunningLog.StartAsync(Through(proxy, url), Options);
        var room = running.Log.OpenRoom(1, 0);
        var commitAt = await BytesBeforeCommitAnswerAsync(proxy, running, room);

        var held = proxy.Plan(ProxyFault.Hold, ProxyDirection.ToClient, commitAt);
        var batch = AppendBatchAsync(running, room);
        await held.WaitAsync(Patience, Stop);
        await StoredAsync(url, running.Committed.Count + 2); // The database has committed, and we have not heard of it.
        Assert.False(batch.IsCompleted);
        proxy.Release();

        await batch;
        Assert.Equal(0, running.Log.Statistics.Retries);
        await AssertNothingElseIsStoredAsync(url, running);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_commit_whose_answer_never_comes_is_sent_again_and_found_done(bool isShared)
    {
        var cluster = await postgres.ClusterAsync();
        await using var proxy = new TcpProxy(cluster.Port);
        var url = await cluster.CreateDatabaseAsync();
        await using var running = await RunningLog.StartAsync(Through(proxy, url, commandTimeoutSeconds: 1, isShared), Options);
        var room = running.Log.OpenRoom(1, 0);
        var commitAt = await BytesBeforeCommitAnswerAsync(proxy, running, room);

        var swallowed = proxy.Plan(ProxyFault.Swallow, ProxyDirection.ToClient, commitAt);
        await AppendBatchAsync(running, room);

        Assert.True(swallowed.IsCompleted);
        Assert.True(running.Log.Statistics.Retries > 0);
        await AssertNothingElseIsStoredAsync(url, running);
    }

    [Fact]
    public async Task A_transaction_left_open_by_a_lost_network_does_not_keep_the_next_attempt_waiting()
    {
        var cluster = await postgres.ClusterAsync();
        await using var proxy = new TcpProxy(cluster.Port);
        var url = await cluster.CreateDatabaseAsync();
        await using var running = await RunningLog.StartAsync(Through(proxy, url, commandTimeoutSeconds: 1), Options);
        var room = running.Log.OpenRoom(1, 0);
        await AppendBatchAsync(running, room);
        proxy.Record();
        await AppendBatchAsync(running, room);
        var (toServer, _) = proxy.Recorded();
        int[] starts = [.. MessageStarts(toServer)];

        // In front of COPY, within its rows, and in front of COMMIT: the rows' locks are held by then, for as long as PostgreSQL believes in us.
        int copy = starts.Last(start => toServer[start] == 'Q' && toServer.AsSpan(start + 5).StartsWith("COPY"u8));
        foreach (var at in (int[])[copy, starts.First(start => start > copy) + 10, starts[^1]])
        {
            var isolated = proxy.Plan(ProxyFault.Isolate, ProxyDirection.ToServer, at);
            await AppendBatchAsync(running, room);
            Assert.True(isolated.IsCompleted);
            await AssertNothingElseIsStoredAsync(url, running);
        }
    }

    [Fact]
    public async Task A_read_without_an_answer_is_given_up_after_one_timeout_and_the_next_has_a_new_connection()
    {
        var cluster = await postgres.ClusterAsync();
        await using var proxy = new TcpProxy(cluster.Port);
        await using var running = await RunningLog.StartAsync(Through(proxy, await cluster.CreateDatabaseAsync(), commandTimeoutSeconds: 1), Options);
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => running.Store.PingAsync(Stop))); // Several connections wait in the pool.

        var lost = proxy.Plan(ProxyFault.Isolate, ProxyDirection.ToServer, 0);
        await Assert.ThrowsAsync<StoreUnavailableException>(() => running.Store.PingAsync(Stop)).WaitAsync(Patience, Stop);
        Assert.True(lost.IsCompleted);

        await running.Store.PingAsync(Stop).WaitAsync(Patience, Stop);
    }

    [Fact]
    public async Task A_connection_that_keepalives_found_dead_is_replaced()
    {
        var cluster = await postgres.ClusterAsync();
        await using var proxy = new TcpProxy(cluster.Port);
        var url = await cluster.CreateDatabaseAsync();
        await using var running = await RunningLog.StartAsync(new PostgresTestDatabase(url), Options);
        // Only the writer's connection sends keepalives, so that the fault meets none of the store's others.
        await using var dataSource = NpgsqlDataSource.Create($"{Through(proxy, url).ConnectionString};Pooling=false;Keepalive=1");
        var lost = new LostBackends();
        using var writer = PostgresWriter.Open(dataSource, lost, connection => new PostgresMessageWriter(connection, session: 1, lost));
        writer.Append([running.Message(1, 1)], resend: false);

        await proxy.Plan(ProxyFault.Cut, ProxyDirection.ToServer, 0).WaitAsync(Patience, Stop);
        // Npgsql's keepalive may be at it still, and then tells an append why the connection broke; later ones hear only that it is not open.
        for (var i = 0; i < 2; i++)
            Assert.Equal(AppendErrorKind.Transient, Assert.Throws<AppendException>(() => writer.Append([running.Message(1, 2)], resend: false)).Kind);
    }

    [Fact]
    public async Task A_connection_lost_while_a_refused_batch_is_rolled_back_is_replaced_and_the_bad_row_found()
    {
        var cluster = await postgres.ClusterAsync();
        await using var proxy = new TcpProxy(cluster.Port);
        var url = await cluster.CreateDatabaseAsync();
        await using var running = await RunningLog.StartAsync(Through(proxy, url), Options);
        var room = running.Log.OpenRoom(1, 0);
        Assert.Null(await running.Append(room, running.Message(1, 1)).WaitAsync(Patience, Stop));
        proxy.Record();
        Assert.Equal(AppendFailure.UnknownSender, await running.Append(room, running.Message(1, 2, senderId: 404)).WaitAsync(Patience, Stop));
        var (toServer, _) = proxy.Recorded();
        int rollback = MessageStarts(toServer).First(start => toServer.AsSpan(start + 5).StartsWith("ROLLBACK"u8));

        var cut = proxy.Plan(ProxyFault.Cut, ProxyDirection.ToServer, rollback);
        Assert.Equal(AppendFailure.UnknownSender, await running.Append(room, running.Message(1, 3, senderId: 404)).WaitAsync(Patience, Stop));

        Assert.True(cut.IsCompleted);
        Assert.Equal(1, running.Log.Statistics.Retries);
        Assert.Null(await running.Append(room, running.Message(1, 4)).WaitAsync(Patience, Stop));
    }

    private static PostgresTestDatabase Through(TcpProxy proxy, string url, int commandTimeoutSeconds = 30, bool isShared = false)
    {
        var direct = new UriBuilder(url) { Port = proxy.Port };
        return new PostgresTestDatabase(direct.Uri.AbsoluteUri) { CommandTimeoutSeconds = commandTimeoutSeconds, IsShared = isShared };
    }

    /// <summary>Two rows that become ready together, so that they are one batch, and are acknowledged.</summary>
    private static async Task AppendBatchAsync(RunningLog running, RoomLog room)
    {
        var seq = running.Committed.Count + 1;
        var second = running.Append(room, running.Message(1, seq + 1));
        var first = running.Append(room, running.Message(1, seq));
        Assert.Null(await first.WaitAsync(Patience, Stop));
        Assert.Null(await second.WaitAsync(Patience, Stop));
    }

    private static async Task<long> BytesBeforeCommitAnswerAsync(TcpProxy proxy, RunningLog running, RoomLog room)
    {
        await AppendBatchAsync(running, room);
        proxy.Record();
        await AppendBatchAsync(running, room);
        var (_, toClient) = proxy.Recorded();
        // The last two messages: CommandComplete "COMMIT", ReadyForQuery.
        return MessageStarts(toClient).ToArray()[^2];
    }

    /// <summary>By a connection of its own, past the proxy: what is stored is what was acknowledged, once, in order.</summary>
    private static async Task AssertNothingElseIsStoredAsync(string url, RunningLog running)
    {
        await using var store = new PostgresTestDatabase(url).NewStore();
        var stored = await store.ReadMessagesAsync(1, null, 0, 100_000, Stop);
        Assert.Equal(running.Committed.Select(message => (message.Seq, message.Id)), stored.Select(message => (message.Seq, message.Id)));
        Assert.Equal(Enumerable.Range(1, stored.Count).Select(seq => (long)seq), stored.Select(message => message.Seq));
        Assert.Equal(stored.Count, await store.LastSeqAsync(1, Stop));
    }

    private static async Task StoredAsync(string url, long seq)
    {
        await using var store = new PostgresTestDatabase(url).NewStore();
        for (var deadline = DateTime.UtcNow + Patience; await store.LastSeqAsync(1, Stop) < seq; await Task.Delay(5, Stop))
            Assert.True(DateTime.UtcNow < deadline, $"Seq {seq} is not in the database.");
    }

    /// <summary>
    /// Before each message of the protocol, and within it after its first byte, in its middle and before its last byte; of a server that shares the database, which
    /// differs by what it says, before it and in its middle.
    /// </summary>
    private static IEnumerable<int> Cuts(byte[] messages, bool isShared)
    {
        if (Environment.GetEnvironmentVariable("CHAT_TEST_EVERY_BYTE") == "1")
            return Enumerable.Range(0, messages.Length);
        int[] starts = [.. MessageStarts(messages), messages.Length];
        return starts.Zip(starts.Skip(1), (start, end) => isShared ? (int[])[start, (start + end) / 2] : [start, start + 1, (start + end) / 2, end - 1])
            .SelectMany(cuts => cuts).Distinct();
    }

    /// <summary>PostgreSQL's messages after the start-up: a type byte, then a length that counts itself but not the type.</summary>
    private static IEnumerable<int> MessageStarts(byte[] messages)
    {
        for (var start = 0; start < messages.Length; start += 1 + BinaryPrimitives.ReadInt32BigEndian(messages.AsSpan(start + 1)))
            yield return start;
    }
}
