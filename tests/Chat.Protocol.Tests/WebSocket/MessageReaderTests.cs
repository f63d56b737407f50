using System.Runtime.CompilerServices;
using System.Text;
using Chat.Protocol.WebSocket;
using CsCheck;
using static Chat.Protocol.Tests.WebSocket.ReceivedStream;

namespace Chat.Protocol.Tests.WebSocket;

public class MessageReaderTests
{
    [Theory]
    [InlineData("81 05 48 65 6c 6c 6f", "text Hello")]
    [InlineData("01 03 48 65 6c 80 02 6c 6f", "text Hello")]
    [InlineData("89 05 48 65 6c 6c 6f", "ping 48656C6C6F")]
    public void Rfc6455_section_5_7_frames_of_a_server(string hex, string item) =>
        AssertItems(Hex(hex), FrameSender.Server, MessageBytesMax, item);

    [Theory]
    [InlineData("81 85 37 fa 21 3d 7f 9f 4d 51 58", "text Hello")]
    [InlineData("8a 85 37 fa 21 3d 7f 9f 4d 51 58", "pong 48656C6C6F")]
    public void Rfc6455_section_5_7_frames_of_a_client(string hex, string item) => AssertItems(Hex(hex), item);

    [Theory]
    [InlineData("82 7E 01 00", 256)]
    [InlineData("82 7F 00 00 00 00 00 01 00 00", 65536)]
    public void Rfc6455_section_5_7_binary_message(string header, int payloadBytes)
    {
        byte[] payload = new byte[payloadBytes];
        new Random(57).NextBytes(payload);
        byte[] stream = [.. Hex(header), .. payload];
        string expected = "binary " + Convert.ToHexString(payload);
        Assert.Equal([expected], Read(stream, [], FrameSender.Server));
        Assert.Equal([expected], Read(stream, [1, 2, 3, 100, 1], FrameSender.Server));
    }

    [Fact]
    public void Messages_follow_each_other_in_one_input() =>
        AssertItems([.. Frame(Opcode.Text, "one"), .. Frame(Opcode.Binary, [2]), .. Frame(Opcode.Text, "")], "text one", "binary 02", "text ");

    [Fact]
    public void Message_larger_than_scratch_is_read()
    {
        string text = new('x', 300);
        AssertItems([.. Frame(Opcode.Text, text), .. Frame(Opcode.Text, "next")], "text " + text, "text next");
    }

    [Fact]
    public void Fragments_make_one_message() =>
        AssertItems(
            [
                .. Frame(Opcode.Text, "a", fin: false, maskingKey: 0x04030201), .. Frame(Opcode.Continuation, "", fin: false),
                .. Frame(Opcode.Continuation, "bcdef", fin: false), .. Frame(Opcode.Continuation, "g"), .. Frame(Opcode.Binary, [0xFF]),
            ],
            "text abcdefg",
            "binary FF");

    [Fact]
    public void Message_of_empty_fragments_is_empty() =>
        AssertItems([.. Frame(Opcode.Text, "", fin: false), .. Frame(Opcode.Continuation, "")], "text ");

    [Fact]
    public void Control_frames_between_fragments_come_first() =>
        AssertItems(
            [.. Frame(Opcode.Text, "a", fin: false), .. Frame(Opcode.Ping, "p"), .. Frame(Opcode.Pong, ""), .. Frame(Opcode.Continuation, "b")],
            "ping 70",
            "pong ",
            "text ab");

    [Fact]
    public void Close_between_fragments_ends_the_stream() =>
        AssertItems([.. Frame(Opcode.Text, "a", fin: false), .. Frame(Opcode.Close, Hex("03E8 6279")), .. Frame(Opcode.Continuation, "b")], "close 03E86279");

