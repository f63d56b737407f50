using System.IO.Pipelines;

namespace Chat.Server.Connections;

/// <summary>
/// What comes between our last word and the close: a close with unread input makes the kernel send a reset, which can take the last word away
/// from a peer that has not read it yet. On the shards the kernel's half-close does this; a pipe has none.
/// </summary>
internal static class Linger
{
    /// <summary>A peer that has sent nothing for this long after our last word is not in the middle of sending.</summary>
    public const int QuietMs = 250;

    /// <summary>Behind the peer's own last word there is nothing to come. What it had sent on its way regardless is here by then.</summary>
    public const int TrailMs = 20;

    /// <summary>Takes what the peer sends until it ends, or is quiet, or that long has passed.</summary>
    public static async Task DiscardAsync(PipeReader input, int mostMs, TimeProvider time)
    {
        long startedAt = time.GetTimestamp();
        await using ITimer quiet = time.CreateTimer(
            static reader => ((PipeReader)reader!).CancelPendingRead(), input, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        while (mostMs - time.GetElapsedTime(startedAt).TotalMilliseconds is > 0 and double leftMs)
        {
            quiet.Change(TimeSpan.FromMilliseconds(Math.Min(QuietMs, leftMs)), Timeout.InfiniteTimeSpan);
            ReadResult read = await input.ReadAsync();
            input.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted || read.IsCanceled)
            {
                return;
            }
        }
    }
}
