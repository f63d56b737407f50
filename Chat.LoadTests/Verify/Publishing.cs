namespace Chat.LoadTests.Verify;

/// <summary>
/// How fast one client makes messages, over all its connections: at a constant rate, as long as fewer than a window are unanswered.
/// One caller at a time.
/// </summary>
/// <param name="intervalMs">Between two messages.</param>
/// <param name="window">Unanswered messages at most.</param>
/// <param name="isOpen">Whether messages are made at all; asked each time.</param>
internal sealed class Publishing(double intervalMs, int window, Func<bool> isOpen)
{
    private double _nextMs = Environment.TickCount64;

    /// <summary>Makes what is due.</summary>
    public void Make(ClientLedger ledger, Random random)
    {
        long nowMs = Environment.TickCount64;
        // What could not be made in time, since there was no connection, is not made up for: that would be a burst after each fault.
        _nextMs = Math.Max(_nextMs, nowMs - 1000);
        while (_nextMs <= nowMs && isOpen() && ledger.Unanswered < window)
        {
            if (!ledger.TryMake(random))
            {
                return;
            }

            _nextMs += intervalMs;
        }
    }
}