    [Fact]
    public void Continuation_without_a_message_is_refused() =>
        AssertItems([.. Frame(Opcode.Text, "a"), .. Frame(Opcode.Continuation, "b")], "text a", "refused 1002 continuation without a message to continue");

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void New_message_inside_a_fragmented_one_is_refused(bool fin) =>
        AssertItems([.. Frame(Opcode.Text, "a", fin: false), .. Frame(Opcode.Text, "b", fin)], "refused 1002 new message before the end of the last one");

    [Theory]
    [InlineData("", "close ")]
    [InlineData("03E8", "close 03E8")]
    [InlineData("0FA1 CEBA", "close 0FA1CEBA")]
    [InlineData("03", "refused 1002 close payload of one byte")]
    [InlineData("0000", "refused 1002 close code may not be sent")]
    [InlineData("03ED", "refused 1002 close code may not be sent")]
    [InlineData("03EE", "refused 1002 close code may not be sent")]
    [InlineData("03F7", "refused 1002 close code may not be sent")]
    [InlineData("0BB7", "refused 1002 close code may not be sent")]
    [InlineData("1388", "refused 1002 close code may not be sent")]
    [InlineData("03E8 CE", "refused 1007 close reason is not UTF-8")]
    [InlineData("03E8 FF", "refused 1007 close reason is not UTF-8")]
    public void Close_payload_is_checked(string payload, string item) => AssertItems(Frame(Opcode.Close, Hex(payload)), item);

    [Theory]
    [InlineData("CEBAE1BDB9CF83CEBCCEB5")]
    [InlineData("F48FBFBF")]
    public void Character_cut_by_a_fragment_boundary_is_valid(string hex)
    {
        byte[] text = Hex(hex);
        for (int cut = 0; cut <= text.Length; cut++)
        {
            byte[] stream = [.. Frame(Opcode.Text, text.AsSpan(0, cut), fin: false), .. Frame(Opcode.Continuation, text.AsSpan(cut))];
            AssertItems(stream, "text " + Encoding.UTF8.GetString(text));
        }
    }

    [Fact]
    public void Text_that_is_not_utf8_is_refused_and_binary_is_not() =>
        AssertItems([.. Frame(Opcode.Binary, Hex("EDA080")), .. Frame(Opcode.Text, Hex("EDA080"))], "binary EDA080", "refused 1007 text message is not UTF-8");

    [Fact]
    public void Text_that_turns_invalid_is_refused_before_its_frame_has_arrived()
    {
        byte[] text = Hex("CEBAE1BDB9CF83CEBCCEB5 F4 90 80 80 656469746564");
        byte[] frame = Frame(Opcode.Text, text);
        Assert.Equal([], Read(frame.AsSpan(0, 6 + 12), []));
        Assert.Equal(["refused 1007 text message is not UTF-8"], Read(frame.AsSpan(0, 6 + 13), []));
    }

    [Fact]
    public void Text_that_ends_inside_a_character_is_refused_at_its_end()
    {
        byte[] fragments = [.. Frame(Opcode.Text, Hex("61 E2"), fin: false), .. Frame(Opcode.Continuation, Hex("82"))];
        AssertItems(fragments, "refused 1007 text message is not UTF-8");
        AssertItems(Frame(Opcode.Text, Hex("61 E2 82")), "refused 1007 text message is not UTF-8");
    }

    [Fact]
    public void Payload_may_have_the_limit_and_not_one_byte_more()
    {
        AssertItems(Frame(Opcode.Text, "12345678"), FrameSender.Client, 8, "text 12345678");
        AssertItems(Frame(Opcode.Text, "123456789"), FrameSender.Client, 8, "refused 1009 message too big");
    }

    [Fact]
    public void Limit_counts_all_fragments_of_a_message_and_each_message_anew()
    {
        byte[] first = Frame(Opcode.Text, "12345", fin: false);
        AssertItems([.. first, .. Frame(Opcode.Continuation, "678"), .. Frame(Opcode.Text, "90")], FrameSender.Client, 8, "text 12345678", "text 90");
        AssertItems([.. first, .. Frame(Opcode.Ping, "not counted"), .. Frame(Opcode.Continuation, "6789")], FrameSender.Client, 8,
            "ping " + Convert.ToHexString("not counted"u8), "refused 1009 message too big");
    }

