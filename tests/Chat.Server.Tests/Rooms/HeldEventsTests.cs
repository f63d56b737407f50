using System.Buffers;
using Chat.Server.Rooms;
using CsCheck;

namespace Chat.Server.Tests.Rooms;

public sealed class HeldEventsTests
{
    private static readonly Gen<int> _bytes = Gen.OneOf(Gen.Const(0), Gen.Int[1, 300], Gen.Int[2_000, 40_000]);

    [Fact]
    public void Nothing_is_held_at_the_start_or_at_no_place()
    {
        var held = new HeldEvents();

        Assert.True(held.Since(held.End).IsEmpty);
        held.Append("one"u8, "two"u8);
        Assert.True(held.Since(default).IsEmpty);
        Assert.True(held.Since(held.End).IsEmpty);
    }

    [Fact]
    public void What_was_given_out_stays_as_it_is()
    {
        var held = new HeldEvents();
        HeldEvents.Place start = held.End;
        held.Append("one"u8, default);
        ReadOnlySequence<byte> given = held.Since(start);

        for (int i = 0; i < 10_000; i++)
        {
            held.Append("more"u8, "and more"u8);
        }

        Assert.Equal("one"u8, given.ToArray());
    }

    /// <summary>Whenever somebody begins, they get what was appended since, in pieces that end where a range does.</summary>
    [Fact]
    public void Each_gets_what_was_appended_since() =>
        Gen.Select(Gen.Bool, _bytes, _bytes).Array[0, 40].Sample(steps =>
        {
            var held = new HeldEvents();
            var ranges = new List<byte[]>();
            var places = new List<(HeldEvents.Place Place, int RangesBefore)> { (held.End, 0) };
            foreach ((bool isAppend, int firstBytes, int secondBytes) in steps)
            {
                if (isAppend)
                {
                    byte[] range = Range(firstBytes + secondBytes, ranges.Count);
                    held.Append(range.AsSpan(0, firstBytes), range.AsSpan(firstBytes));
                    ranges.Add(range);
                }
                else
                {
                    places.Add((held.End, ranges.Count));
                }
            }

            foreach ((HeldEvents.Place place, int rangesBefore) in places)
            {
                byte[][] since = [.. ranges.Skip(rangesBefore)];
                ReadOnlySequence<byte> given = held.Since(place);
                Assert.True(given.ToArray().AsSpan().SequenceEqual(Joined(since)), "The bytes are not those that were appended.");
                Assert.Equal(given.Length, held.End.Position - place.Position);
                Assert.Subset(EndsOf(since.Select(static range => range.Length)), EndsOf(PiecesOf(given)));
            }
        });

    private static byte[] Range(int bytes, int seed)
    {
        byte[] range = new byte[bytes];
        for (int i = 0; i < bytes; i++)
        {
            range[i] = (byte)(seed + (i * 7));
        }

        return range;
    }

    // As spans: a case may be megabytes, and byte by byte they took most of the test's time.
    private static ReadOnlySpan<byte> Joined(byte[][] ranges)
    {
        var joined = new ArrayBufferWriter<byte>();
        foreach (byte[] range in ranges)
        {
            joined.Write(range);
        }

        return joined.WrittenSpan;
    }

    private static List<int> PiecesOf(ReadOnlySequence<byte> sequence)
    {
        var lengths = new List<int>();
        foreach (ReadOnlyMemory<byte> piece in sequence)
        {
            lengths.Add(piece.Length);
        }

        return lengths;
    }

    private static HashSet<int> EndsOf(IEnumerable<int> lengths)
    {
        int end = 0;
        return [0, .. lengths.Select(length => end += length)];
    }
}
