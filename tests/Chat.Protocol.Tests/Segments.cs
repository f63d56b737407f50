using System.Buffers;

namespace Chat.Protocol.Tests;

/// <summary>The same bytes as sequences that are cut in different places, as a socket may cut them.</summary>
public static class Segments
{
    public static ReadOnlySequence<byte> Whole(byte[] bytes) => new(bytes);

    /// <summary>Two segments, the first of <paramref name="index"/> bytes. Either may be empty.</summary>
    public static ReadOnlySequence<byte> SplitAt(byte[] bytes, int index) => Of(bytes.AsMemory(0, index), bytes.AsMemory(index));

    public static ReadOnlySequence<byte> BytePerSegment(byte[] bytes)
    {
        var segments = new ReadOnlyMemory<byte>[bytes.Length];
        for (int index = 0; index < bytes.Length; index++)
        {
            segments[index] = bytes.AsMemory(index, 1);
        }

        return Of(segments);
    }

    public static ReadOnlySequence<byte> Of(params ReadOnlyMemory<byte>[] segments)
    {
        if (segments.Length == 0)
        {
            return ReadOnlySequence<byte>.Empty;
        }

        var first = new Segment(segments[0], previous: null);
        Segment last = first;
        foreach (ReadOnlyMemory<byte> memory in segments.AsSpan(1))
        {
            last = new Segment(memory, last);
        }

        return new ReadOnlySequence<byte>(first, 0, last, last.Memory.Length);
    }

    private sealed class Segment : ReadOnlySequenceSegment<byte>
    {
        public Segment(ReadOnlyMemory<byte> memory, Segment? previous)
        {
            // A copy, so that reading past the end of a segment cannot find the right byte by luck.
            Memory = memory.ToArray();
            if (previous is not null)
            {
                RunningIndex = previous.RunningIndex + previous.Memory.Length;
                previous.Next = this;
            }
        }
    }
}
