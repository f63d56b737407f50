using System.Globalization;

namespace Chat.LoadTests.Loads;

/// <summary>A stretch of time in which the rate goes evenly from one value to another.</summary>
/// <param name="FromPerS">Messages a second at its start.</param>
/// <param name="ToPerS">Messages a second at its end.</param>
/// <param name="Seconds">How long it takes.</param>
internal readonly record struct Stretch(double FromPerS, double ToPerS, double Seconds)
{
    /// <summary>Messages in it: the area under the rate.</summary>
    public double Messages => (FromPerS + ToPerS) / 2 * Seconds;

    /// <summary>When, in seconds from its start, that many messages have become due.</summary>
    public double DueS(double messages)
    {
        // messages = from * t + (to - from) / (2 * seconds) * t^2, solved for t in the form that is sound for a slope of zero too.
        double halfSlope = (ToPerS - FromPerS) / (2 * Seconds);
        double root = Math.Sqrt(Math.Max(0, FromPerS * FromPerS + 4 * halfSlope * messages));
        return messages == 0 ? 0 : 2 * messages / (FromPerS + root);
    }
}

/// <summary>
/// An open-loop load: when each message is due, whatever the server does. Ramps, constant rates and spikes, one after the
/// other, as <c>--load</c> names them: <c>ramp:0-500:10,constant:500:20,spikes:100-1000:5:30</c>. Immutable.
/// </summary>
internal sealed class LoadPlan
{
    /// <summary>Part of a spike's period in which the high rate holds.</summary>
    private const double SpikePart = 0.2;

    private readonly Stretch[] _stretches;
    private readonly double[] _messagesBefore;
    private readonly double[] _secondsBefore;

    public LoadPlan(IReadOnlyList<Stretch> stretches)
    {
        _stretches = [.. stretches];
        _messagesBefore = new double[_stretches.Length + 1];
        _secondsBefore = new double[_stretches.Length + 1];
        for (int i = 0; i < _stretches.Length; i++)
        {
            _messagesBefore[i + 1] = _messagesBefore[i] + _stretches[i].Messages;
            _secondsBefore[i + 1] = _secondsBefore[i] + _stretches[i].Seconds;
        }
    }

    public IReadOnlyList<Stretch> Stretches => _stretches;

    public double Seconds => _secondsBefore[^1];

    /// <summary>Messages in the whole plan.</summary>
    public long Messages => (long)Math.Floor(_messagesBefore[^1] + 1e-6);

    public static LoadPlan Constant(double perS, double seconds) => new([new Stretch(perS, perS, seconds)]);

    /// <summary>This plan after so many seconds at the rate with which it starts, or at a tenth of its highest if it starts at nothing.</summary>
    public LoadPlan AfterWarmUp(double seconds)
    {
        if (seconds <= 0)
        {
            return this;
        }

        double highest = _stretches.Max(static stretch => Math.Max(stretch.FromPerS, stretch.ToPerS));
        double perS = _stretches[0].FromPerS > 0 ? _stretches[0].FromPerS : highest / 10;
        return new LoadPlan([new Stretch(perS, perS, seconds), .. _stretches]);
    }

    /// <summary>When a message is due, in seconds from the start of the plan.</summary>
    /// <param name="message">Its number, from 0 on.</param>
    /// <returns>Infinity behind the end of the plan.</returns>
    public double DueS(long message)
    {
        if (message >= Messages)
        {
            return double.PositiveInfinity;
        }

        int place = Array.BinarySearch(_messagesBefore, message);
        place = place < 0 ? ~place - 1 : place;
        while (_stretches[place].Messages == 0)
        {
            place++; // A pause: what comes behind it is due after it.
        }

        return _secondsBefore[place] + _stretches[place].DueS(message - _messagesBefore[place]);
    }

    /// <summary>Reads the form that <see cref="LoadPlan"/> describes.</summary>
    /// <param name="text">Parts with commas between: <c>constant:RATE:SECONDS</c>, <c>ramp:FROM-TO:SECONDS</c> or
    /// <c>spikes:LOW-HIGH:EVERY_SECONDS:SECONDS</c>, where the high rate holds for a fifth of each period.</param>
    /// <param name="plan">Valid when the answer is true.</param>
    /// <param name="error">What is wrong, for people, when the answer is false.</param>
    public static bool TryParse(string text, out LoadPlan plan, out string error)
    {
        plan = Constant(0, 0);
        error = "";
        var stretches = new List<Stretch>();
        foreach (string part in text.Split(',', StringSplitOptions.TrimEntries))
        {
            string[] fields = part.Split(':');
            bool isKnown = fields switch
            {
                ["constant", string rate, string seconds] => TryConstant(stretches, rate, seconds),
                ["ramp", string rates, string seconds] => TryRamp(stretches, rates, seconds),
                ["spikes", string rates, string every, string seconds] => TrySpikes(stretches, rates, every, seconds),
                _ => false,
            };
            if (!isKnown)
            {
                error = $"'{part}' is no load: use constant:RATE:SECONDS, ramp:FROM-TO:SECONDS or spikes:LOW-HIGH:EVERY:SECONDS.";
                return false;
            }
        }

        plan = new LoadPlan(stretches);
        return true;
    }

    private static bool TryConstant(List<Stretch> stretches, string rate, string seconds)
    {
        bool isSound = TryNumber(rate, out double perS) & TryNumber(seconds, out double length) && length > 0;
        stretches.Add(new Stretch(perS, perS, length));
        return isSound;
    }

    private static bool TryRamp(List<Stretch> stretches, string rates, string seconds)
    {
        bool isSound = TryRange(rates, out double from, out double to) & TryNumber(seconds, out double length) && length > 0;
        stretches.Add(new Stretch(from, to, length));
        return isSound;
    }

    private static bool TrySpikes(List<Stretch> stretches, string rates, string every, string seconds)
    {
        if (!TryRange(rates, out double low, out double high) || !TryNumber(every, out double period) || !TryNumber(seconds, out double length)
            || period <= 0 || length < period)
        {
            return false;
        }

        for (int i = 0; i < (int)(length / period); i++)
        {
            stretches.Add(new Stretch(low, low, period * (1 - SpikePart)));
            stretches.Add(new Stretch(high, high, period * SpikePart));
        }

        return true;
    }

    private static bool TryRange(string text, out double from, out double to)
    {
        string[] ends = text.Split('-');
        to = 0;
        return TryNumber(ends[0], out from) & ends.Length == 2 && TryNumber(ends[^1], out to);
    }

    private static bool TryNumber(string text, out double value) =>
        double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out value);
}
