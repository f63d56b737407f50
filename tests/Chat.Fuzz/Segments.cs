using System.Buffers;

namespace Chat.Fuzz;

/// <summary>Received bytes as the sequence that a pipe would show.</summary>
internal static class Segments
{
    /// <summary>The bytes from <paramref name="start"/> to <paramref name="end"/>, a segment for each arrival.</summary>
    public static ReadOnlySequence<byte> Of(byte[] bytes, int[] cuts, int start, int end)
    {
        Segment? first = null;
        Segment? last = null;
        int from = start;
        foreach (int cut in cuts)
        {
            int to = Math.Min(cut, end);
            if (to > from)
            {
                last = new Segment(bytes[from..to], last);
                first ??= last;
                from = to;
            }
        }

        return first is null ? ReadOnlySequence<byte>.Empty : new ReadOnlySequence<byte>(first, 0, last!, last!.Memory.Length);
    }

    private sealed class Segment : ReadOnlySequenceSegment<byte>
    {
        public Segment(byte[] bytes, Segment? previous)
        {
            Memory = bytes;
            if (previous is not null)
            {
                RunningIndex = previous.RunningIndex + previous.Memory.Length;
                previous.Next = this;
            }
        }
    }
}
