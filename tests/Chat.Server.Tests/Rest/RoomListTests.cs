using System.Text;
using System.Text.Json;
using Chat.Server.Rest;
using Chat.Storage;

namespace Chat.Server.Tests.Rest;

public sealed class RoomListTests
{
    private static readonly DateTimeOffset _createdAt = DateTimeOffset.FromUnixTimeMilliseconds(1_795_000_000_123);

    [Fact]
    public void No_room_is_an_empty_array() => Assert.Equal("[]", Write(new RoomList([], 1, 0), static _ => default));

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

        var list = new RoomList(records, 4, 0);

        Assert.Null(list.Next);
        Assert.Equal($"[{string.Join(',', each)}]", Write(list, record => now[record.Id]));
        Assert.Equal(4, JsonDocument.Parse(Write(list, static _ => default)).RootElement.GetArrayLength()); // Others are other numbers.
    }

    [Fact]
    public void A_room_beyond_the_limit_is_left_out_and_says_that_there_are_more()
    {
        var list = new RoomList([new(1, "a", 0, _createdAt), new(5, "b", 0, _createdAt), new(6, "c", 0, _createdAt)], 2, 0);

        Assert.Equal(5, list.Next);
        Assert.Equal([1, 5], JsonElement.Parse(Write(list, static _ => default)).EnumerateArray().Select(static room => room.GetProperty("id").GetInt64()));
    }

    private static string Write(RoomList list, Func<RoomRecord, RoomNow> now)
    {
        byte[] json = new byte[list.BytesMax];
        return Encoding.UTF8.GetString(json, 0, list.Write(json, now));
    }
}
