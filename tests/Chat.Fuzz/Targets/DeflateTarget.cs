using System.Buffers;
using System.IO.Compression;
using Chat.Protocol.Tests.WebSocket;
using Chat.Protocol.WebSocket;

namespace Chat.Fuzz.Targets;

/// <summary>
/// Compressed messages of one connection. What is inflated is what RFC 1951 says bit by bit, and what System.IO.Compression says; it
/// stays within the limit; and what we compress comes back.
/// </summary>
internal static class DeflateTarget
{
    private const int SmallMessageBytes = 200;
    private const int LargeMessageBytes = 64 * 1024;

    // The slow inflaters have no limit, and a byte may stand for a thousand.
    private const int CompressedBytesMax = 512;

    // What a sender takes off the end of a message (RFC 7692 section 7.2.1).
    private static ReadOnlySpan<byte> Tail => [0, 0, 0xFF, 0xFF];

    public static void Run(FuzzInput input)
    {
        byte[] data = input.Data.Length > CompressedBytesMax ? input.Data[..CompressedBytesMax] : input.Data;
        int bytesMax = input.HasOption(0) ? SmallMessageBytes : LargeMessageBytes;
        InflateHistory? history = input.HasOption(1) ? new InflateHistory() : null;
        InflateHistory? sameHistory = input.HasOption(1) ? new InflateHistory() : null;
        using var inflater = new Inflater();
        int from = 0;
        foreach (int cut in input.HasOption(2) ? input.Cuts() : [data.Length])
        {
            byte[] compressed = data[from..Math.Min(cut, data.Length)];
            from += compressed.Length;
            byte[] window = history is null ? [] : history.Window.ToArray();
            InflateStatus status = Inflate(inflater, compressed, scratchBytes: 4096, bytesMax, history, out byte[] message);
            Check.Same(status, Inflate(inflater, compressed, scratchBytes: 16, bytesMax, sameHistory, out byte[] same), "a small scratch gives the same");
            Check.SameBytes(message, same, "a small scratch gives the same");
            Compare(compressed, window, status, message, bytesMax);
            if (status != InflateStatus.Done || from == data.Length)
            {
                break; // The connection would end here.
            }
        }

        RoundTrip(data, windowBits: Deflater.WindowBitsMin + (data.Length % (Deflater.WindowBitsMax - Deflater.WindowBitsMin + 1)), inflater);
    }

    private static InflateStatus Inflate(
        Inflater inflater, byte[] compressed, int scratchBytes, int bytesMax, InflateHistory? history, out byte[] message)
    {
        byte[] scratch = new byte[scratchBytes];
        InflateStatus status = inflater.Inflate(compressed, scratch, bytesMax, history, out byte[]? rented, out int length);
        Check.That(rented is null || status == InflateStatus.Done, "only a message that is done has an array");
        message = status == InflateStatus.Done ? (rented ?? scratch).AsSpan(0, length).ToArray() : [];
        Check.That(message.Length <= bytesMax, "a message stays within its limit");
        if (rented is not null)
        {
            ArrayPool<byte>.Shared.Return(rented);
        }

        return status;
    }

    private static void Compare(byte[] compressed, byte[] window, InflateStatus status, byte[] message, int bytesMax)
    {
        if (compressed.Length == 0)
        {
            return; // We take it for an empty message; others look for the byte that one has (RFC 7692 section 7.2.3.6).
        }

        byte[]? slow = SlowMessage(compressed, window, out bool hasFinalBlock);
        if (status == InflateStatus.Done)
        {
            Check.That(slow is not null, "what we inflate can be inflated");
            Check.SameBytes(slow, message, "it is inflated to what RFC 1951 says");
        }
        else if (status == InflateStatus.TooBig)
        {
            Check.That(slow is null || slow.Length > bytesMax, "what is too big is over the limit");
        }

        // The stream knows no window of an earlier message, and stops at the first block that says it is the last.
        if (window.Length == 0 && !hasFinalBlock && status != InflateStatus.TooBig)
        {
            // Of what ends inside a block it gives what there was, of which the slow inflater gives nothing.
            byte[]? ofRuntime = RuntimeMessage(compressed);
            bool isWhole = slow is not null && ofRuntime is not null;
            Check.Same(isWhole, status == InflateStatus.Done, "we take what both others take");
            Check.That(!isWhole || message.AsSpan().SequenceEqual(ofRuntime), "the runtime's stream gives the same message");
        }
    }

    /// <summary>
    /// Null for what is no whole message: with the tail that its sender took off, or without one, behind a block that says it is the last
    /// or when it was left on.
    /// </summary>
    private static byte[]? SlowMessage(byte[] compressed, byte[] window, out bool hasFinalBlock)
    {
        var withTail = new SlowInflate([.. compressed, .. Tail], window);
        var without = new SlowInflate(compressed, window);
        bool isMessage = TryRun(withTail);
        hasFinalBlock = withTail.HasFinalBlock;
        return isMessage ? withTail.Message
            : TryRun(without) && (without.EndsWithFinalBlock || compressed.AsSpan().EndsWith(Tail)) ? without.Message
            : null;
    }

    private static bool TryRun(SlowInflate inflate)
    {
        try
        {
            inflate.Run();
            return true;
        }
        catch (Exception exception) when (exception is InvalidDataException or ArgumentException or IndexOutOfRangeException)
        {
            return false;
        }
    }

    private static byte[]? RuntimeMessage(byte[] compressed)
    {
        // The tail, unless the sender left it on, and a block that says it is the last and holds nothing.
        using var input = new MemoryStream([.. compressed, .. compressed.AsSpan().EndsWith(Tail) ? [] : Tail, 3, 0]);
        using var stream = new DeflateStream(input, CompressionMode.Decompress);
        using var output = new MemoryStream();
        try
        {
            stream.CopyTo(output);
            return output.ToArray();
        }
        catch (InvalidDataException)
        {
            return null;
        }
    }

    private static void RoundTrip(byte[] data, int windowBits, Inflater inflater)
    {
        using var deflater = new Deflater(windowBits);
        var history = new InflateHistory();
        byte[] compressed = new byte[Deflater.BytesMax(data.Length)];
        for (int i = 0; i < 2; i++)
        {
            int length = deflater.Compress(data, compressed, keepContext: true);
            InflateStatus status = Inflate(inflater, compressed[..length], scratchBytes: 64, LargeMessageBytes, history, out byte[] message);
            Check.Same(InflateStatus.Done, status, "what we compress can be inflated");
            Check.SameBytes(data, message, "what we compress comes back");
        }
    }
}
