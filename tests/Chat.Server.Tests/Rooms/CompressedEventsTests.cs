using System.Buffers;
using System.Text;
using Chat.Protocol.WebSocket;
using Chat.Server.Rooms;

namespace Chat.Server.Tests.Rooms;

public sealed class CompressedEventsTests
{
    private const string Prefix = """{"type":"message","room_id":1,"seq":""";

    private static string Suffix(int seq) => $$""","id":{{seq}},"content":"{{new string((char)('a' + (seq % 26)), 300)}}"}""";

    [Fact]
    public void Events_with_a_form_take_its_place_wherever_the_range_is_split()
    {
        var events = new CompressedEvents();
        for (int seq = 3; seq <= 5; seq += 2)
        {
            events.Add(seq, Encoding.UTF8.GetBytes(Prefix), Encoding.UTF8.GetBytes(Suffix(seq)));
        }

        byte[] range = [.. Enumerable.Range(2, 4).SelectMany(Framed)];
        for (int split = 0; split <= range.Length; split++)
        {
            var output = new ArrayBufferWriter<byte>();
            Assert.True(events.TryWrite(range.AsSpan(0, split), range.AsSpan(split), seq: 2, output));
            Assert.Equal(["2", "deflated 3", "4", "deflated 5"], Read(output.WrittenSpan));
        }
    }

    [Fact]
    public void Range_without_any_form_is_left_alone()
    {
        var events = new CompressedEvents();
        Assert.False(events.TryWrite(Framed(1), default, seq: 1, new ArrayBufferWriter<byte>()));
        events.Add(1, Encoding.UTF8.GetBytes(Prefix), Encoding.UTF8.GetBytes(Suffix(1)));
        Assert.False(events.TryWrite(Framed(2), default, seq: 2, new ArrayBufferWriter<byte>()));
    }

    [Fact]
    public void Event_that_compression_makes_longer_has_no_form()
    {
        var events = new CompressedEvents();
        events.Add(1, "{"u8, "}"u8);
        Assert.Equal(0, events.LastSeq);
    }

    [Fact]
    public void Form_that_was_pushed_out_is_the_rings_bytes_again()
    {
        var events = new CompressedEvents();
        for (int seq = 1; seq <= 65; seq++)
        {
            events.Add(seq, Encoding.UTF8.GetBytes(Prefix), Encoding.UTF8.GetBytes(Suffix(seq)));
        }

        var output = new ArrayBufferWriter<byte>();
        Assert.True(events.TryWrite([.. Framed(1), .. Framed(2)], default, seq: 1, output));
        Assert.Equal(["1", "deflated 2"], Read(output.WrittenSpan));
    }

    [Fact]
    public void Forms_that_were_given_back_are_the_rings_bytes_and_new_ones_come()
    {
        var events = new CompressedEvents();
        events.Add(1, Encoding.UTF8.GetBytes(Prefix), Encoding.UTF8.GetBytes(Suffix(1)));
        events.Clear();
        Assert.False(events.TryWrite(Framed(1), default, seq: 1, new ArrayBufferWriter<byte>()));

        events.Add(2, Encoding.UTF8.GetBytes(Prefix), Encoding.UTF8.GetBytes(Suffix(2)));
        var output = new ArrayBufferWriter<byte>();
        Assert.True(events.TryWrite([.. Framed(1), .. Framed(2)], default, seq: 1, output));
        Assert.Equal(["1", "deflated 2"], Read(output.WrittenSpan));
    }

    [Fact]
    public async Task A_room_that_has_been_quiet_keeps_none()
    {
        await using RoomSetup setup = await RoomSetup.OpenAsync();
        setup.Room.CountCompressing(1);
        setup.Offer("x");
        setup.Room.Compressed!.Add(1, Encoding.UTF8.GetBytes(Prefix), Encoding.UTF8.GetBytes(Suffix(1)));

        setup.Room.Sweep(long.MaxValue / 2, 0);

        Assert.False(setup.Room.Compressed.TryWrite(Framed(1), default, seq: 1, new ArrayBufferWriter<byte>()));
    }

    private static byte[] Framed(int seq)
    {
        byte[] payload = Encoding.UTF8.GetBytes(Prefix + seq + Suffix(seq));
        byte[] frame = new byte[FrameWriter.HeaderBytes(payload.Length) + payload.Length];
        FrameWriter.WriteFrame(frame, Opcode.Text, payload);
        return frame;
    }

    /// <summary>The seqs of framed events, each checked against what its event says.</summary>
    private static List<string> Read(ReadOnlySpan<byte> frames)
    {
        var seqs = new List<string>();
        var reader = new MessageReader(FrameSender.Server, 10_000, isDeflateAgreed: true);
        byte[] scratch = new byte[10_000];
        while (!frames.IsEmpty)
        {
            bool isDeflated = (frames[0] & 0x40) != 0;
            Assert.Equal(ReadStatus.Text, reader.Read(frames, scratch, out int consumed, out _, out ReadOnlySpan<byte> payload, out _));
            string text = Encoding.UTF8.GetString(payload);
            int seq = int.Parse(text[Prefix.Length..text.IndexOf(",\"id\"", StringComparison.Ordinal)]);
            Assert.Equal(Prefix + seq + Suffix(seq), text);
            seqs.Add(isDeflated ? $"deflated {seq}" : $"{seq}");
            frames = frames[consumed..];
        }

        reader.Dispose();
        return seqs;
    }
}
