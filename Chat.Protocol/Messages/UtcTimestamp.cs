namespace Chat.Protocol.Messages;

/// <summary>
/// Times on the wire: RFC 3339, UTC, always milliseconds, so always 24 bytes: 2026-11-22T18:06:58.123Z.
/// A fixed width lets clients compare them as text.
/// </summary>
public static class UtcTimestamp
{
    /// <summary>Length in bytes of every timestamp.</summary>
    public const int Bytes = 24;

    private const long MsPerDay = 24 * 60 * 60 * 1000;

    /// <summary>Days from 0001-01-01 to 1970-01-01.</summary>
    private const int UnixEpochDayNumber = 719_162;

    /// <summary>
    /// Writes <paramref name="unixMs"/>, milliseconds since 1970-01-01T00:00Z, which may be negative. Years 1 to 9999:
    /// our clocks and our store know no others.
    /// </summary>
    /// <returns><see cref="Bytes"/>.</returns>
    public static int Write(Span<byte> destination, long unixMs)
    {
        destination = destination[..Bytes];
        (long days, long msOfDay) = Math.DivRem(unixMs, MsPerDay);
        if (msOfDay < 0)
        {
            msOfDay += MsPerDay;
            days--;
        }

        // The time of day is plain division; only the date needs a calendar, and this splits it in one computation.
        DateOnly.FromDayNumber(checked((int)(days + UnixEpochDayNumber))).Deconstruct(out int year, out int month, out int day);
        var ms = (int)msOfDay;
        WriteTwo(destination, 0, year / 100);
        WriteTwo(destination, 2, year % 100);
        destination[4] = (byte)'-';
        WriteTwo(destination, 5, month);
        destination[7] = (byte)'-';
        WriteTwo(destination, 8, day);
        destination[10] = (byte)'T';
        WriteTwo(destination, 11, ms / 3_600_000);
        destination[13] = (byte)':';
        WriteTwo(destination, 14, ms / 60_000 % 60);
        destination[16] = (byte)':';
        WriteTwo(destination, 17, ms / 1000 % 60);
        destination[19] = (byte)'.';
        destination[20] = (byte)('0' + ms / 100 % 10);
        WriteTwo(destination, 21, ms % 100);
        destination[23] = (byte)'Z';
        return Bytes;
    }

    private static void WriteTwo(Span<byte> destination, int index, int value)
    {
        destination[index] = (byte)('0' + value / 10);
        destination[index + 1] = (byte)('0' + value % 10);
    }
}
