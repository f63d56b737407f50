namespace Chat.Storage;

/// <summary>Doubling waits with jitter, so that many lanes or servers do not return to a restarted database in step.</summary>
internal struct Backoff(TimeSpan min, TimeSpan max)
{
    private double _nextMs = min.TotalMilliseconds;

    /// <returns>Between half of this attempt's wait and all of it.</returns>
    internal TimeSpan Next()
    {
        var waitMs = _nextMs * (0.5 + Random.Shared.NextDouble() / 2);
        _nextMs = Math.Min(_nextMs * 2, max.TotalMilliseconds);
        return TimeSpan.FromMilliseconds(waitMs);
    }
}
