using System.Numerics;

namespace Chat.Server.Transport;

/// <summary>
/// Output buffers of one shard, pinned for good because the kernel reads them: powers of two from 1 KiB. Keeps some of
/// each size up to <see cref="KeptBytesMax"/>; the rest goes back to the collector, whose every few megabytes of pinned arrays cost a collection of
/// the oldest generation, and new ones the kernel's work for fresh pages. Only the shard's thread.
/// </summary>
internal sealed class PinnedBuffers
{
    /// <summary>Some acknowledgements, which hundreds of sockets owe at once after a commit.</summary>
    private const int BytesMin = 1024;
    private const int SizesKept = 7; // 1 to 64 KiB
    private const int BytesKeptPerSize = 512 * 1024;

    /// <summary>Of the longest: the backlogs of some members who read nothing, a megabyte each, who come and go.</summary>
    private const int LongestBytesKept = 4 * 1024 * 1024;

    /// <summary>The length of the longest buffers that are used again.</summary>
    public const int KeptBytesMax = BytesMin << (SizesKept - 1);

    private readonly Stack<byte[]>[] _kept = [.. Enumerable.Range(0, SizesKept).Select(static _ => new Stack<byte[]>())];

    /// <summary>A buffer of at least this many bytes, with any content.</summary>
    public byte[] Rent(int bytesMin)
    {
        int size = SizeOf(bytesMin);
        return size < SizesKept && _kept[size].TryPop(out byte[]? buffer)
            ? buffer
            : GC.AllocateUninitializedArray<byte>(BytesMin << size, pinned: true);
    }

    /// <summary>Gives a buffer of <see cref="Rent"/> back, once.</summary>
    public void Return(byte[] buffer)
    {
        int size = SizeOf(buffer.Length);
        if (size < SizesKept && _kept[size].Count < (size == SizesKept - 1 ? LongestBytesKept : BytesKeptPerSize) / buffer.Length)
        {
            _kept[size].Push(buffer);
        }
    }

    private static int SizeOf(int bytes) =>
        bytes <= BytesMin ? 0 : BitOperations.Log2(BitOperations.RoundUpToPowerOf2((uint)bytes)) - BitOperations.Log2(BytesMin);
}
