using System.IO.Compression;
using System.Text;
using Chat.Protocol.WebSocket;

namespace Chat.Attacks;

/// <summary>Bytes that attackers send.</summary>
internal static class Requests
{
    public static byte[] Handshake(string path, string token, string fields = "") => Bytes(
        $"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        + $"Sec-WebSocket-Version: 13\r\nAuthorization: Bearer {token}\r\n{fields}\r\n");

    public static byte[] Post(string path, string json) => Bytes(
        $"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {json.Length}\r\n\r\n{json}");

    public static byte[] Bytes(string text) => Encoding.Latin1.GetBytes(text);

    public static byte[] Text(string text) => Frame(0x81, Encoding.UTF8.GetBytes(text));

    /// <param name="first">FIN, the reserved bits and the opcode.</param>
    /// <param name="payload">What it carries.</param>
    public static byte[] Frame(int first, ReadOnlySpan<byte> payload)
    {
        byte[] frame = new byte[FrameWriter.MaskedFrameBytes(payload.Length)];
        FrameWriter.WriteMasked(frame, Opcode.Binary, payload, 0x9D41C2B3);
        frame[0] = (byte)first;
        return frame;
    }

    /// <summary>So many equal pieces in one.</summary>
    public static byte[] Repeat(byte[] piece, int count)
    {
        byte[] bytes = new byte[piece.Length * count];
        for (int i = 0; i < count; i++)
        {
            piece.CopyTo(bytes, i * piece.Length);
        }

        return bytes;
    }

    /// <summary>A compressed message that stands for so many zeros (RFC 7692): a thousandth of them.</summary>
    public static byte[] Bomb(int bytes)
    {
        using var compressed = new MemoryStream();
        using (var deflate = new DeflateStream(compressed, CompressionLevel.SmallestSize, leaveOpen: true))
        {
            deflate.Write(new byte[bytes]);
        }

        return Frame(0xC1, compressed.GetBuffer().AsSpan(0, (int)compressed.Length));
    }
}
