namespace Chat.LoadTests.Verify;

/// <summary>Where a client breaks its own connection.</summary>
/// <param name="IsReceived">Counts bytes from the server; else bytes to it.</param>
/// <param name="Bytes">After how many bytes from now on.</param>
/// <param name="IsReset">With RST, which also destroys what is on its way; else with FIN.</param>
internal sealed record Cut(bool IsReceived, int Bytes, bool IsReset);

/// <summary>
/// Hands out cuts evenly over the time of a run, so that they meet all the other faults. Any thread. A cut that was taken is either
/// done or given back, since a connection may end of itself before its byte comes.
/// </summary>
/// <param name="total">How many; 0 for none.</param>
/// <param name="over">The time in which they are handed out.</param>
/// <param name="time">The clock.</param>
internal sealed class CutSchedule(long total, TimeSpan over, TimeProvider time)
{
    // Far enough for a few hundred events in, and a few dozen messages out. Most cuts come far earlier: see Draw.
    private const int ReceivedBytesMax = 64 * 1024;
    private const int SentBytesMax = 4 * 1024;

    private readonly long _startedAt = time.GetTimestamp();
    private long _taken;
    private long _done;

    public long Total => total;

    public long Done => Interlocked.Read(ref _done);

    public bool IsOver => Done >= total;

    /// <summary>A cut, when one is due.</summary>
    /// <param name="random">The client's own choices.</param>
    public Cut? TryTake(Random random)
    {
        double elapsed = time.GetElapsedTime(_startedAt) / over;
        long due = Math.Min(total, (long)(elapsed * total) + 1);
        if (Interlocked.Increment(ref _taken) > due)
        {
            GiveBack();
            return null;
        }

        return Draw(random);
    }

    public void GiveBack() => Interlocked.Decrement(ref _taken);

    public void Carried() => Interlocked.Increment(ref _done);

    /// <summary>
    /// The logarithm of the position is even: as many cuts within the first ten bytes as within the next hundred. So a connection is cut
    /// in the middle of the handshake's first line as often as between two frames a second later.
    /// </summary>
    private static Cut Draw(Random random)
    {
        bool isReceived = random.Next(2) == 0;
        int bytesMax = isReceived ? ReceivedBytesMax : SentBytesMax;
        return new Cut(isReceived, (int)Math.Exp(random.NextDouble() * Math.Log(bytesMax)), IsReset: random.Next(2) == 0);
    }
}
