using System.Globalization;
using System.Text;
using Chat.Protocol.WebSocket;

namespace Chat.Protocol.Tests.WebSocket;

/// <summary>
/// Plays the part of a session: feeds a stream to a <see cref="MessageReader"/> cut as a test says, keeps what was not
/// consumed, and stops at a close frame or an error. Items come back as text, so that two readings compare as lists.
/// </summary>
internal static class ReceivedStream
{
    public const int MessageBytesMax = 1 << 20;

    /// <summary>Reads the stream cut into pieces of these lengths; the last piece is what remains.</summary>
    public static List<string> Read(
        ReadOnlySpan<byte> stream,
        ReadOnlySpan<int> pieceLengths,
        FrameSender sender = FrameSender.Client,
        int messageBytesMax = MessageBytesMax,
        int scratchBytes = MessageReader.ScratchBytesMin,
        bool isDeflateAgreed = false,
        bool keepsContext = false)
    {
        var items = new List<string>();
        var scratch = new byte[scratchBytes];
        var reader = new MessageReader(sender, messageBytesMax, isDeflateAgreed, keepsContext ? new InflateHistory() : null);
        int consumedInAll = 0;
        int arrived = 0;
        for (int piece = 0; piece <= pieceLengths.Length; piece++)
        {
            arrived = piece < pieceLengths.Length ? Math.Min(stream.Length, arrived + pieceLengths[piece]) : stream.Length;
            ReadStatus status;
            do
            {
                // A copy of the exact length: reading past what has arrived is out of bounds, not a lucky guess.
                byte[] input = stream[consumedInAll..arrived].ToArray();
                status = reader.Read(input, scratch, out int consumed, out _, out ReadOnlySpan<byte> payload, out ProtocolError error);
                consumedInAll += consumed;
                if (status != ReadStatus.NeedMore)
                {
                    items.Add(Describe(status, payload, error));
                }

                if (status is ReadStatus.Close or ReadStatus.Refused)
                {
                    reader.Dispose();
                    return items;
                }
            }
            while (status != ReadStatus.NeedMore);

            Assert.InRange(arrived - consumedInAll, 0, MessageReader.UnconsumedBytesMax);
        }

        reader.Dispose();
        return items;
    }

    /// <summary>Reads the stream whole, cut in two at every index, and byte by byte, and wants the same items each time.</summary>
    public static void AssertItems(byte[] stream, FrameSender sender, int messageBytesMax, params string[] expected)
    {
        // With a scratch for any message, and with the smallest one, which sends all larger messages the slow way.
        foreach (int scratchBytes in (int[])[Math.Max(stream.Length, MessageReader.ScratchBytesMin), MessageReader.ScratchBytesMin])
        {
            Assert.Equal(expected, Read(stream, [], sender, messageBytesMax, scratchBytes));
            for (int index = 0; index <= stream.Length; index++)
            {
                Assert.Equal(expected, Read(stream, [index], sender, messageBytesMax, scratchBytes));
            }

            var oneByOne = new int[stream.Length];
            Array.Fill(oneByOne, 1);
            Assert.Equal(expected, Read(stream, oneByOne, sender, messageBytesMax, scratchBytes));
        }
    }

    public static void AssertItems(byte[] stream, params string[] expected) =>
        AssertItems(stream, FrameSender.Client, MessageBytesMax, expected);

    /// <summary>A masked frame as a client sends it.</summary>
    public static byte[] Frame(Opcode opcode, ReadOnlySpan<byte> payload, bool fin = true, uint maskingKey = 0x3D21FA37)
    {
        var frame = new byte[FrameWriter.MaskedFrameBytes(payload.Length)];
        int written = FrameWriter.WriteMasked(frame, opcode, payload, maskingKey, fin);
        Assert.Equal(frame.Length, written);
        return frame;
    }

    public static byte[] Frame(Opcode opcode, string text, bool fin = true, uint maskingKey = 0x3D21FA37) =>
        Frame(opcode, Encoding.UTF8.GetBytes(text), fin, maskingKey);

    public static byte[] Hex(string hex) => Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal));

    private static string Describe(ReadStatus status, ReadOnlySpan<byte> payload, ProtocolError error) => status switch
    {
        ReadStatus.Text => "text " + Encoding.UTF8.GetString(payload),
        ReadStatus.Refused => "refused " + error.Code.ToString(CultureInfo.InvariantCulture) + " " + error.Reason,
        _ => status.ToString().ToLowerInvariant() + " " + Convert.ToHexString(payload),
    };
}