    [Fact]
    public void Million_one_byte_fragments_make_one_message()
    {
        byte[] middle = Frame(Opcode.Continuation, "x", fin: false);
        var stream = new byte[(1_000_000 * middle.Length) + 12];
        Frame(Opcode.Text, "x", fin: false).CopyTo(stream, 0);
        for (int i = 1; i < 1_000_000; i++)
        {
            middle.CopyTo(stream, i * middle.Length);
        }

        byte[] last = Frame(Opcode.Continuation, "");
        last.CopyTo(stream, 1_000_000 * middle.Length);
        var reader = new MessageReader(FrameSender.Client, MessageBytesMax);
        var scratch = new byte[125];
        long before = GC.GetAllocatedBytesForCurrentThread();
        ReadStatus status = reader.Read(stream, scratch, out int consumed, out _, out ReadOnlySpan<byte> payload, out _);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.Equal(ReadStatus.Text, status);

        // 256 bytes, 512, ... 1 MiB, when the pool has none of them; only the last two ever exist together.
        Assert.InRange(allocated, 0, 2.2 * 1_000_000);
        Assert.Equal((1_000_000 * middle.Length) + last.Length, consumed);
        Assert.Equal(1_000_000, payload.Length);
        Assert.False(payload.ContainsAnyExcept((byte)'x'));
        reader.Dispose();
    }

    [Fact]
    public void Continuation_frames_are_counted_with_what_is_consumed()
    {
        byte[] start = [.. Frame(Opcode.Text, "a", fin: false), .. Frame(Opcode.Continuation, "", fin: false), .. Frame(Opcode.Continuation, "b", fin: false)];
        byte[] stream = [.. start, .. Frame(Opcode.Ping, "p"), .. Frame(Opcode.Continuation, ""), .. Frame(Opcode.Text, "whole")];
        var reader = new MessageReader(FrameSender.Client, MessageBytesMax);
        var found = new List<(ReadStatus, int)>();
        ReadStatus status;
        do
        {
            status = reader.Read(stream, new byte[125], out int consumed, out int continuations, out _, out _);
            found.Add((status, continuations));
            stream = stream[consumed..];
        }
        while (status != ReadStatus.NeedMore);

        Assert.Equal([(ReadStatus.Ping, 2), (ReadStatus.Text, 1), (ReadStatus.Text, 0), (ReadStatus.NeedMore, 0)], found);
    }

    [Fact]
    public void Long_frame_is_consumed_as_it_arrives()
    {
        byte[] frame = Frame(Opcode.Binary, new byte[100_000]);
        var reader = new MessageReader(FrameSender.Client, MessageBytesMax);
        Assert.Equal(ReadStatus.NeedMore, reader.Read(frame.AsSpan(0, 1000), new byte[125], out int consumed, out _, out _, out _));
        Assert.Equal(1000, consumed);
        reader.Dispose();
    }

    [Fact]
    public void Promised_length_costs_nothing_until_its_bytes_arrive()
    {
        byte[] header = Hex("82 FF 0000000001000000 01020304");
        var scratch = new byte[125];
        new MessageReader(FrameSender.Client, 1 << 24).Read(header, scratch, out _, out _, out _, out _); // The runtime's own first time.
        long before = GC.GetAllocatedBytesForCurrentThread();
        var reader = new MessageReader(FrameSender.Client, 1 << 24);
        ReadStatus status = reader.Read(header, scratch, out int consumed, out _, out _, out _);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.Equal((ReadStatus.NeedMore, header.Length, 0L), (status, consumed, allocated));
    }

    [Fact]
    public void Idle_reader_is_small() => Assert.Equal(40, Unsafe.SizeOf<MessageReader>());

