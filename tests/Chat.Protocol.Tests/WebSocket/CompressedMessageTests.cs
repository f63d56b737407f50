using System.Text;
using Chat.Protocol.WebSocket;
using CsCheck;
using static Chat.Protocol.Tests.WebSocket.ReceivedStream;

namespace Chat.Protocol.Tests.WebSocket;

/// <summary><see cref="MessageReader"/> once permessage-deflate is agreed (RFC 7692 section 6).</summary>
public class CompressedMessageTests
{
    private const int Rsv1 = 0x40;

    private static readonly byte[] Hello = Hex("f2 48 cd c9 c9 07 00"); // RFC 7692 section 7.2.3.1

    [Fact]
    public void Message_in_one_frame_and_in_fragments()
    {
        string[] expected = ["text Hello", "ping 70", "text Hello", "text plain", "binary 48656C6C6F"];
        byte[] stream =
        [
            .. Compressed(Opcode.Text, Hello),
            .. Compressed(Opcode.Text, Hello.AsSpan(0, 3), fin: false), .. Frame(Opcode.Ping, "p"), .. Frame(Opcode.Continuation, Hello.AsSpan(3)),
            .. Frame(Opcode.Text, "plain"),
            .. Compressed(Opcode.Binary, Hello),
        ];
        AssertItems(stream, expected);
    }

    [Fact]
    public void Empty_compressed_message() =>
        AssertItems([.. Compressed(Opcode.Text, [0]), .. Compressed(Opcode.Text, []), .. Compressed(Opcode.Text, Hello)], "text ", "text ", "text Hello");

    [Theory]
    [InlineData(Opcode.Continuation)]
    [InlineData(Opcode.Ping)]
    [InlineData(Opcode.Pong)]
    [InlineData(Opcode.Close)]
    public void Rsv1_is_for_the_first_frame_of_a_message(Opcode opcode) =>
        AssertItems([.. Compressed(Opcode.Text, Hello, fin: false), .. Compressed(opcode, [])], "refused 1002 a reserved bit is set");

    [Theory]
    [InlineData(0x20)]
    [InlineData(0x10)]
    public void Other_reserved_bits_stay_refused(int bit)
    {
        byte[] frame = Compressed(Opcode.Text, Hello);
        frame[0] |= (byte)bit;
        AssertItems(frame, "refused 1002 a reserved bit is set");
    }

    [Fact]
    public void Rsv1_without_agreement_is_refused() =>
        Assert.Equal(["refused 1002 a reserved bit is set"], Read(Compressed(Opcode.Text, Hello), []));

    [Fact]
    public void Text_is_checked_once_inflated_and_binary_is_not()
    {
        byte[] stored = Hex("00 03 00 fc ff ed a0 80 00");
        AssertItems([.. Compressed(Opcode.Binary, stored), .. Compressed(Opcode.Text, stored)], "binary EDA080", "refused 1007 text message is not UTF-8");
    }

    [Fact]
    public void What_cannot_be_inflated_is_refused() =>
        AssertItems(Compressed(Opcode.Text, [0x06]), "refused 1007 compressed message cannot be inflated");

    [Fact]
    public void Limit_is_that_of_the_inflated_message()
    {
        using var deflater = new Deflater(15);
        byte[] bomb = DeflaterTests.Compress(deflater, new byte[10_000], keepContext: false);
        byte[] fits = DeflaterTests.Compress(deflater, new byte[1000], keepContext: false);
        AssertItems([.. Compressed(Opcode.Binary, fits), .. Compressed(Opcode.Binary, bomb)], 1000, "binary " + new string('0', 2000), "refused 1009 message too big");
        AssertItems(Frame(Opcode.Binary, new byte[1001]), 1000, "refused 1009 message too big");
    }

    [Fact]
    public void Message_that_compression_made_longer_is_read_and_one_that_could_not_fit_is_refused_by_its_header()
    {
        byte[] noise = new byte[1000];
        new Random(1).NextBytes(noise);
        byte[] stored = [0, 0xE8, 0x03, 0x17, 0xFC, .. noise, 0];
        AssertItems(Compressed(Opcode.Binary, stored), 1000, "binary " + Convert.ToHexString(noise));
        AssertItems(Compressed(Opcode.Binary, new byte[1000 + 125 + 65]).AsSpan(0, 8).ToArray(), 1000, "refused 1009 message too big");
    }

