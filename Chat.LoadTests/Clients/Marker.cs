using System.Buffers.Binary;

namespace Chat.LoadTests.Clients;

/// <summary>
/// What a message carries inside its content: when it was due to be sent, by whom, and as its how-manieth. Latency is
/// measured from it end to end, from the intended time, so that a late sender hides nothing.
/// <code>~tttttttppppnnnn   a tilde, then the time (t), the publisher (p) and the number (n)</code>
/// A character holds 5 bits as <c>'0' + value</c>: printable, never escaped in JSON, and decoded without a table. Sixteen
/// bytes, so that the shortest message that is worth measuring has room for it.
/// </summary>
/// <param name="DueUs">The intended time in microseconds, modulo 2^35 (9.5 hours): only differences count.</param>
/// <param name="Publisher">The connection's index in the whole run, modulo 2^20.</param>
/// <param name="Number">Counts a publisher's messages, modulo 2^20.</param>
internal readonly record struct Marker(long DueUs, int Publisher, int Number)
{
    /// <summary>Its length in bytes.</summary>
    public const int Bytes = 16;

    public const byte First = (byte)'~';

    /// <summary>Where <see cref="Publisher"/> and <see cref="Number"/> begin again.</summary>
    public const int IndexCount = 1 << 20;

    private const long TimeCount = 1L << 35;
    private const ulong Zeros = 0x3030303030303030;
    private const ulong FirstAndZeros = 0x7E30303030303030;
    private const ulong ValueBits = 0x1F1F1F1F1F1F1F1F;

    public static Marker At(long dueNs, int publisher, int number) =>
        new(dueNs / Clock.NsPerUs % TimeCount, publisher % IndexCount, number % IndexCount);

    /// <summary>Microseconds from the intended time to <paramref name="nowUs"/>; 0 when the clock says it came before it was due.</summary>
    public long AgeUs(long nowUs)
    {
        long age = (nowUs - DueUs) & (TimeCount - 1);
        return age < TimeCount / 2 ? age : 0;
    }

    public void Write(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt64BigEndian(destination, FirstAndZeros + Spread((ulong)DueUs));
        BinaryPrimitives.WriteUInt64BigEndian(destination[8..], Zeros + Spread(((ulong)Publisher << 20) | (uint)Number));
    }

    /// <summary>Finds the first marker in a message event, or in an answer that repeats a nonce.</summary>
    /// <returns>False when there is none: the message is not of a load test.</returns>
    public static bool TryFind(ReadOnlySpan<byte> payload, out Marker marker)
    {
        int place = 0;
        return TryFind(payload, ref place, out marker);
    }

    /// <param name="payload">The event.</param>
    /// <param name="place">Where the last one was, and then where this one is: events in a row differ in a digit or two.</param>
    /// <param name="marker">Valid when the answer is true.</param>
    public static bool TryFind(ReadOnlySpan<byte> payload, ref int place, out Marker marker)
    {
        marker = default;
        int start = (uint)place < (uint)payload.Length && payload[place] == First ? place : place = payload.IndexOf(First);
        if (start < 0 || payload.Length - start < Bytes)
        {
            return false;
        }

        ulong time = BinaryPrimitives.ReadUInt64BigEndian(payload[start..]) - FirstAndZeros;
        ulong who = BinaryPrimitives.ReadUInt64BigEndian(payload[(start + 8)..]) - Zeros;
        if (((time | who) & ~ValueBits) != 0)
        {
            return false;
        }

        ulong publisherAndNumber = Gather(who);
        marker = new Marker((long)Gather(time), (int)(publisherAndNumber >> 20), (int)(publisherAndNumber & (IndexCount - 1)));
        return true;
    }

    /// <summary>The low 5 bits of each of the 8 bytes, put together: 40 bits. In three steps, each of which joins neighbours.</summary>
    private static ulong Gather(ulong bytes)
    {
        bytes = ((bytes >> 3) & 0x03E003E003E003E0) | (bytes & 0x001F001F001F001F);
        bytes = ((bytes >> 6) & 0x000FFC00000FFC00) | (bytes & 0x000003FF000003FF);
        return ((bytes >> 12) & 0x000000FFFFF00000) | (bytes & 0x00000000000FFFFF);
    }

    /// <summary>The way back: 5 bits into each byte.</summary>
    private static ulong Spread(ulong value)
    {
        ulong bytes = 0;
        for (int i = 0; i < 8; i++)
        {
            bytes |= ((value >> (5 * i)) & 0x1F) << (8 * i);
        }

        return bytes;
    }
}
