using System.Runtime.CompilerServices;
using Chat.Protocol.WebSocket;
using CsCheck;

namespace Chat.Protocol.Tests.WebSocket;

public class FrameReaderTests
{
    private const int PayloadBytesMax = 1 << 24;

    [Theory]
    [InlineData("81 80 00000000", Opcode.Text, true, 0, 6)]
    [InlineData("02 85 37FA213D", Opcode.Binary, false, 5, 6)]
    [InlineData("80 FD 37FA213D", Opcode.Continuation, true, 125, 6)]
    [InlineData("81 FE 007E 37FA213D", Opcode.Text, true, 126, 8)]
    [InlineData("81 FE FFFF 37FA213D", Opcode.Text, true, 65535, 8)]
    [InlineData("82 FF 0000000000010000 37FA213D", Opcode.Binary, true, 65536, 14)]
    [InlineData("88 80 37FA213D", Opcode.Close, true, 0, 6)]
    [InlineData("89 FD 37FA213D", Opcode.Ping, true, 125, 6)]
    [InlineData("8A 81 37FA213D", Opcode.Pong, true, 1, 6)]
    public void Header_is_read_when_whole_and_asks_for_more_at_every_prefix(string hex, Opcode opcode, bool fin, int payloadLength, int headerBytes)
    {
        byte[] input = ReceivedStream.Hex(hex);
        for (int length = 0; length < input.Length; length++)
        {
            Assert.False(TryRead(input.AsSpan(0, length), out _, out ProtocolError none));
            Assert.True(none.IsNone);
        }

        Assert.True(TryRead(input, out FrameHeader header, out ProtocolError error));
        Assert.True(error.IsNone);
        Assert.Equal((opcode, fin, false), (header.Opcode, header.Fin, header.Rsv1));
        Assert.Equal((payloadLength, headerBytes), (header.PayloadLength, header.HeaderBytes));
        Assert.Equal(opcode >= Opcode.Close, header.IsControl);
        Assert.Equal(hex.EndsWith("37FA213D", StringComparison.Ordinal) ? 0x3D21FA37u : 0, header.MaskingKey);
    }

    [Theory]
    [InlineData("C1", "a reserved bit is set")]
    [InlineData("A1", "a reserved bit is set")]
    [InlineData("91", "a reserved bit is set")]
    [InlineData("83", "reserved opcode")]
    [InlineData("87", "reserved opcode")]
    [InlineData("8B", "reserved opcode")]
    [InlineData("8F", "reserved opcode")]
    [InlineData("08", "control frame is fragmented")]
    [InlineData("09", "control frame is fragmented")]
    [InlineData("81 05", "frame from the client is not masked")]
    [InlineData("88 FE", "control frame payload over 125 bytes")]
    [InlineData("89 FF", "control frame payload over 125 bytes")]
    [InlineData("81 FE 0000", "payload length is not encoded in the fewest bytes")]
    [InlineData("81 FE 007D", "payload length is not encoded in the fewest bytes")]
    [InlineData("82 FF 0000000000000000", "payload length is not encoded in the fewest bytes")]
    [InlineData("82 FF 000000000000FFFF", "payload length is not encoded in the fewest bytes")]
    [InlineData("82 FF 8000000000000000", "most significant bit of the payload length is set")]
    [InlineData("82 FF FFFFFFFFFFFFFFFF", "most significant bit of the payload length is set")]
    public void Header_is_refused_with_1002_at_the_byte_that_breaks_a_rule(string hex, string reason)
    {
        byte[] input = ReceivedStream.Hex(hex + "00 00 00 00 00 00");
        int firstInvalid = ReceivedStream.Hex(hex).Length;
        for (int length = 0; length <= input.Length; length++)
        {
            Assert.False(TryRead(input.AsSpan(0, length), out _, out ProtocolError error));
            Assert.Equal(length < firstInvalid ? 0 : CloseCode.ProtocolError, error.Code);
            Assert.Equal(length < firstInvalid ? "" : reason, error.Reason);
        }
    }

