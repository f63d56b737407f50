using System.Buffers.Binary;
using Chat.Server.Transport;
using CsCheck;

namespace Chat.Server.Tests.Transport;

public sealed class SocketOutputTests
{
    private const int LongestFrameBytes = 70_000;

    private enum Step
    {
        Append,
        Prepend,
        Advance,
        DropWholeFrames,
        Release,
    }

    /// <summary>A frame of a server, each of whose payload bytes differs from those beside it.</summary>
    private static byte[] Frame(int frameBytes, int seed)
    {
        byte[] frame = new byte[frameBytes];
        frame[0] = 0x81;
        int header = frameBytes < 128 ? 2 : frameBytes < 4 + 65_536 ? 4 : 10;
        int payload = frameBytes - header;
        switch (header)
        {
            case 2:
                frame[1] = (byte)payload;
                break;
            case 4:
                frame[1] = 126;
                BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(2), (ushort)payload);
                break;
            default:
                frame[1] = 127;
                BinaryPrimitives.WriteInt64BigEndian(frame.AsSpan(2), payload);
                break;
        }

        for (int i = header; i < frameBytes; i++)
        {
            frame[i] = (byte)(seed + (i * 7));
        }

        return frame;
    }

    private static byte[] TakeAll(ref SocketOutput output, PinnedBuffers buffers)
    {
        var taken = new List<byte>();
        while (!output.IsEmpty)
        {
            taken.AddRange(output.Next);
            output.Advance(buffers, output.Next.Length);
        }

        return [.. taken];
    }

    /// <summary>What is sent is what was written, in its order, whatever is appended, put before, sent in part and dropped: held to a list of frames.</summary>
    [Fact]
    public void It_sends_what_was_written_in_its_order() =>
        Gen.Select(Gen.Enum<Step>(), Gen.OneOf(Gen.Int[8, 127], Gen.Int[130, 4_000], Gen.Int[20_000, LongestFrameBytes]), Gen.Int[0, 1_000_000])
            .Array[0, 60]
            .Sample(
                steps =>
                {
                    var buffers = new PinnedBuffers();
                    var output = new SocketOutput();
                    var left = new List<byte[]>(); // What is left of each frame; only the first may have begun.
                    bool hasBegun = false;
                    bool hasAdvanced = false; // Since it was empty: no range is sent then, and so none comes back.
                    int seed = 0;
                    foreach ((Step step, int bytes, int number) in steps)
                    {
                        byte[] frame = Frame(bytes, ++seed);
                        switch (step)
                        {
                            case Step.Append:
                                output.Append(buffers, frame);
                                left.Add(frame);
                                break;
                            case Step.Prepend when !hasBegun && !hasAdvanced:
                                int sent = number % bytes;
                                output.Prepend(buffers, frame, sent);
                                left.Insert(0, frame[sent..]);
                                hasBegun = sent > 0;
                                break;
                            case Step.Advance when left.Count > 0:
                                int count = number % (output.Next.Length + 1);
                                bool isLeft = output.Advance(buffers, count);
                                for (; left.Count > 0 && count >= left[0].Length; left.RemoveAt(0))
                                {
                                    count -= left[0].Length;
                                    hasBegun = false;
                                }

                                if (count > 0)
                                {
                                    left[0] = left[0][count..];
                                    hasBegun = true;
                                }

                                hasAdvanced = true;
                                if (isLeft != (left.Count > 0))
                                {
                                    return false;
                                }

                                break;
                            case Step.DropWholeFrames:
                                output.DropWholeFrames(buffers);
                                left.RemoveRange(hasBegun ? 1 : 0, left.Count - (hasBegun ? 1 : 0));
                                break;
                            case Step.Release:
                                output.Release(buffers);
                                left.Clear();
                                hasBegun = false;
                                break;
                        }

                        hasAdvanced &= left.Count > 0;
                        if (output.Length != left.Sum(static rest => rest.Length) || output.IsEmpty != (left.Count == 0))
                        {
                            return false;
                        }
                    }

                    return TakeAll(ref output, buffers).AsSpan().SequenceEqual(left.SelectMany(static rest => rest).ToArray());
                },
                iter: 5_000);

    [Fact]
    public void A_backlog_grows_without_being_copied_and_its_buffers_are_used_again()
    {
        var buffers = new PinnedBuffers();
        var output = new SocketOutput();
        byte[] range = Frame(PinnedBuffers.KeptBytesMax, 1);
        output.Append(buffers, range);
        FillAndEmpty(ref output, buffers, range);

        long allocated = GC.GetAllocatedBytesForCurrentThread();
        FillAndEmpty(ref output, buffers, range);
        allocated = GC.GetAllocatedBytesForCurrentThread() - allocated;

        Assert.True(allocated < PinnedBuffers.KeptBytesMax, $"{allocated} bytes were allocated"); // The list's nodes, and no buffer.
    }

    private static void FillAndEmpty(ref SocketOutput output, PinnedBuffers buffers, byte[] range)
    {
        ref byte first = ref System.Runtime.InteropServices.MemoryMarshal.GetReference(output.Next);
        for (int i = 0; i < 16; i++)
        {
            output.Append(buffers, range);
        }

        Assert.True(System.Runtime.CompilerServices.Unsafe.AreSame(ref first, ref System.Runtime.InteropServices.MemoryMarshal.GetReference(output.Next)));
        for (int i = 0; i < 16; i++)
        {
            Assert.True(output.Next.SequenceEqual(range));
            Assert.True(output.Advance(buffers, range.Length));
        }
    }
}
