using System.Text;
using Chat.Fuzz.Oracles;
using Chat.Protocol;
using Chat.Protocol.WebSocket;

namespace Chat.Fuzz.Targets;

/// <summary>
/// A stream of frames. However it arrives, and whatever scratch there is, the same messages come out; without compression they are what
/// a reader that takes a byte at a time makes of it, and what is wrong is refused at the very byte that is wrong.
/// </summary>
internal static class FrameTarget
{
    private const int SmallMessageBytes = 160;
    private const int LargeMessageBytes = 64 * 1024;

    public static void Run(FuzzInput input)
    {
        var reading = new Reading(
            input.Data,
            input.HasOption(0) ? FrameSender.Server : FrameSender.Client,
            IsDeflateAgreed: input.HasOption(1),
            KeepsContext: input.HasOption(2),
            input.HasOption(3) ? SmallMessageBytes : LargeMessageBytes);
        string whole = reading.Read([input.Data.Length], LargeMessageBytes, out _);
        Check.Same(whole, reading.Read([input.Data.Length], MessageReader.ScratchBytesMin, out _), "a small scratch gives the same");
        Check.Same(whole, reading.Read(input.Cuts(), MessageReader.ScratchBytesMin, out _), "arriving in pieces gives the same");
        Check.Same(whole, reading.Read(input.Cuts(), LargeMessageBytes, out _), "arriving in pieces for a large scratch gives the same");
        int[] bytewise = [.. Enumerable.Range(1, input.Data.Length)];
        Check.Same(whole, reading.Read(bytewise, LargeMessageBytes, out int endedAt), "arriving a byte at a time gives the same");
        if (!reading.IsDeflateAgreed)
        {
            var slow = new SlowMessages(reading.Sender, reading.MessageBytesMax);
            foreach (byte b in input.Data)
            {
                slow.Push(b);
            }

            Check.Same(slow.Items, whole, "the slow reader sees the same");
            Check.Same(slow.EndedAt ?? input.Data.Length, endedAt, "the end comes with its byte");
        }
    }

    private sealed record Reading(byte[] Bytes, FrameSender Sender, bool IsDeflateAgreed, bool KeepsContext, int MessageBytesMax)
    {
        /// <summary>The messages as lines, and how many bytes had arrived when a close or a refusal ended it (else all of them).</summary>
        public string Read(int[] cuts, int scratchBytes, out int endedAt)
        {
            var items = new StringBuilder();
            byte[] scratch = new byte[scratchBytes];
            var reader = new MessageReader(Sender, MessageBytesMax, IsDeflateAgreed, KeepsContext ? new InflateHistory() : null);
            int start = 0;
            foreach (int arrived in cuts)
            {
                ReadStatus status;
                do
                {
                    status = reader.Read(
                        Bytes.AsSpan(start..arrived), scratch, out int consumed, out _, out ReadOnlySpan<byte> payload, out ProtocolError error);
                    start += consumed;
                    Check.Same(status == ReadStatus.Refused, !error.IsNone, "an error says that it is one");
                    Check.That(payload.Length <= MessageBytesMax || payload.Length <= FrameReader.ControlPayloadBytesMax, "a message stays within its limit");
                    if (status != ReadStatus.NeedMore)
                    {
                        items.Append(status).Append(' ').Append(status == ReadStatus.Refused ? error.Code : Convert.ToHexString(payload)).Append('\n');
                    }

                    if (status is ReadStatus.Close or ReadStatus.Refused)
                    {
                        endedAt = arrived;
                        reader.Dispose();
                        return items.ToString();
                    }
                }
                while (status != ReadStatus.NeedMore);

                Check.That(arrived - start <= MessageReader.UnconsumedBytesMax, "little is left unconsumed");
            }

            endedAt = Bytes.Length;
            reader.Dispose();
            return items.ToString();
        }
    }
}