    [Theory]
    [InlineData("81 FE 0400", 1023)]
    [InlineData("82 FF 0000000001000001", PayloadBytesMax)]
    [InlineData("82 FF 0000000100000001", PayloadBytesMax)]
    [InlineData("82 FF 7FFFFFFFFFFFFFFF", int.MaxValue)]
    [InlineData("80 81", 0)]
    public void Payload_over_the_limit_is_refused_with_1009(string hex, int payloadBytesMax)
    {
        byte[] input = ReceivedStream.Hex(hex);
        Assert.False(FrameReader.TryReadHeader(input, FrameSender.Client, false, payloadBytesMax, out _, out ProtocolError error));
        Assert.Equal(CloseCode.MessageTooBig, error.Code);
    }

    [Fact]
    public void Control_frame_has_its_own_limit()
    {
        byte[] input = ReceivedStream.Hex("89 FD 37FA213D");
        Assert.True(FrameReader.TryReadHeader(input, FrameSender.Client, false, payloadBytesMax: 0, out _, out _));
    }

    [Theory]
    [InlineData("C1 80 00000000", true)]
    [InlineData("42 80 00000000", true)]
    [InlineData("C0 80 00000000", false)]
    [InlineData("C9 80 00000000", false)]
    [InlineData("E1 80 00000000", false)]
    public void Rsv1_when_negotiated_is_for_the_first_frame_of_a_message(string hex, bool isAllowed)
    {
        byte[] input = ReceivedStream.Hex(hex);
        Assert.Equal(isAllowed, FrameReader.TryReadHeader(input, FrameSender.Client, true, 0, out FrameHeader header, out ProtocolError error));
        Assert.Equal(isAllowed, header.Rsv1);
        Assert.Equal(isAllowed ? 0 : CloseCode.ProtocolError, error.Code);
    }

    [Fact]
    public void Masked_frame_from_a_server_is_refused()
    {
        byte[] masked = ReceivedStream.Hex("81 85 37FA213D");
        Assert.False(FrameReader.TryReadHeader(masked, FrameSender.Server, false, 125, out _, out ProtocolError error));
        Assert.Equal("frame from the server is masked", error.Reason);

        byte[] unmasked = ReceivedStream.Hex("81 05");
        Assert.True(FrameReader.TryReadHeader(unmasked, FrameSender.Server, false, 125, out FrameHeader header, out _));
        Assert.Equal((2, 5, 0u), (header.HeaderBytes, header.PayloadLength, header.MaskingKey));
    }

    [Fact]
    public void Random_bytes_give_a_header_an_error_or_a_wish_for_more_and_more_bytes_never_change_the_answer() =>
        Gen.Byte.Array[0, 20].Sample(bytes =>
        {
            bool previous = false;
            ProtocolError previousError = default;
            FrameHeader previousHeader = default;
            for (int length = 0; length <= bytes.Length; length++)
            {
                bool isRead = TryRead(bytes.AsSpan(0, length), out FrameHeader header, out ProtocolError error);
                Assert.False(isRead && !error.IsNone);
                if (previous || !previousError.IsNone)
                {
                    Assert.Equal((previous, previousHeader, previousError), (isRead, header, error));
                }

                if (!isRead && error.IsNone)
                {
                    Assert.True(length < FrameReader.HeaderBytesMax);
                }

                (previous, previousHeader, previousError) = (isRead, header, error);
            }
        });

    [Fact]
    public void Header_written_for_any_length_reads_back() =>
        Gen.Select(Gen.OneOf(Gen.Int[0, 130], Gen.Int[65_530, 65_540], Gen.Int[0, 1 << 24]), Gen.Bool).Sample((payloadLength, fin) =>
        {
            Span<byte> header = stackalloc byte[FrameWriter.HeaderBytesMax];
            int written = FrameWriter.WriteHeader(header, Opcode.Text, payloadLength, fin);
            Assert.Equal(FrameWriter.HeaderBytes(payloadLength), written);
            Assert.True(FrameReader.TryReadHeader(header[..written], FrameSender.Server, false, 1 << 24, out FrameHeader read, out _));
            Assert.Equal((Opcode.Text, fin, payloadLength, written), (read.Opcode, read.Fin, read.PayloadLength, read.HeaderBytes));
        });

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool TryRead(ReadOnlySpan<byte> input, out FrameHeader header, out ProtocolError error)
    {
        // A copy of the exact length, so that reading on would be out of bounds.
        byte[] exact = input.ToArray();
        return FrameReader.TryReadHeader(exact, FrameSender.Client, rsv1Allowed: false, PayloadBytesMax, out header, out error);
    }
}
