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
    void IThreadPoolWorkItem.Execute()
    {
        do
        {
            RunTurnOrFail();
        }
        while (!TrySleep());
    }

    protected override void Wake() => Invariant.Require(ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false));

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
