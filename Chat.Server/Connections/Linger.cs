using System.IO.Pipelines;

namespace Chat.Server.Connections;

/// <summary>
/// What comes between our last word and the close: a close with unread input makes the kernel send a reset, which can take the last word away
/// from a peer that has not read it yet. So what it still sends is taken and dropped: for a while, and at a pace that costs next to
/// nothing, since whoever floods goes on regardless.
/// </summary>
internal static class Linger
{
    /// <summary>A peer that has sent nothing for this long after our last word is not in the middle of sending.</summary>
    public const int QuietMs = 250;

    /// <summary>Behind the peer's own last word there is nothing to come. What it had sent on its way regardless is here by then.</summary>
    public const int TrailMs = 20;

    /// <summary>What is dropped at once, in bytes, and then nothing for <see cref="IntervalMs"/>: 12 MB/s.</summary>
    public const int ShareBytes = 128 * 1024;

    /// <summary>From one share to the next, in milliseconds.</summary>
    public const int IntervalMs = 10;

    /// <summary>Who has sent more than <see cref="BytesMax"/> has so long to read our last word, in milliseconds, before it is cut off.</summary>
    public const int CutMs = 500;

    private const int BytesMin = 256 * 1024;

    /// <summary>How much is dropped at that pace: twice the longest message or content, so that one that was too long can be sent to its end.</summary>
    public static long BytesMax(int messageBytesMax) => Math.Max(BytesMin, 2L * messageBytesMax);

    /// <summary>Takes what the peer sends until it ends, or is quiet, or that long has passed, or the pace says so.</summary>
    public static async Task DiscardAsync(PipeReader input, int mostMs, TimeProvider time, LingerPace pace)
    {
        long startedAt = time.GetTimestamp();
        await using ITimer quiet = time.CreateTimer(
            static reader => ((PipeReader)reader!).CancelPendingRead(), input, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        while (mostMs - time.GetElapsedTime(startedAt).TotalMilliseconds is > 0 and double leftMs)
        {
            quiet.Change(TimeSpan.FromMilliseconds(Math.Min(QuietMs, leftMs)), Timeout.InfiniteTimeSpan);
            ReadResult read = await input.ReadAsync();
            quiet.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan); // A rest of ours is no silence of the peer's.
            long bytes = read.Buffer.Length;
            input.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted || read.IsCanceled || !await pace.RestAsync(bytes, time))
            {
                return;
            }
        }
    }
}

/// <summary>The pace of one connection to which we have said our last word. One call at a time.</summary>
/// <param name="messageBytesMax">The longest message of the session, or content of a request.</param>
internal sealed class LingerPace(int messageBytesMax)
{
    private long _bytesLeft = Linger.BytesMax(messageBytesMax);
    private long _bytesOfShare;

    /// <summary>It has sent too much: after the next rest it is cut off.</summary>
    public bool IsOver => _bytesLeft < 0;

    /// <summary>So many bytes were dropped. How long to rest, in milliseconds; 0 while there is something left of its share.</summary>
    /// <param name="bytes">Since the last call.</param>
    /// <param name="wasAll">There is nothing more to drop now, which ends the share.</param>
    public int Drop(long bytes, bool wasAll)
    {
        _bytesOfShare += bytes;
        if (!wasAll && _bytesOfShare < Linger.ShareBytes)
        {
            return 0;
        }

        _bytesLeft -= _bytesOfShare;
        _bytesOfShare = 0;
        return IsOver ? Linger.CutMs : Linger.IntervalMs;
    }

    /// <summary>So many bytes were dropped from a pipe: rests after a share of them. False when the peer is to be cut off.</summary>
    public async ValueTask<bool> RestAsync(long bytes, TimeProvider time)
    {
        if (Drop(bytes, wasAll: false) is > 0 and int restMs)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(restMs), time);
        }

        return !IsOver;
    }
}