    [Fact]
    public void Scratch_too_small_for_a_control_frame_is_our_bug() =>
        Assert.Throws<InvariantException>(() => new MessageReader(FrameSender.Client, 10).Read(default, new byte[124], out _, out _, out _, out _));

    [Fact]
    public void Whole_messages_and_pings_allocate_nothing()
    {
        byte[] stream = [.. Frame(Opcode.Text, "{\"content\":\"héllo\"}"), .. Frame(Opcode.Ping, "p"), .. Frame(Opcode.Binary, new byte[1000])];
        var scratch = new byte[4096];
        Assert.Equal(300, CountItems(stream, scratch, rounds: 100));
        long before = GC.GetAllocatedBytesForCurrentThread();
        CountItems(stream, scratch, rounds: 100);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public void Fragmented_messages_allocate_nothing_once_the_pool_is_warm()
    {
        byte[] stream = [.. Frame(Opcode.Text, new string('a', 500), fin: false), .. Frame(Opcode.Continuation, new string('b', 500))];
        var scratch = new byte[4096];
        CountItems(stream, scratch, rounds: 10);
        long before = GC.GetAllocatedBytesForCurrentThread();
        CountItems(stream, scratch, rounds: 100);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public void Random_frames_give_the_same_items_however_they_are_cut()
    {
        Opcode[] opcodes = [Opcode.Continuation, Opcode.Continuation, Opcode.Text, Opcode.Binary, Opcode.Ping, Opcode.Pong];
        Gen<byte[]> frame = Gen.Select(
            Gen.Int[0, opcodes.Length - 1].Select(index => opcodes[index]),
            Gen.Bool,
            Gen.Char['a', 'z'].Array[0, 200],
            Gen.UInt,
            (opcode, fin, text, key) => opcode >= Opcode.Close
                ? Frame(opcode, Encoding.ASCII.GetBytes(text).AsSpan(0, Math.Min(125, text.Length)), true, key)
                : Frame(opcode, Encoding.ASCII.GetBytes(text), fin, key));
        Gen.Select(frame.Array[0, 8], Gen.Int[0, 200], Gen.Int[0, 400].Array[0, 12], Gen.Int[125, 300]).Sample((frames, opening, cuts, scratch) =>
        {
            // Random opcodes break the order of fragments soon; a valid opening makes sure that something is read before.
            byte[] stream = [.. Frame(Opcode.Text, new string('o', opening), fin: false), .. Frame(Opcode.Continuation, "!")];
            foreach (byte[] bytes in frames)
            {
                stream = [.. stream, .. bytes];
            }

            Assert.Equal(Read(stream, [], scratchBytes: 4096), Read(stream, cuts, scratchBytes: scratch));
        });
    }

    [Fact]
    public void Garbage_never_throws_and_gives_the_same_items_however_it_is_cut() =>
        Gen.Select(Gen.Byte.Array[0, 80], Gen.Byte.Array[0, 60], Gen.Int[0, 40].Array[0, 6]).Sample((garbage, text, cuts) =>
        {
            // Noise after a good frame, and noise where a header was made to look right (masked, short) so that it gets far.
            byte[] noise = [.. Frame(Opcode.Text, "ok"), .. garbage];
            Assert.Equal(Read(noise, []), Read(noise, cuts));
            byte[] framed = [.. Frame(Opcode.Text, text, fin: text.Length % 2 == 0), .. Frame(Opcode.Continuation, garbage), .. garbage];
            Assert.Equal(Read(framed, []), Read(framed, cuts));
        });

    private static int CountItems(byte[] stream, byte[] scratch, int rounds)
    {
        int items = 0;
        var reader = new MessageReader(FrameSender.Client, MessageBytesMax);
        for (int round = 0; round < rounds; round++)
        {
            ReadOnlySpan<byte> input = stream;
            while (reader.Read(input, scratch, out int consumed, out _, out _, out _) != ReadStatus.NeedMore)
            {
                items++;
                input = input[consumed..];
            }
        }

        reader.Dispose();
        return items;
    }
}
