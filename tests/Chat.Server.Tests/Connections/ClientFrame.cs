using System.Text;
using Chat.Protocol.WebSocket;

namespace Chat.Server.Tests.Connections;

/// <summary>Masked frames, as clients send them.</summary>
internal static class ClientFrame
{
    public static byte[] Of(Opcode opcode, ReadOnlySpan<byte> payload)
    {
        byte[] frame = new byte[FrameWriter.MaskedFrameBytes(payload.Length)];
        FrameWriter.WriteMasked(frame, opcode, payload, maskingKey: 0x12345678);
        return frame;
    }

    public static byte[] Text(string json) => Of(Opcode.Text, Encoding.UTF8.GetBytes(json));
}
