using System.Collections.Concurrent;

namespace Chat.Server.Tests;

public sealed class BackgroundThreadsTests
{
    private const int StackBytes = 256 * 1024;
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task One_piece_after_another_runs_on_one_thread()
    {
        var threads = new BackgroundThreads("test", StackBytes, keep: Deadline);
        var seen = new HashSet<Thread>();

        for (int i = 0; i < 1000; i++)
        {
            seen.Add(await threads.RunAsync(static () => Thread.CurrentThread).WaitAsync(Deadline, Cancel));
        }

        Assert.Equal("test", Assert.Single(seen).Name);
    }

    [Fact]
    public async Task Pieces_at_the_same_time_have_a_thread_each_and_the_threads_are_kept()
    {
        const int Pieces = 4;
        var threads = new BackgroundThreads("test", StackBytes, keep: Deadline);
        using var together = new Barrier(Pieces);
        var seen = new ConcurrentDictionary<Thread, bool>();

        for (int round = 0; round < 50; round++)
        {
            bool[] met = await Task.WhenAll(Enumerable.Range(0, Pieces).Select(_ => threads.RunAsync(() =>
            {
                seen[Thread.CurrentThread] = true;
                return together.SignalAndWait(Deadline);
            }))).WaitAsync(Deadline, Cancel);
            Assert.DoesNotContain(false, met);
        }

        Assert.Equal(Pieces, seen.Count);
    }

    [Fact]
    public async Task A_failure_is_the_callers_and_the_thread_goes_on()
    {
        var threads = new BackgroundThreads("test", StackBytes, keep: Deadline);
        Thread? failed = null;

        Task<int> failure = threads.RunAsync<int>(() =>
        {
            failed = Thread.CurrentThread;
            throw new InvalidOperationException("as planned");
        });

        Assert.Equal("as planned", (await Assert.ThrowsAsync<InvalidOperationException>(() => failure.WaitAsync(Deadline, Cancel))).Message);
        Assert.Same(failed, await threads.RunAsync(static () => Thread.CurrentThread).WaitAsync(Deadline, Cancel));
    }

    [Fact]
    public async Task A_thread_that_nothing_comes_for_ends_and_the_next_piece_has_another()
    {
        var threads = new BackgroundThreads("test", StackBytes, keep: TimeSpan.FromMilliseconds(1));

        Thread first = await threads.RunAsync(static () => Thread.CurrentThread).WaitAsync(Deadline, Cancel);

        Assert.True(first.Join(Deadline));
        Assert.NotSame(first, await threads.RunAsync(static () => Thread.CurrentThread).WaitAsync(Deadline, Cancel));
    }

    [Fact]
    public async Task Nothing_is_left_lying_by_a_thread_that_ends()
    {
        var threads = new BackgroundThreads("test", StackBytes, keep: TimeSpan.Zero);

        for (int i = 0; i < 500; i++)
        {
            Assert.Equal(i, await threads.RunAsync(() => i).WaitAsync(Deadline, Cancel));
        }
    }
}
