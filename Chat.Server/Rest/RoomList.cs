using System.Buffers.Text;
using System.Text.Json;
using Chat.Protocol;
using Chat.Storage;

namespace Chat.Server.Rest;

/// <summary>What a room says of itself now. <c>LastSeq</c> is 0 before its first message, <c>Online</c> counts connections.</summary>
internal readonly record struct RoomNow(long LastSeq, int Online);

/// <summary>
/// A page of <c>GET /rooms</c>: of each room what does not change is encoded once, and copied for each answer. Immutable, thread-safe.
/// </summary>
internal sealed class RoomList
{
    private const int NumberBytesMax = 20; // Of an Int64.

    private readonly IReadOnlyList<RoomRecord> _records;
    private readonly byte[][] _starts;

    /// <param name="records">As the store has them; one more than the limit says that there are others.</param>
    /// <param name="limit">Rooms in the page, from 1 on.</param>
    /// <param name="readAt">When the store was asked.</param>
    public RoomList(IReadOnlyList<RoomRecord> records, int limit, long readAt)
    {
        _records = records;
        Limit = limit;
        ReadAt = readAt;
        Next = records.Count > limit ? records[limit - 1].Id : null;
        _starts = new byte[Math.Min(records.Count, limit)][];
        BytesMax = "[]"u8.Length;
        for (int i = 0; i < _starts.Length; i++)
        {
            _starts[i] = StartOf(records[i]);
            BytesMax += _starts[i].Length + NumberBytesMax + Online.Length + NumberBytesMax + "},"u8.Length;
        }
    }

    private static ReadOnlySpan<byte> Online => ",\"online\":"u8;

    /// <summary>Rooms in a full page.</summary>
    public int Limit { get; }

    /// <summary>The last id of a page that others follow; null when none do.</summary>
    public long? Next { get; }

    /// <summary>Of <see cref="TimeProvider.GetTimestamp"/>.</summary>
    public long ReadAt { get; }

    /// <summary>What <see cref="Write"/> needs at most.</summary>
    public int BytesMax { get; }

    /// <summary>Writes an array of <see cref="RoomJson"/>, as the serializer would, and returns its length.</summary>
    /// <param name="json">Of <see cref="BytesMax"/> or more.</param>
    /// <param name="now">Asked once for each room.</param>
    public int Write(Span<byte> json, Func<RoomRecord, RoomNow> now)
    {
        int length = 0;
        Append(json, ref length, "["u8);
        for (int i = 0; i < _starts.Length; i++)
        {
            RoomNow room = now(_records[i]);
            Append(json, ref length, _starts[i]);
            Append(json, ref length, room.LastSeq);
            Append(json, ref length, Online);
            Append(json, ref length, room.Online);
            Append(json, ref length, i + 1 < _starts.Length ? "},"u8 : "}"u8);
        }

        Append(json, ref length, "]"u8);
        return length;
    }

    /// <summary>Up to the number of <c>last_seq</c>, which is followed by <c>online</c> alone.</summary>
    private static byte[] StartOf(RoomRecord record)
    {
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(
            new RoomJson(record.Id, record.Name, RestJson.Timestamp(record.CreatedAt), 0, 0), RestJson.Default.RoomJson);
        ReadOnlySpan<byte> end = "0,\"online\":0}"u8;
        Invariant.Require(json.AsSpan().EndsWith(end));
        return json[..^end.Length];
    }

    private static void Append(Span<byte> buffer, ref int length, ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(buffer[length..]);
        length += bytes.Length;
    }

    private static void Append(Span<byte> buffer, ref int length, long number)
    {
        bool fits = Utf8Formatter.TryFormat(number, buffer[length..], out int written);
        Invariant.Require(fits);
        length += written;
    }
}
