using System.Text;
using Chat.Protocol.WebSocket;

namespace Chat.Protocol.Tests.WebSocket;

/// <summary>The examples of RFC 6455 section 5.7, written; <see cref="MessageReaderTests"/> reads them.</summary>
public class FrameWriterTests
{
    [Fact]
    public void Rfc6455_section_5_7_unmasked_text()
    {
        var frame = new byte[7];
        Assert.Equal(7, FrameWriter.WriteFrame(frame, Opcode.Text, "Hello"u8));
        Assert.Equal("810548656C6C6F", Convert.ToHexString(frame));
    }

    [Fact]
    public void Rfc6455_section_5_7_masked_text() =>
        Assert.Equal("818537FA213D7F9F4D5158", Convert.ToHexString(ReceivedStream.Frame(Opcode.Text, "Hello", maskingKey: 0x3D21FA37)));

    [Fact]
    public void Rfc6455_section_5_7_fragmented_unmasked_text()
    {
        var frames = new byte[9];
        int first = FrameWriter.WriteFrame(frames, Opcode.Text, "Hel"u8, fin: false);
        FrameWriter.WriteFrame(frames.AsSpan(first), Opcode.Continuation, "lo"u8);
        Assert.Equal("010348656C80026C6F", Convert.ToHexString(frames));
    }

    [Fact]
    public void Rfc6455_section_5_7_unmasked_ping_and_masked_pong()
    {
        var ping = new byte[7];
        FrameWriter.WriteFrame(ping, Opcode.Ping, "Hello"u8);
        Assert.Equal("890548656C6C6F", Convert.ToHexString(ping));
        Assert.Equal("8A8537FA213D7F9F4D5158", Convert.ToHexString(ReceivedStream.Frame(Opcode.Pong, "Hello", maskingKey: 0x3D21FA37)));
    }

    [Fact]
    public void Rfc6455_section_5_7_headers_of_256_bytes_and_64_kibibytes()
    {
        var header = new byte[FrameWriter.HeaderBytesMax];
        Assert.Equal(4, FrameWriter.WriteHeader(header, Opcode.Binary, 256));
        Assert.Equal("827E0100", Convert.ToHexString(header.AsSpan(0, 4)));
        Assert.Equal(10, FrameWriter.WriteHeader(header, Opcode.Binary, 65536));
        Assert.Equal("827F0000000000010000", Convert.ToHexString(header));
    }

    [Fact]
    public void Close_frame_holds_code_and_reason()
    {
        var frame = new byte[FrameWriter.ControlFrameBytesMax];
        int written = FrameWriter.WriteClose(frame, CloseCode.Draining, "see you"u8);
        Assert.Equal("88090FA1" + Convert.ToHexString("see you"u8), Convert.ToHexString(frame.AsSpan(0, written)));
        ushort code = MessageReader.ReadClose(frame.AsSpan(2, written - 2), out ReadOnlySpan<byte> reason);
        Assert.Equal((4001, "see you"), (code, Encoding.UTF8.GetString(reason)));
    }

    [Fact]
    public void Longest_close_reason_fits_and_one_byte_more_is_our_bug()
    {
        var frame = new byte[FrameWriter.ControlFrameBytesMax + 1];
        Assert.Equal(FrameWriter.ControlFrameBytesMax, FrameWriter.WriteClose(frame, 1000, new byte[FrameWriter.CloseReasonBytesMax]));
        Assert.Throws<InvariantException>(() => FrameWriter.WriteClose(frame, 1000, new byte[FrameWriter.CloseReasonBytesMax + 1]));
        Assert.Throws<InvariantException>(() => FrameWriter.WriteClose(frame, 1005, default));
    }
}
