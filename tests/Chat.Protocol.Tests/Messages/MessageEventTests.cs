using System.Text;
using System.Text.Json;
using Chat.Protocol.Messages;
using CsCheck;

namespace Chat.Protocol.Tests.Messages;

public class MessageEventTests
{
    private const long CreatedAtUnixMs = 1_795_370_818_123;

    [Fact]
    public void Event_of_the_wire_contract_is_written_word_for_word()
    {
        var destination = new byte[MessageEvent.BytesMax(4, 2, 2)];
        int written = MessageEvent.Write(destination, 1, 1042, 9001, 7, "Test"u8, "hi"u8, "c7"u8, CreatedAtUnixMs);
        Assert.Equal(
            """{"type":"message","room_id":1,"seq":1042,"id":9001,"sender_id":7,"username":"Test","content":"hi","nonce":"c7","created_at":"2026-11-22T18:06:58.123Z"}""",
            Encoding.UTF8.GetString(destination, 0, written));
    }

    [Fact]
    public void Parts_around_the_seq_make_the_event_without_a_nonce()
    {
        var destination = new byte[300];
        int prefix = MessageEvent.WritePrefix(destination, 12);
        Assert.Equal("""{"type":"message","room_id":12,"seq":""", Encoding.UTF8.GetString(destination, 0, prefix));
        int seq = MessageEvent.WriteSeq(destination, 1042);
        Assert.Equal("1042", Encoding.UTF8.GetString(destination, 0, seq));
        int suffix = MessageEvent.WriteSuffix(destination, 1, 2, "T"u8, "x"u8, default, 0);
        Assert.Equal(
            ""","id":1,"sender_id":2,"username":"T","content":"x","created_at":"1970-01-01T00:00:00.000Z"}""",
            Encoding.UTF8.GetString(destination, 0, suffix));
    }

    [Fact]
    public void Event_without_a_sender_says_that_it_is_deleted()
    {
        var destination = new byte[MessageEvent.BytesMax(0, 0, 0)];
        int written = MessageEvent.Write(destination, 1, 1042, 9001, 0, default, default, default, CreatedAtUnixMs);
        Assert.Equal(
            """{"type":"message","room_id":1,"seq":1042,"id":9001,"sender_id":0,"username":"","content":"","deleted":true,"created_at":"2026-11-22T18:06:58.123Z"}""",
            Encoding.UTF8.GetString(destination, 0, written));
        Assert.InRange(MessageEvent.WriteSuffix(destination, long.MinValue, 0, default, default, default, 0), 1, MessageEvent.SuffixBytesMax(0, 0, 0));
    }

    [Fact]
    public void Bounds_are_exact_for_the_longest_event()
    {
        var destination = new byte[1000];
        Assert.Equal(MessageEvent.PrefixBytesMax, MessageEvent.WritePrefix(destination, long.MinValue));
        Assert.Equal(MessageEvent.SeqBytesMax, MessageEvent.WriteSeq(destination, long.MinValue));
        int suffix = MessageEvent.WriteSuffix(destination, long.MinValue, long.MinValue, new byte[3], new byte[5], new byte[7], 0);
        Assert.Equal(MessageEvent.SuffixBytesMax(3, 5, 7), suffix);
    }

    [Fact]
    public void Any_text_comes_back_from_a_json_parser() =>
        Gen.Select(Gen.String, Gen.String, Gen.String, Gen.Long[0, long.MaxValue]).Sample((username, content, nonce, id) =>
        {
            byte[] usernameUtf8 = Encoding.UTF8.GetBytes(username);
            byte[] contentUtf8 = Encoding.UTF8.GetBytes(content);
            byte[] nonceUtf8 = Encoding.UTF8.GetBytes(nonce);
            var destination = new byte[MessageEvent.BytesMax(usernameUtf8.Length, contentUtf8.Length, nonceUtf8.Length)];
            int written = MessageEvent.Write(destination, 3, id, id, 5, usernameUtf8, contentUtf8, nonceUtf8, CreatedAtUnixMs);
            using var document = JsonDocument.Parse(destination.AsMemory(0, written));
            JsonElement read = document.RootElement;
            Assert.Equal(Encoding.UTF8.GetString(usernameUtf8), read.GetProperty("username").GetString());
            Assert.Equal(Encoding.UTF8.GetString(contentUtf8), read.GetProperty("content").GetString());
            Assert.Equal(nonceUtf8.Length > 0, read.TryGetProperty("nonce", out JsonElement readNonce));
            Assert.Equal(nonceUtf8.Length > 0 ? Encoding.UTF8.GetString(nonceUtf8) : null, nonceUtf8.Length > 0 ? readNonce.GetString() : null);
            Assert.Equal((3, id, id, 5), (Integer(read, "room_id"), Integer(read, "seq"), Integer(read, "id"), Integer(read, "sender_id")));
        });

    [Fact]
    public void Writing_allocates_nothing()
    {
        var destination = new byte[1000];
        Write(destination);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Write(destination);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

        static void Write(byte[] destination)
        {
            for (int i = 0; i < 100; i++)
            {
                MessageEvent.Write(destination, 1, i, 9001, 7, "Test"u8, "a \"quoted\" line\n"u8, "c7"u8, CreatedAtUnixMs);
            }
        }
    }

    private static long Integer(JsonElement element, string name) => element.GetProperty(name).GetInt64();
}