    [Fact]
    public void Context_of_the_sender_is_taken_over_where_agreed()
    {
        byte[] stream = [.. Compressed(Opcode.Text, Hello), .. Frame(Opcode.Text, "not in the context"), .. Compressed(Opcode.Text, Hex("f2 00 11 00 00"))];
        Assert.Equal(["text Hello", "text not in the context", "text Hello"], Read(stream, [], isDeflateAgreed: true, keepsContext: true));
        Assert.Equal(
            ["text Hello", "text not in the context", "refused 1007 compressed message cannot be inflated"],
            Read(stream, [], isDeflateAgreed: true));
    }

    [Fact]
    public void Random_frames_give_the_same_items_however_they_are_cut() =>
        Gen.Select(Gen.Char['a', 'd'].Array[0, 2000], Gen.Int[0, 200].Array[0, 5], Gen.Int[0, 400].Array[0, 12], Gen.Bool).Sample((text, frames, cuts, keepsContext) =>
        {
            using var deflater = new Deflater(15);
            var stream = new List<byte>();
            for (int i = 0; i < 3; i++)
            {
                byte[] compressed = DeflaterTests.Compress(deflater, Encoding.ASCII.GetBytes(text), keepsContext);
                int start = 0;
                foreach (int length in frames)
                {
                    int end = Math.Min(compressed.Length, start + length);
                    stream.AddRange(start == 0 ? Compressed(Opcode.Text, compressed.AsSpan(0, end), false) : Frame(Opcode.Continuation, compressed.AsSpan(start, end - start), false));
                    start = end;
                    if (start == 0)
                    {
                        break;
                    }
                }

                bool isFirst = frames.Length == 0;
                stream.AddRange(isFirst ? Compressed(Opcode.Text, compressed) : Frame(Opcode.Continuation, compressed.AsSpan(start)));
            }

            List<string> whole = Read([.. stream], [], isDeflateAgreed: true, keepsContext: keepsContext);
            Assert.Equal(Enumerable.Repeat("text " + new string(text), 3), whole);
            Assert.Equal(whole, Read([.. stream], cuts, isDeflateAgreed: true, keepsContext: keepsContext, scratchBytes: 4096));
        });

    [Fact]
    public void Compressed_messages_allocate_nothing_once_the_pool_is_warm()
    {
        byte[] frame = Compressed(Opcode.Text, Hello);
        var scratch = new byte[4096];
        var reader = new MessageReader(FrameSender.Client, 1000, isDeflateAgreed: true);
        long before = 0;
        int texts = 0;
        for (int i = 0; i < 200; i++)
        {
            before = i == 100 ? GC.GetAllocatedBytesForCurrentThread() : before;
            texts += reader.Read(frame, scratch, out _, out _, out _, out _) == ReadStatus.Text ? 1 : 0;
        }

        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        reader.Dispose();
        Assert.Equal((200, 0L), (texts, allocated));
    }

    private static byte[] Compressed(Opcode opcode, ReadOnlySpan<byte> payload, bool fin = true)
    {
        byte[] frame = Frame(opcode, payload, fin);
        frame[0] |= Rsv1;
        return frame;
    }

    private static void AssertItems(byte[] stream, params string[] expected) => AssertItems(stream, MessageBytesMax, expected);

    private static void AssertItems(byte[] stream, int messageBytesMax, params string[] expected)
    {
        Assert.Equal(expected, Read(stream, [], messageBytesMax: messageBytesMax, scratchBytes: 4096, isDeflateAgreed: true));
        for (int index = 0; index <= stream.Length; index++)
        {
            Assert.Equal(expected, Read(stream, [index], messageBytesMax: messageBytesMax, isDeflateAgreed: true));
        }

        var oneByOne = new int[stream.Length];
        Array.Fill(oneByOne, 1);
        Assert.Equal(expected, Read(stream, oneByOne, messageBytesMax: messageBytesMax, isDeflateAgreed: true));
    }
}
