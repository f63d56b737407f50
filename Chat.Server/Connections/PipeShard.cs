using System.Diagnostics;
using Chat.Protocol;
using Chat.Server.Rooms;

namespace Chat.Server.Connections;

/// <summary>
/// The portable shard: its turns run on thread-pool threads, one at a time, whenever there is work. Its sessions' input is
/// read elsewhere, by a task per connection.
/// </summary>
internal sealed class PipeShard(int index, SessionLimits limits, TimeProvider time)
    : Shard(index, limits, time), IThreadPoolWorkItem
{
    /// <summary>
    /// 1 from a wake-up until a thread takes the shard: one token per sleep, whoever takes it runs the turns alone.
    /// Usually that is the work item; when a publisher was first, the item finds nothing, or a later wake-up's token.
    /// </summary>
    private int _isQueued;

    void IThreadPoolWorkItem.Execute()
    {
        if (Interlocked.Exchange(ref _isQueued, 0) == 0)
        {
            return;
        }

        do
        {
            RunTurnOrFail();
        }
        while (!TrySleep());
    }

    public override bool TryRunTurn()
    {
        if (Interlocked.Exchange(ref _isQueued, 0) == 0)
        {
            return false;
        }

        RunTurnOrFail();
        if (!TrySleep())
        {
            Wake(); // The helper has its own work; the rest is for the pool.
        }

        return true;
    }

    protected override void Wake()
    {
        Volatile.Write(ref _isQueued, 1);
        Invariant.Require(ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false));
    }

    private void RunTurnOrFail()
    {
        try
        {
            long start = Stopwatch.GetTimestamp();
            RunTurn();
            EndTurn(start, Stopwatch.GetTimestamp());
        }
        catch (Exception exception)
        {
            // A turn that threw has left rooms half served: nobody could say what its members have seen.
            Environment.FailFast("a fan-out shard failed", exception);
        }
    }
}
