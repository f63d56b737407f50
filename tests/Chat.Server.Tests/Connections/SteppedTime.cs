namespace Chat.Server.Tests.Connections;

/// <summary>A clock that moves when told, also the one for spans of time.</summary>
internal sealed class SteppedTime : TimeProvider
{
    private long _nowMs = 1_000_000;

    public override long TimestampFrequency => 1000;

    public void Step(int ms) => _nowMs += ms;

    public override long GetTimestamp() => _nowMs;
}
