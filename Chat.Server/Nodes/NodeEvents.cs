using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using Chat.Storage;

namespace Chat.Server.Nodes;

/// <summary>
/// Durable messages on their way from the node that stored them to the others: consecutive ones of a room in one packet. Integers are little-endian.
///
///     packet:  version (1 byte) | node (8) | room_id (8) | message...
///     message: id (8) | seq (8) | epoch (4) | sender_id (8) | created_at, ms (8) | sender's name, nonce, content: length (4, -1 for none) and UTF-8
/// </summary>
internal static class NodeEvents
{
    private const byte Version = 1;
    private const int HeadBytes = 1 + sizeof(long) + sizeof(long);
    private const int FixedBytes = (4 * sizeof(long)) + sizeof(int);

    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <param name="node">Who sends it.</param>
    /// <param name="records">Of one room, at least one.</param>
    public static byte[] Write(long node, ReadOnlySpan<MessageRecord> records)
    {
        var packet = new ArrayBufferWriter<byte>(HeadBytes + (records.Length * 256));
        packet.Write([Version]);
        WriteInt64(packet, node);
        WriteInt64(packet, records[0].RoomId);
        foreach (MessageRecord record in records)
        {
            WriteInt64(packet, record.Id);
            WriteInt64(packet, record.Seq);
            WriteInt32(packet, record.Epoch);
            WriteInt64(packet, record.SenderId);
            WriteInt64(packet, record.CreatedAtUnixMs);
            WriteBytes(packet, Encoding.UTF8.GetBytes(record.SenderName));
            WriteBytes(packet, record.Nonce is null ? default(ReadOnlyMemory<byte>?) : Encoding.UTF8.GetBytes(record.Nonce));
            WriteBytes(packet, record.Content);
        }

        return packet.WrittenSpan.ToArray();
    }

    /// <summary>
    /// False for what no node of this version has written: it must not be shown to anybody. <paramref name="records"/> is empty for a packet of
    /// <paramref name="ownNode"/>.
    /// </summary>
    public static bool TryRead(ReadOnlySpan<byte> packet, long ownNode, out long roomId, out List<MessageRecord> records)
    {
        roomId = 0;
        records = [];
        if (packet.Length < HeadBytes || packet[0] != Version)
        {
            return false;
        }

        if (BinaryPrimitives.ReadInt64LittleEndian(packet[1..]) == ownNode)
        {
            return true;
        }

        roomId = BinaryPrimitives.ReadInt64LittleEndian(packet[(1 + sizeof(long))..]);
        packet = packet[HeadBytes..];
        while (!packet.IsEmpty)
        {
            if (packet.Length < FixedBytes)
            {
                return false;
            }

            long id = BinaryPrimitives.ReadInt64LittleEndian(packet);
            long seq = BinaryPrimitives.ReadInt64LittleEndian(packet[8..]);
            int epoch = BinaryPrimitives.ReadInt32LittleEndian(packet[16..]);
            long senderId = BinaryPrimitives.ReadInt64LittleEndian(packet[20..]);
            long createdAt = BinaryPrimitives.ReadInt64LittleEndian(packet[28..]);
            packet = packet[FixedBytes..];
            if (!TryReadText(ref packet, out string? name) || name is null || !TryReadText(ref packet, out string? nonce)
                || !TryReadBytes(ref packet, out byte[]? content) || content is null || seq < 1)
            {
                return false;
            }

            records.Add(new MessageRecord
            {
                Id = id,
                RoomId = roomId,
                Seq = seq,
                Epoch = epoch,
                SenderId = senderId,
                SenderName = name,
                Nonce = nonce,
                Content = content,
                CreatedAtUnixMs = createdAt,
            });
        }

        return true;
    }

    private static void WriteInt64(ArrayBufferWriter<byte> packet, long value)
    {
        BinaryPrimitives.WriteInt64LittleEndian(packet.GetSpan(sizeof(long)), value);
        packet.Advance(sizeof(long));
    }

    private static void WriteInt32(ArrayBufferWriter<byte> packet, int value)
    {
        BinaryPrimitives.WriteInt32LittleEndian(packet.GetSpan(sizeof(int)), value);
        packet.Advance(sizeof(int));
    }

    private static void WriteBytes(ArrayBufferWriter<byte> packet, ReadOnlyMemory<byte>? bytes)
    {
        WriteInt32(packet, bytes?.Length ?? -1);
        packet.Write(bytes is { } some ? some.Span : default);
    }

    private static bool TryReadBytes(ref ReadOnlySpan<byte> packet, out byte[]? bytes)
    {
        bytes = null;
        if (packet.Length < sizeof(int))
        {
            return false;
        }

        int length = BinaryPrimitives.ReadInt32LittleEndian(packet);
        packet = packet[sizeof(int)..];
        if (length == -1)
        {
            return true;
        }

        if (length < 0 || length > packet.Length)
        {
            return false;
        }

        bytes = packet[..length].ToArray();
        packet = packet[length..];
        return true;
    }

    private static bool TryReadText(ref ReadOnlySpan<byte> packet, out string? text)
    {
        text = null;
        if (!TryReadBytes(ref packet, out byte[]? bytes))
        {
            return false;
        }

        try
        {
            text = bytes is null ? null : StrictUtf8.GetString(bytes);
            return true;
        }
        catch (DecoderFallbackException)
        {
            return false;
        }
    }
}
