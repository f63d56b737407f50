using System.Text;
using System.Text.Json;
using Chat.Protocol.Messages;
using CsCheck;

namespace Chat.Protocol.Tests.Messages;

public class CommandParserTests
{
    /// <summary>A command, or an error, without spans: what a theory can compare.</summary>
    private sealed record Parsed(CommandType Type, long RoomId, string Content, string Nonce, long Since, long Epoch);

    private sealed record Failed(string Code, string Message, string Nonce, long RoomId);

    [Theory]
    [InlineData("""{"type":"message","room_id":1,"content":"hi","nonce":"c7"}""", CommandType.Message, 1, "hi", "c7", -1, -1)]
    [InlineData("""{"content":"hi"}""", CommandType.Message, 0, "hi", "", -1, -1)]
    [InlineData("""{"nonce":"c7","content":"hi","type":"message"}""", CommandType.Message, 0, "hi", "c7", -1, -1)]
    [InlineData("""{"type":"subscribe","room_id":2,"since":41,"epoch":3}""", CommandType.Subscribe, 2, "", "", 41, 3)]
    [InlineData("""{"type":"subscribe","room_id":2,"since":0,"epoch":0}""", CommandType.Subscribe, 2, "", "", 0, 0)]
    [InlineData("""{"type":"unsubscribe","room_id":9223372036854775807}""", CommandType.Unsubscribe, long.MaxValue, "", "", -1, -1)]
    [InlineData("""{"type":"ping"}""", CommandType.Ping, 0, "", "", -1, -1)]
    [InlineData(" {\t\"type\" :\r\n\"ping\" , \"x\" : 1 } ", CommandType.Ping, 0, "", "", -1, -1)]
    [InlineData("""{"t\u0079pe":"p\u0069ng"}""", CommandType.Ping, 0, "", "", -1, -1)]
    [InlineData("""{"content":"a\"\\\/\b\f\n\r\t\u0001\ud83d\ude00é","nonce":"\u006e1"}""", CommandType.Message, 0, "a\"\\/\b\f\n\r\t\u0001😀é", "n1", -1, -1)]
    [InlineData("""{"x":[1,-0.5e+3,{"a":{},"b":[]},"]",true,false,null],"type":"ping","y":{"content":5}}""", CommandType.Ping, 0, "", "", -1, -1)]
    [InlineData("""{"x":[[[[[[[[1]]]]]]]],"type":"ping"}""", CommandType.Ping, 0, "", "", -1, -1)]
    [InlineData("""{"x\ud83d":"\ud83d","type":"ping"}""", CommandType.Ping, 0, "", "", -1, -1)]
    public void Command_is_parsed(string json, CommandType type, long roomId, string content, string nonce, long since, long epoch) =>
        Assert.Equal(new Parsed(type, roomId, content, nonce, since, epoch), Parse(json));

