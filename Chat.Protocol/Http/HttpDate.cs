using System.Globalization;

namespace Chat.Protocol.Http;

/// <summary>
/// The value of the Date field (RFC 9110 section 6.6.1), formatted once a second. One instance serves all threads.
/// </summary>
public sealed class HttpDate(TimeProvider time)
{
    private volatile Second _current = new(time.GetUtcNow());

    /// <summary>
    /// IMF-fixdate of now, 29 bytes such as "Sun, 06 Nov 1994 08:49:37 GMT". The bytes never change; the next second has others.
    /// </summary>
    public ReadOnlySpan<byte> Now
    {
        get
        {
            DateTimeOffset now = time.GetUtcNow();
            Second second = _current;
            if (now.UtcTicks / TimeSpan.TicksPerSecond != second.Number)
            {
                // Two threads may both format the same second. Each value is whole and correct, so no lock is needed.
                second = new Second(now);
                _current = second;
            }

            return second.Text;
        }
    }

    private sealed class Second
    {
        private readonly byte[] _text = new byte[29];

        public Second(DateTimeOffset time)
        {
            Number = time.UtcTicks / TimeSpan.TicksPerSecond;
            bool fits = time.UtcDateTime.TryFormat(_text, out int written, "R", CultureInfo.InvariantCulture);
            Invariant.Require(fits && written == _text.Length);
        }

        public long Number { get; }

        public ReadOnlySpan<byte> Text => _text;
    }
}
