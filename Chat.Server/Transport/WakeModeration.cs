using System.Diagnostics;

namespace Chat.Server.Transport;

/// <summary>
/// Adaptive interrupt moderation, as network cards have it, for a thread that sockets wake: when it is woken thousands of times a second, its turns
/// are kept an interval apart, and one takes in what came meanwhile. A wake-up saved is a context switch less, here and at the readers, who get in one
/// burst what came in several.
/// <para>
/// Senders who wait for an answer before they go on would only be slowed down. What comes in tells them from the others, as for the profiles of
/// net_dim (Linux, lib/dim): with turns kept apart it falls. So each time begins with a trial of one window, held against the window before it, and ends after a second
/// with another look.
/// </para>
/// Only the shard's thread, but for <see cref="IsOn"/>. Times are of <see cref="Stopwatch"/>.
/// </summary>
/// <param name="intervalUs">From the beginning of one turn to that of the next, in microseconds; 0 keeps none apart.</param>
internal sealed class WakeModeration(int intervalUs)
{
    /// <summary>What one decision rests on: long enough that the traffic of two windows compares.</summary>
    public const int WindowMs = 50;

    /// <summary>2,000 a second: at an interval of a millisecond half of them are saved.</summary>
    public const int WakesPerWindowMin = 2 * WindowMs;

    /// <summary>What must still come in, of what came in before.</summary>
    public const double InputShareMin = 0.75;

    /// <summary>After so many it is looked at again whether somebody is slowed down.</summary>
    public const int WindowsModerated = 20;

    /// <summary>How long a failed trial rules out the next one; doubled each time, so that it costs those who were slowed down a hundredth of their time.</summary>
    public const int WindowsRefrainedMin = 10;
    public const int WindowsRefrainedMax = 160;

    private static readonly long WindowTicks = WindowMs * Stopwatch.Frequency / 1000;

    private readonly long _intervalTicks = intervalUs * Stopwatch.Frequency / 1_000_000;
    private volatile Phase _phase;
    private long _turnStart;
    private long _windowStart;
    private int _wakes;
    private long _input;
    private double _inputRateBefore;
    private int _windowsLeft;
    private int _windowsRefrained = WindowsRefrainedMin;

    private enum Phase
    {
        Watching,
        Trying,
        Moderating,
        Refraining,
    }

    /// <summary>Turns are kept apart. Any thread.</summary>
    public bool IsOn => _phase is Phase.Trying or Phase.Moderating;

    /// <summary>When the next turn may begin: a time in the past when at once.</summary>
    public long NextTurn => IsOn ? _turnStart + _intervalTicks : 0;

    /// <summary>A turn begins.</summary>
    /// <param name="now">When.</param>
    /// <param name="wasAsleep">
    /// The thread had nothing to do and was woken, or has slept until <see cref="NextTurn"/>. Not when it is saturated: it finds the next event waiting.
    /// </param>
    public void BeginTurn(long now, bool wasAsleep)
    {
        _turnStart = now;
        _wakes += wasAsleep ? 1 : 0;
        long elapsed = now - _windowStart;
        if (elapsed < WindowTicks)
        {
            return;
        }

        Decide(elapsed, (double)_input / elapsed);
        _windowStart = now;
        _wakes = 0;
        _input = 0;
    }

    /// <summary>Bytes have been received.</summary>
    public void OnInput(int bytes) => _input += bytes;

    private void Decide(long elapsed, double inputRate)
    {
        bool isOver = elapsed >= 2 * WindowTicks; // Traffic came to an end in it, and says nothing about who was slowed down.
        switch (_phase)
        {
            case Phase.Watching when !isOver && _wakes >= WakesPerWindowMin && _intervalTicks > 0:
                _inputRateBefore = inputRate;
                _phase = Phase.Trying;
                break;
            case Phase.Trying or Phase.Moderating when isOver:
                _phase = Phase.Watching;
                break;
            case Phase.Trying when inputRate < _inputRateBefore * InputShareMin:
                _phase = Phase.Refraining;
                _windowsLeft = _windowsRefrained;
                _windowsRefrained = Math.Min(_windowsRefrained * 2, WindowsRefrainedMax);
                break;
            case Phase.Trying:
                _phase = Phase.Moderating;
                _windowsLeft = WindowsModerated;
                _windowsRefrained = WindowsRefrainedMin;
                break;
            case Phase.Moderating or Phase.Refraining when --_windowsLeft == 0:
                _phase = Phase.Watching;
                break;
        }
    }
}
