using Chat.Server.Connections;
using Chat.Server.Tests.Rooms;

namespace Chat.Server.Tests.Connections;

public sealed class PipeShardTests
{
    private readonly PipeShard _shard = new(0, RoomSetup.Limits, TimeProvider.System);

    [Fact]
    public async Task Turns_never_overlap_and_no_work_is_lost()
    {
        const int Posters = 4;
        const int Each = 20_000;
        int running = 0;
        int done = 0;
        var finished = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        void Work(object target, object? argument)
        {
            Assert.Equal(1, Interlocked.Increment(ref running));
            Assert.True(_shard.IsCurrent);
            if (++done == Posters * Each) // Not interlocked: that is the point.
            {
                finished.SetResult();
            }

            Interlocked.Decrement(ref running);
        }

        Task[] posters = [.. Enumerable.Range(0, Posters).Select(_ => Task.Factory.StartNew(
            () =>
            {
                for (int i = 0; i < Each; i++)
                {
                    _shard.Post(Work, this);
                }
            },
            TestContext.Current.CancellationToken,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default))];
        await Task.WhenAll(posters);
        await finished.Task.WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
        Assert.False(_shard.IsCurrent);
    }
}
