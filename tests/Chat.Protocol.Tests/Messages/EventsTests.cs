using System.Text;
using System.Text.Json;
using Chat.Protocol.Messages;

namespace Chat.Protocol.Tests.Messages;

public class EventsTests
{
    private const long ExpiresAtUnixMs = 1_795_370_818_123;

    private readonly byte[] _destination = new byte[Events.BytesMax(100)];

    [Fact]
    public void Welcome_to_a_room()
    {
        var welcome = new Welcome
        {
            RoomId = 1,
            Seq = 1041,
            Epoch = 3,
            Recovered = true,
            UserId = 7,
            Username = "Test"u8,
            PingMs = 25000,
            ExpiresAtUnixMs = ExpiresAtUnixMs,
        };
        AssertWritten(
            """{"type":"welcome","room_id":1,"seq":1041,"epoch":3,"recovered":true,"rolled_back_to":null,"user":{"id":7,"username":"Test"},"ping_ms":25000,"expires_at":"2026-11-22T18:06:58.123Z"}""",
            Events.WriteWelcome(_destination, welcome));
    }

    [Fact]
    public void Welcome_after_a_rollback_to_the_very_beginning()
    {
        var welcome = new Welcome { RoomId = 1, RolledBackTo = 0, UserId = 7, Username = "\"T\""u8 };
        AssertWritten(
            """{"type":"welcome","room_id":1,"seq":0,"epoch":0,"recovered":false,"rolled_back_to":0,"user":{"id":7,"username":"\"T\""},"ping_ms":0,"expires_at":"1970-01-01T00:00:00.000Z"}""",
            Events.WriteWelcome(_destination, welcome));
    }

    [Fact]
    public void Welcome_without_a_room_leaves_out_what_belongs_to_one()
    {
        var welcome = new Welcome { UserId = 7, Username = "Test"u8, PingMs = 25000, ExpiresAtUnixMs = ExpiresAtUnixMs };
        AssertWritten(
            """{"type":"welcome","user":{"id":7,"username":"Test"},"ping_ms":25000,"expires_at":"2026-11-22T18:06:58.123Z"}""",
            Events.WriteWelcome(_destination, welcome));
    }

    [Fact]
    public void Ack_with_and_without_a_nonce_and_of_a_duplicate()
    {
        AssertWritten("""{"type":"ack","nonce":"c7","room_id":1,"seq":1042,"id":9001}""", Events.WriteAck(_destination, "c7"u8, 1, 1042, 9001));
        AssertWritten("""{"type":"ack","room_id":1,"seq":1042,"id":9001}""", Events.WriteAck(_destination, default, 1, 1042, 9001));
        AssertWritten(
            """{"type":"ack","nonce":"c7","room_id":1,"seq":1042,"id":9001,"duplicate":true}""",
            Events.WriteAck(_destination, "c7"u8, 1, 1042, 9001, duplicate: true));
    }

    [Fact]
    public void Error_has_the_fields_that_are_known()
    {
        AssertWritten("""{"type":"error","code":"bad_json","message":"what"}""", Events.WriteError(_destination, "bad_json", "what"));
        AssertWritten(
            """{"type":"error","code":"rate_limited","message":"slow down","nonce":"c7","room_id":4,"retry_after_ms":1200}""",
            Events.WriteError(_destination, "rate_limited", "slow down", "c7"u8, 4, 1200));
    }

    [Fact]
    public void Error_message_is_valid_json_whatever_it_says() =>
        AssertWritten("""{"type":"error","code":"x","message":"\"\\??"}""", Events.WriteError(_destination, "x", "\"\\\né"));

    [Fact]
    public void Pong_and_unsubscribed()
    {
        AssertWritten("""{"type":"pong","room_id":1,"seq":1042}""", Events.WritePong(_destination, 1, 1042));
        AssertWritten("""{"type":"pong"}""", Events.WritePong(_destination));
        AssertWritten("""{"type":"unsubscribed","room_id":2}""", Events.WriteUnsubscribed(_destination, 2));
    }

    [Fact]
    public void Longest_events_stay_within_the_bound()
    {
        var welcome = new Welcome
        {
            RoomId = long.MinValue,
            Seq = long.MinValue,
            Epoch = long.MinValue,
            RolledBackTo = long.MinValue,
            UserId = long.MinValue,
            PingMs = int.MinValue,
            Username = new byte[100],
        };
        Assert.InRange(Events.WriteWelcome(_destination, welcome), 600, Events.BytesMax(100));
        Assert.InRange(Events.WriteAck(_destination, new byte[100], long.MinValue, long.MinValue, long.MinValue, true), 600, Events.BytesMax(100));
        int error = Events.WriteError(_destination, new string('c', 10), new string('"', 10), new byte[80], long.MinValue, long.MinValue);
        Assert.InRange(error, 480, Events.BytesMax(100));
    }

    private void AssertWritten(string expected, int written)
    {
        Assert.Equal(expected, Encoding.UTF8.GetString(_destination, 0, written));
        using var document = JsonDocument.Parse(_destination.AsMemory(0, written));
        Assert.Equal(JsonValueKind.Object, document.RootElement.ValueKind);
    }
}
