using System.Globalization;
using System.Text;
using Chat.Protocol.Messages;
using CsCheck;

namespace Chat.Protocol.Tests.Messages;

public class UtcTimestampTests
{
    [Theory]
    [InlineData(0, "1970-01-01T00:00:00.000Z")]
    [InlineData(-1, "1969-12-31T23:59:59.999Z")]
    [InlineData(951_782_399_999, "2000-02-28T23:59:59.999Z")]
    [InlineData(951_782_400_000, "2000-02-29T00:00:00.000Z")]
    [InlineData(1_795_370_818_123, "2026-11-22T18:06:58.123Z")]
    [InlineData(-62_135_596_800_000, "0001-01-01T00:00:00.000Z")]
    [InlineData(253_402_300_799_999, "9999-12-31T23:59:59.999Z")]
    public void Time_is_written_with_milliseconds(long unixMs, string expected) => Assert.Equal(expected, Write(unixMs));

    [Fact]
    public void Any_time_is_written_as_the_runtime_formats_it() =>
        Gen.Long[-62_135_596_800_000, 253_402_300_799_999].Sample(unixMs =>
            Write(unixMs) == DateTimeOffset.FromUnixTimeMilliseconds(unixMs).ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture));

    private static string Write(long unixMs)
    {
        Span<byte> destination = stackalloc byte[UtcTimestamp.Bytes];
        Assert.Equal(UtcTimestamp.Bytes, UtcTimestamp.Write(destination, unixMs));
        return Encoding.ASCII.GetString(destination);
    }
}
