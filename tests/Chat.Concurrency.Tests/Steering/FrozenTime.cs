namespace Chat.Concurrency.Tests.Steering;

/// <summary>A clock that stands still and timers that never fire: time would make a schedule depend on the machine.</summary>
internal sealed class FrozenTime : TimeProvider
{
    public override long TimestampFrequency => 1000;

    public override long GetTimestamp() => 1_000_000;

    public override DateTimeOffset GetUtcNow() => DateTimeOffset.UnixEpoch;

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) => new NoTimer();

    private sealed class NoTimer : ITimer
    {
        public bool Change(TimeSpan dueTime, TimeSpan period) => true;

        public void Dispose()
        {
        }

        public ValueTask DisposeAsync() => default;
    }
}
