using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using Chat.Protocol.WebSocket;

namespace Chat.Fuzz.Oracles;

/// <summary>
/// RFC 6455 sections 5 to 8 without extensions, a byte at a time and the obvious way: each rule is looked at with the byte that
/// decides it. Says what <see cref="MessageReader"/> has to find, and at which byte.
/// </summary>
internal sealed class SlowMessages(FrameSender sender, int messageBytesMax)
{
    private readonly StringBuilder _items = new();
    private readonly List<byte> _header = [];
    private readonly List<byte> _payload = [];
    private readonly List<byte> _message = [];
    private readonly List<byte> _character = [];
    private int _messageOpcode;
    private ulong _length;
    private bool _isInPayload;
    private int _pushed;

    /// <summary>As lines: status and payload, or the close code of a refusal.</summary>
    public string Items => _items.ToString();

    /// <summary>The bytes up to the one that ended it, with a close frame or a refusal; null when it has not ended.</summary>
    public int? EndedAt { get; private set; }

    private int Opcode => _header[0] & 0xF;

    private bool IsControl => Opcode >= 8;

    private bool IsFinal => _header[0] >= 0x80;

    public void Push(byte b)
    {
        if (EndedAt is not null)
        {
            return;
        }

        _pushed++;
        if (!_isInPayload)
        {
            _header.Add(b);
            ReadHeader();
        }
        else
        {
            ReadPayload(sender == FrameSender.Client ? (byte)(b ^ _header[^(4 - (_payload.Count % 4))]) : b);
        }

        if (_isInPayload && EndedAt is null && (ulong)_payload.Count == _length)
        {
            EndFrame();
        }
    }

    private void ReadHeader()
    {
        int inSevenBits = _header.Count < 2 ? 0 : _header[1] & 0x7F;
        int lengthBytes = inSevenBits switch { 126 => 2, 127 => 8, _ => 0 };
        int maskBytes = sender == FrameSender.Client ? 4 : 0;
        if (_header.Count == 1)
        {
            bool isKnown = Opcode is 0 or 1 or 2 or 8 or 9 or 10;
            RefuseIf((_header[0] & 0x70) != 0 || !isKnown || (IsControl && !IsFinal), 1002);
            return;
        }

        if (_header.Count == 2)
        {
            RefuseIf(_header[1] >= 0x80 != (maskBytes > 0) || (IsControl && inSevenBits > 125), 1002);
        }

        if (_header.Count == 2 + lengthBytes && EndedAt is null)
        {
            byte[] eight = [.. new byte[8 - lengthBytes], .. _header[2..]];
            _length = lengthBytes == 0 ? (ulong)inSevenBits : BinaryPrimitives.ReadUInt64BigEndian(eight);
            RefuseIf((lengthBytes == 2 && _length < 126) || (lengthBytes == 8 && _length < 65_536) || _length >= 1UL << 63, 1002);
            RefuseIf(!IsControl && _length > (ulong)(messageBytesMax - _message.Count), 1009);
        }

        if (_header.Count == 2 + lengthBytes + maskBytes && EndedAt is null)
        {
            bool isContinuation = Opcode == 0;
            RefuseIf(!IsControl && isContinuation != (_messageOpcode != 0), 1002);
            _messageOpcode = IsControl || isContinuation ? _messageOpcode : Opcode;
            _isInPayload = true;
        }
    }

    private void ReadPayload(byte b)
    {
        _payload.Add(b);
        if (!IsControl)
        {
            _message.Add(b);
            RefuseIf(_messageOpcode == 1 && !ContinuesText(b), 1007);
        }
    }

    private bool ContinuesText(byte b)
    {
        _character.Add(b);
        OperationStatus status = Rune.DecodeFromUtf8(_character.ToArray(), out _, out _);
        if (status == OperationStatus.Done)
        {
            _character.Clear();
        }

        return status != OperationStatus.InvalidData;
    }

    private void EndFrame()
    {
        if (Opcode == 8)
        {
            EndClose([.. _payload]);
        }
        else if (IsControl)
        {
            Add(Opcode == 9 ? ReadStatus.Ping : ReadStatus.Pong, _payload);
        }
        else if (IsFinal)
        {
            RefuseIf(_character.Count > 0, 1007);
            if (EndedAt is null)
            {
                Add(_messageOpcode == 1 ? ReadStatus.Text : ReadStatus.Binary, _message);
            }

            _message.Clear();
            _messageOpcode = 0;
        }

        _header.Clear();
        _payload.Clear();
        _isInPayload = false;
    }

    private void EndClose(byte[] payload)
    {
        int code = payload.Length < 2 ? 1000 : BinaryPrimitives.ReadUInt16BigEndian(payload);
        bool isCodeSendable = code is 1000 or 1001 or 1002 or 1003 or (>= 1007 and <= 1014) or (>= 3000 and <= 4999);
        RefuseIf(payload.Length == 1 || !isCodeSendable, 1002);
        RefuseIf(payload.Length > 2 && !IsUtf8(payload[2..]), 1007);
        if (EndedAt is null)
        {
            Add(ReadStatus.Close, payload);
            EndedAt = _pushed;
        }
    }

    private static bool IsUtf8(byte[] text)
    {
        try
        {
            _ = new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(text);
            return true;
        }
        catch (DecoderFallbackException)
        {
            return false;
        }
    }

    private void Add(ReadStatus status, IEnumerable<byte> payload) =>
        _items.Append(status).Append(' ').Append(Convert.ToHexString([.. payload])).Append('\n');

    private void RefuseIf(bool isWrong, int closeCode)
    {
        if (isWrong && EndedAt is null)
        {
            _items.Append(ReadStatus.Refused).Append(' ').Append(closeCode).Append('\n');
            EndedAt = _pushed;
        }
    }
}
