using System.Text;
using System.Text.Json;
using Chat.Server.Rest;
using Chat.Storage;

namespace Chat.Server.Tests.Rest;

public sealed class RoomListTests
{
    private static readonly DateTimeOffset _createdAt = DateTimeOffset.FromUnixTimeMilliseconds(1_795_000_000_123);

    [Fact]
    public void No_room_is_an_empty_array() => Assert.Equal("[]", Write(new RoomList([], 0), static _ => default));

    [Fact]
    public void It_is_what_the_serializer_writes_with_the_numbers_of_now()
    {
        RoomRecord[] records =
        [
            new(1, "General", 7, _createdAt),
            new(long.MaxValue, "0,\"online\":0}", 0, _createdAt),
            new(3, "\u0000 <b> é 👋 \\ \"", 0, _createdAt),
            new(4, "", 0, _createdAt),
        ];
        Dictionary<long, RoomNow> now = new()
        {
            [1] = new(1042, 3),
            [long.MaxValue] = new(long.MaxValue, int.MaxValue),
            [3] = new(0, 0),
            [4] = new(5, 1),
        };
        RoomJson[] expected = [.. records.Select(record => new RoomJson(
            record.Id, record.Name, RestJson.Timestamp(record.CreatedAt), now[record.Id].LastSeq, now[record.Id].Online))];
        string[] each = [.. expected.Select(static room => JsonSerializer.Serialize(room, RestJson.Default.RoomJson))];

        var list = new RoomList(records, 0);

        Assert.Equal($"[{string.Join(',', each)}]", Write(list, record => now[record.Id]));
        Assert.Equal(4, JsonDocument.Parse(Write(list, static _ => default)).RootElement.GetArrayLength()); // Others are other numbers.
    }

    private static string Write(RoomList list, Func<RoomRecord, RoomNow> now)
    {
        byte[] json = new byte[list.BytesMax];
        return Encoding.UTF8.GetString(json, 0, list.Write(json, now));
    }
}