    [Theory]
    [InlineData("")]
    [InlineData(" ")]
    [InlineData("{")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("\"content\"")]
    [InlineData("hello")]
    [InlineData("\uFEFF{}")]
    [InlineData("{}{}")]
    [InlineData("{} x")]
    [InlineData("{,}")]
    [InlineData("""{"content":"hi",}""")]
    [InlineData("""{"content" "hi"}""")]
    [InlineData("""{"content":}""")]
    [InlineData("""{content:"hi"}""")]
    [InlineData("""{'content':'hi'}""")]
    [InlineData("""{"content":"hi""")]
    [InlineData("""{"content":"hi\""")]
    [InlineData("""{"content":"h\i"}""")]
    [InlineData("""{"content":"\u12"}""")]
    [InlineData("""{"content":"\u12G4"}""")]
    [InlineData("{\"content\":\"a\nb\"}")]
    [InlineData("{\"content\":\"a\0b\"}")]
    [InlineData("""{"room_id":01}""")]
    [InlineData("""{"room_id":-}""")]
    [InlineData("""{"room_id":+1}""")]
    [InlineData("""{"room_id":1.}""")]
    [InlineData("""{"room_id":.5}""")]
    [InlineData("""{"room_id":1e}""")]
    [InlineData("""{"room_id":0x10}""")]
    [InlineData("""{"x":nul}""")]
    [InlineData("""{"x":True}""")]
    [InlineData("""{"x":NaN}""")]
    [InlineData("""{"x":[1,]}""")]
    [InlineData("""{"x":[1 2]}""")]
    [InlineData("""{"x":[1}}""")]
    [InlineData("""{"x":{"a":1]}""")]
    [InlineData("""{"x":{"a"}}""")]
    [InlineData("""{"x":{1:1}}""")]
    [InlineData("""{"x":{"a":1,}}""")]
    [InlineData("""{"x":[[[[[[[[[1]]]]]]]]]}""")]
    [InlineData("""{"type":"ping"} /* comment */""")]
    public void Text_that_is_not_one_json_object_is_bad_json(string json) => Assert.Equal(CommandError.BadJson, Fail(json).Code);

    [Theory]
    [InlineData("""{"type":"shout","nonce":"n"}""", CommandError.UnknownType, "type is not one of message, subscribe, unsubscribe, ping")]
    [InlineData("""{"type":"Message","content":"hi","nonce":"n"}""", CommandError.UnknownType, "type is not one of message, subscribe, unsubscribe, ping")]
    [InlineData("""{"type":"","nonce":"n"}""", CommandError.UnknownType, "type is not one of message, subscribe, unsubscribe, ping")]
    [InlineData("""{"nonce":"n"}""", CommandError.MissingField, "type is missing")]
    [InlineData("""{"type":"message","nonce":"n"}""", CommandError.MissingField, "content is missing")]
    [InlineData("""{"type":"subscribe","nonce":"n"}""", CommandError.MissingField, "room_id is missing")]
    [InlineData("""{"type":"unsubscribe","nonce":"n"}""", CommandError.MissingField, "room_id is missing")]
    [InlineData("""{"type":5,"nonce":"n"}""", CommandError.BadField, "type must be a string")]
    [InlineData("""{"type":"\ud800","nonce":"n"}""", CommandError.BadField, "type must be a string")]
    [InlineData("""{"type":"ping","type":"ping","nonce":"n"}""", CommandError.BadField, "type is there twice")]
    [InlineData("""{"content":"a","c\u006fntent":["b"],"nonce":"n"}""", CommandError.BadField, "content is there twice")]
    public void Refusal_names_the_field_and_keeps_a_nonce_behind_it(string json, string code, string message) =>
        Assert.Equal(new Failed(code, message, "n", 0), Fail(json));

    [Theory]
    [InlineData("null")]
    [InlineData("5")]
    [InlineData("{}")]
    [InlineData("\"\"")]
    [InlineData("\"a\\u0000b\"")]
    [InlineData("\"\\ud83d\"")]
    [InlineData("\"\\ude00\\ud83d\"")]
    public void Content_that_is_no_text_is_a_bad_field(string value)
    {
        Failed failed = Fail($$"""{"type":"message","content":{{value}},"room_id":7,"nonce":"n"}""");
        Assert.Equal((CommandError.BadField, "n", 7), (failed.Code, failed.Nonce, failed.RoomId));
        Assert.StartsWith("content must be", failed.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("room_id", "0")]
    [InlineData("room_id", "-1")]
    [InlineData("room_id", "1.0")]
    [InlineData("room_id", "1e3")]
    [InlineData("room_id", "9223372036854775808")]
    [InlineData("room_id", "\"1\"")]
    [InlineData("room_id", "null")]
    [InlineData("room_id", "[1]")]
    [InlineData("since", "-1")]
    [InlineData("since", "-0")]
    [InlineData("since", "0.5")]
    [InlineData("since", "true")]
    [InlineData("epoch", "-1")]
    [InlineData("epoch", "99999999999999999999999999")]
    [InlineData("epoch", "{\"a\":1}")]
    public void Integer_field_takes_only_integers_in_range(string field, string value)
    {
        Failed failed = Fail($$"""{"type":"ping","{{field}}":{{value}},"nonce":"n"}""");
        Assert.Equal((CommandError.BadField, "n"), (failed.Code, failed.Nonce));
        Assert.StartsWith(field + " must be an integer", failed.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\"\"")]
    [InlineData("\"a\\nb\"")]
    [InlineData("\"\\u007f\"")]
    [InlineData("\"\\u0085\"")]
    [InlineData("\"\u009f\"")]
    [InlineData("7")]
    [InlineData("null")]
    public void Nonce_that_is_not_printable_is_a_bad_field_and_not_echoed(string value)
    {
        Failed failed = Fail($$"""{"content":"hi","nonce":{{value}}}""");
        Assert.Equal((CommandError.BadField, ""), (failed.Code, failed.Nonce));
        Assert.StartsWith("nonce must be", failed.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("n")]
    [InlineData("é")]
    [InlineData("😀")]
    public void Nonce_has_at_most_64_characters_of_any_size(string character)
    {
        string longest = string.Concat(Enumerable.Repeat(character, 64));
        Assert.Equal(longest, Parse($$"""{"content":"hi","nonce":"{{longest}}"}""").Nonce);
        Assert.Equal(CommandError.BadField, Fail($$"""{"content":"hi","nonce":"{{longest}}n"}""").Code);
    }

    [Theory]
    [InlineData("a", 1)]
    [InlineData("é", 1)]
    [InlineData("€", 1)]
    [InlineData("😀", 1)]
    [InlineData("e\u0301", 2)]
    [InlineData("\\ud83d\\ude00", 1)]
    public void Content_is_counted_in_scalar_values(string json, int characters)
    {
        foreach (int repeats in (int[])[1, 31, 32, 33, 63, 64, 65, 1000])
        {
            string content = string.Concat(Enumerable.Repeat(json, repeats));
            byte[] command = Encoding.UTF8.GetBytes($$"""{"content":"{{content}}"}""");
            var scratch = new byte[command.Length];
            Assert.True(CommandParser.TryParse(command, scratch, out _, out _, repeats * characters));
            Assert.False(CommandParser.TryParse(command, scratch, out _, out _, (repeats * characters) - 1));
        }
    }

    [Fact]
    public void Content_has_at_most_4000_characters_by_default()
    {
        Assert.Equal(4000, Parse($$"""{"content":"{{new string('x', 4000)}}"}""").Content.Length);
        Assert.Equal(CommandError.BadField, Fail($$"""{"content":"{{new string('x', 4001)}}"}""").Code);
    }

    [Fact]
    public void Malformed_json_outranks_a_bad_field_and_keeps_what_was_read_before_it() =>
        Assert.Equal((CommandError.BadJson, "n", 4), FailedParts("""{"nonce":"n","room_id":4,"content":5,]"""));

    [Fact]
    public void Every_prefix_of_a_command_is_bad_json()
    {
        const string Json = """{"type":"message","room_id":12,"content":"h\u00e9\n","nonce":"c7","x":[{"y":[null]}]}""";
        for (int length = 0; length < Json.Length; length++)
        {
            Assert.Equal(CommandError.BadJson, Fail(Json[..length]).Code);
        }
    }

    [Fact]
    public void Commands_and_refusals_allocate_nothing()
    {
        byte[][] inputs =
        [
            """{"type":"message","room_id":1,"content":"hé\n\u00e9","nonce":"c7"}"""u8.ToArray(),
            """{"type":"subscribe","room_id":2,"since":41,"epoch":3}"""u8.ToArray(),
            """{"type":"message","content":"""u8.ToArray(),
            """{"content":"\ud800","nonce":"n"}"""u8.ToArray(),
            "garbage"u8.ToArray(),
        ];
        var scratch = new byte[200];
        CountParsed(inputs, scratch);
        long before = GC.GetAllocatedBytesForCurrentThread();
        int parsed = CountParsed(inputs, scratch);
        Assert.Equal((200, 0L), (parsed, GC.GetAllocatedBytesForCurrentThread() - before));
    }

    [Fact]
    public void Garbage_never_throws() =>
        Gen.Select(Gen.Byte.Array[0, 60], Gen.String[Gen.Char["{}[]\":,\\u0d8e+-.tfn typecontsicp"], 0, 60]).Sample((bytes, text) =>
        {
            CommandParser.TryParse(bytes, new byte[bytes.Length], out _, out _);
            byte[] json = Encoding.UTF8.GetBytes("{\"content\":\"" + text);
            CommandParser.TryParse(json, new byte[json.Length], out _, out _);
            json = Encoding.UTF8.GetBytes("{\"nonce\":" + text);
            CommandParser.TryParse(json, new byte[json.Length], out _, out _);
        });

    [Fact]
    public void Grammar_agrees_with_system_text_json()
    {
        // Values drawn from JSON's own characters, so that a good part is valid and the rest nearly so.
        string[] tokens = ["{", "}", "[", "]", ",", ":", "\"a\"", "\"\"", "1", "-0", "0.5", "1e5", "01", "true", "null", "nul", " ", "\"\\n\"", "\"\\x\"", "\"a\":"];
        Gen<string> valueOfTokens = Gen.Int[0, tokens.Length - 1].Select(i => tokens[i]).Array[1, 8].Select(parts => string.Concat(parts));
        valueOfTokens.Sample(value => AssertAgrees($$"""{"type":"ping","x":{{value}}}"""), iter: 20_000);
        Gen.String[Gen.Char["0123456789.eE+-"], 1, 6].Sample(number => AssertAgrees($$"""{"type":"ping","x":{{number}}}"""), iter: 20_000);
    }

    private static void AssertAgrees(string json)
    {
        bool isJson;
        try
        {
            using var document = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = 1 + 8 });
            isJson = true;
        }
        catch (JsonException)
        {
            isJson = false;
        }

        byte[] utf8 = Encoding.UTF8.GetBytes(json);
        CommandParser.TryParse(utf8, new byte[utf8.Length], out _, out CommandError error);
        Assert.True(isJson == (error.Code != CommandError.BadJson), json);
    }

    private static int CountParsed(byte[][] inputs, byte[] scratch)
    {
        int parsed = 0;
        for (int round = 0; round < 100; round++)
        {
            foreach (byte[] input in inputs)
            {
                parsed += CommandParser.TryParse(input, scratch, out _, out _) ? 1 : 0;
            }
        }

        return parsed;
    }

    private static (string Code, string Nonce, long RoomId) FailedParts(string json)
    {
        Failed failed = Fail(json);
        return (failed.Code, failed.Nonce, failed.RoomId);
    }

    private static Parsed Parse(string json)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(json);
        Assert.True(CommandParser.TryParse(utf8, new byte[utf8.Length], out Command command, out CommandError error), error.Message);
        Assert.Null(error.Code);
        return new Parsed(
            command.Type,
            command.RoomId,
            Encoding.UTF8.GetString(command.Content),
            Encoding.UTF8.GetString(command.Nonce),
            command.Since,
            command.Epoch);
    }

    private static Failed Fail(string json)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(json);
        Assert.False(CommandParser.TryParse(utf8, new byte[utf8.Length], out _, out CommandError error), json);
        return new Failed(error.Code!, error.Message, Encoding.UTF8.GetString(error.Nonce), error.RoomId);
    }
}
