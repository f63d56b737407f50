using System.Text;
using Chat.Protocol.WebSocket;

namespace Chat.LoadTests.Clients;

/// <summary>
/// The message command as it is sent thousands of times: written once, its marker replaced for each message. One loop uses
/// it; the frame it gives out holds until the next one.
/// </summary>
internal sealed class MessageTemplate
{
    private readonly byte[] _command;
    private readonly byte[] _frame;
    private readonly int _contentMarker;
    private readonly int _nonceMarker;

    /// <param name="contentBytes">Length of the content, from <see cref="Marker.Bytes"/> on.</param>
    /// <param name="withNonce">Gives each message a nonce, the marker again, by which its ack can be timed.</param>
    public MessageTemplate(int contentBytes, bool withNonce)
    {
        string slot = new('~', Marker.Bytes);
        string filler = string.Concat(Enumerable.Range(0, contentBytes - Marker.Bytes).Select(static i => (char)('a' + i % 26)));
        string before = "{\"type\":\"message\",\"content\":\"";
        string content = before + slot + filler;
        string nonce = withNonce ? $"\",\"nonce\":\"{slot}" : "";
        _command = Encoding.ASCII.GetBytes(content + nonce + "\"}");
        _contentMarker = before.Length;
        _nonceMarker = withNonce ? content.Length + nonce.Length - Marker.Bytes : 0;
        _frame = new byte[FrameWriter.MaskedFrameBytes(_command.Length)];
    }

    public ReadOnlySpan<byte> Frame(Marker marker, uint maskingKey)
    {
        marker.Write(_command.AsSpan(_contentMarker));
        if (_nonceMarker > 0)
        {
            marker.Write(_command.AsSpan(_nonceMarker));
        }

        return _frame.AsSpan(0, FrameWriter.WriteMasked(_frame, Opcode.Text, _command, maskingKey));
    }
}
