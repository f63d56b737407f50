using System.Buffers.Text;
using System.Numerics;
using System.Runtime.InteropServices;

namespace Chat.Protocol.Messages;

/// <summary>
/// Parses the text messages of clients: one flat JSON object each. Fields may come in any order, unknown ones are skipped,
/// and no "type" with a "content" means a message. No allocation, no exception, whatever the input.
/// <para>
/// Scanning goes on after a bad field, so that the error can carry a nonce that stands behind it; the first bad field is
/// the one reported. Malformed JSON ends the scan at once and outranks bad fields.
/// </para>
/// </summary>
public static class CommandParser
{
    /// <summary>The limit of the wire contract. Characters are Unicode scalar values: what a user would count, nearly.</summary>
    public const int ContentCharactersMax = 4000;

    /// <summary>Enough for a UUID or a ULID with a prefix; the server remembers nonces, so they must be small.</summary>
    public const int NonceCharactersMax = 64;

    private const string MissingType = "type is missing";
    private const string MissingContent = "content is missing";
    private const string MissingRoomId = "room_id is missing";
    private const string UnknownTypeMessage = "type is not one of message, subscribe, unsubscribe, ping";
    private const string MalformedJson = "a command is one JSON object, nested at most 8 deep";
    private const string Repeated = " is there twice";
    private const string BadType = "type must be a string";
    private const string BadContent = "content must be a string, neither empty nor too long, without NUL and lone surrogates";
    private const string BadNonce = "nonce must be a string of 1 to 64 printable characters";
    private const string BadRoomId = "room_id must be an integer from 1 on";
    private const string BadSince = "since must be an integer from 0 on";
    private const string BadEpoch = "epoch must be an integer from 0 on";

    [Flags]
    private enum Fields : byte
    {
        None = 0,
        Type = 1,
        RoomId = 2,
        Content = 4,
        Nonce = 8,
        Since = 16,
        Epoch = 32,
    }

    /// <summary>Parses one command.</summary>
    /// <param name="utf8Json">A whole text message; must be valid UTF-8.</param>
    /// <param name="scratch">
    /// Where strings with escapes are resolved: at least as long as <paramref name="utf8Json"/>, and not overlapping it.
    /// </param>
    /// <param name="command">Set when the answer is true.</param>
    /// <param name="error">Set when the answer is false.</param>
    /// <param name="contentCharactersMax">Limit for content in Unicode scalar values.</param>
    public static bool TryParse(
        ReadOnlySpan<byte> utf8Json,
        Span<byte> scratch,
        out Command command,
        out CommandError error,
        int contentCharactersMax = ContentCharactersMax)
    {
        Invariant.Require(scratch.Length >= utf8Json.Length);
        var parse = new Parse(utf8Json, scratch, contentCharactersMax);
        bool isJson = parse.TryReadObject();
        if (!isJson || parse.BadFieldMessage is not null)
        {
            command = default;
            error = isJson
                ? parse.Error(CommandError.BadField, parse.BadFieldMessage!)
                : parse.Error(CommandError.BadJson, MalformedJson);
            return false;
        }

        return parse.TryFinish(out command, out error);
    }

    /// <summary>The state of one parse: what has been read so far.</summary>
    private ref struct Parse(ReadOnlySpan<byte> utf8Json, Span<byte> scratch, int contentCharactersMax)
    {
        private JsonScanner _scanner = new(utf8Json);
        private Span<byte> _scratch = scratch;
        private Fields _seen;
        private ReadOnlySpan<byte> _type;
        private ReadOnlySpan<byte> _content;
        private ReadOnlySpan<byte> _nonce;
        private long _roomId;
        private long _since = -1;
        private long _epoch = -1;

        /// <summary>The first bad field's message; null when there is none.</summary>
        public string? BadFieldMessage { get; private set; }

        public readonly CommandError Error(string code, string message) =>
            new() { Code = code, Message = message, Nonce = _nonce, RoomId = _roomId };

        /// <summary>False for malformed JSON.</summary>
        public bool TryReadObject()
        {
            if (!_scanner.TryTake('{'))
            {
                return false;
            }

            if (!_scanner.TryTake('}'))
            {
                do
                {
                    if (!TryReadField())
                    {
                        return false;
                    }
                }
                while (_scanner.TryTake(','));

                if (!_scanner.TryTake('}'))
                {
                    return false;
                }
            }

            return _scanner.IsAtEnd();
        }

        public readonly bool TryFinish(out Command command, out CommandError error)
        {
            command = default;
            error = default;
            bool hasType = (_seen & Fields.Type) != 0;
            bool hasContent = (_seen & Fields.Content) != 0;
            CommandType type;
            if (hasType ? _type.SequenceEqual("message"u8) : hasContent)
            {
                type = CommandType.Message;
            }
            else if (!hasType)
            {
                error = Error(CommandError.MissingField, MissingType);
                return false;
            }
            else if (_type.SequenceEqual("ping"u8))
            {
                type = CommandType.Ping;
            }
            else if (_type.SequenceEqual("subscribe"u8))
            {
                type = CommandType.Subscribe;
            }
            else if (_type.SequenceEqual("unsubscribe"u8))
            {
                type = CommandType.Unsubscribe;
            }
            else
            {
                error = Error(CommandError.UnknownType, UnknownTypeMessage);
                return false;
            }

            if (type == CommandType.Message && !hasContent)
            {
                error = Error(CommandError.MissingField, MissingContent);
                return false;
            }

            if (type is CommandType.Subscribe or CommandType.Unsubscribe && _roomId == 0)
            {
                error = Error(CommandError.MissingField, MissingRoomId);
                return false;
            }

            command = new Command
            {
                Type = type,
                RoomId = _roomId,
                Content = _content,
                Nonce = _nonce,
                Since = _since,
                Epoch = _epoch,
            };
            return true;
        }

        /// <summary>False for malformed JSON; a bad value is noted, and true.</summary>
        private bool TryReadField()
        {
            if (!_scanner.TryReadString(out ReadOnlySpan<byte> name, out bool hasEscapes))
            {
                return false;
            }

            // A name that cannot be resolved (a lone surrogate) is none that we know.
            if (hasEscapes && !TryResolve(name, out name))
            {
                name = default;
            }

            Fields field = FieldOf(name);
            if (!_scanner.TryTake(':'))
            {
                return false;
            }

            if (field == Fields.None)
            {
                return _scanner.TrySkipValue();
            }

            if ((_seen & field) != 0)
            {
                // Which of the two is meant would depend on the parser that is asked; that is how filters are bypassed.
                BadFieldMessage ??= RepeatedMessage(field);
                return _scanner.TrySkipValue();
            }

            _seen |= field;
            return field is Fields.Type or Fields.Content or Fields.Nonce ? TryReadText(field) : TryReadInteger(field);
        }

        private bool TryReadText(Fields field)
        {
            if (_scanner.Peek() != '"')
            {
                BadFieldMessage ??= BadMessage(field);
                return _scanner.TrySkipValue();
            }

            if (!_scanner.TryReadString(out ReadOnlySpan<byte> text, out bool hasEscapes))
            {
                return false;
            }

            if (hasEscapes && !TryResolve(text, out text))
            {
                BadFieldMessage ??= BadMessage(field);
            }
            else if (field == Fields.Type)
            {
                _type = text;
            }
            else if (field == Fields.Content && IsContentValid(text))
            {
                _content = text;
            }
            else if (field == Fields.Nonce && IsNonceValid(text))
            {
                _nonce = text;
            }
            else
            {
                BadFieldMessage ??= BadMessage(field);
            }

            return true;
        }

        private bool TryReadInteger(Fields field)
        {
            if (_scanner.Peek() is not ((byte)'-' or (>= (byte)'0' and <= (byte)'9')))
            {
                BadFieldMessage ??= BadMessage(field);
                return _scanner.TrySkipValue();
            }

            if (!_scanner.TryReadNumber(out ReadOnlySpan<byte> number))
            {
                return false;
            }

            // 1.0 and 1e3 are numbers in JSON and integers to nobody's database: the whole token must be digits.
            bool isInteger = Utf8Parser.TryParse(number, out long value, out int digits) && digits == number.Length;
            long min = field == Fields.RoomId ? 1 : 0;
            if (!isInteger || value < min || number[0] == '-')
            {
                BadFieldMessage ??= BadMessage(field);
            }
            else if (field == Fields.RoomId)
            {
                _roomId = value;
            }
            else if (field == Fields.Since)
            {
                _since = value;
            }
            else
            {
                _epoch = value;
            }

            return true;
        }

        /// <summary>Resolves escapes into the scratch, which has room: all strings together are shorter than the input.</summary>
        private bool TryResolve(ReadOnlySpan<byte> escaped, out ReadOnlySpan<byte> text)
        {
            bool resolved = JsonText.TryUnescape(escaped, _scratch, out int written);
            text = _scratch[..written];
            _scratch = _scratch[written..];
            return resolved;
        }

        private readonly bool IsContentValid(ReadOnlySpan<byte> content) =>
            !content.IsEmpty && !content.Contains((byte)0) && HasAtMost(contentCharactersMax, content);
    }

    private static Fields FieldOf(ReadOnlySpan<byte> name) => name.Length switch
    {
        4 when name.SequenceEqual("type"u8) => Fields.Type,
        5 when name.SequenceEqual("nonce"u8) => Fields.Nonce,
        5 when name.SequenceEqual("since"u8) => Fields.Since,
        5 when name.SequenceEqual("epoch"u8) => Fields.Epoch,
        7 when name.SequenceEqual("content"u8) => Fields.Content,
        7 when name.SequenceEqual("room_id"u8) => Fields.RoomId,
        _ => Fields.None,
    };

    private static string BadMessage(Fields field) => field switch
    {
        Fields.Type => BadType,
        Fields.Content => BadContent,
        Fields.Nonce => BadNonce,
        Fields.RoomId => BadRoomId,
        Fields.Since => BadSince,
        _ => BadEpoch,
    };

    private static string RepeatedMessage(Fields field) => field switch
    {
        Fields.Type => "type" + Repeated,
        Fields.Content => "content" + Repeated,
        Fields.Nonce => "nonce" + Repeated,
        Fields.RoomId => "room_id" + Repeated,
        Fields.Since => "since" + Repeated,
        _ => "epoch" + Repeated,
    };

    /// <summary>Printable: no C0 control, no DEL, no C1 control (C2 80..C2 9F in UTF-8). It is logged and echoed.</summary>
    private static bool IsNonceValid(ReadOnlySpan<byte> nonce)
    {
        for (int i = 0; i < nonce.Length; i++)
        {
            byte b = nonce[i];
            if (b < 0x20 || b == 0x7F || (b == 0xC2 && i + 1 < nonce.Length && nonce[i + 1] < 0xA0))
            {
                return false;
            }
        }

        return !nonce.IsEmpty && HasAtMost(NonceCharactersMax, nonce);
    }

    /// <summary>Counts only when the length does not already decide: a character is one to four bytes.</summary>
    private static bool HasAtMost(int charactersMax, ReadOnlySpan<byte> utf8) =>
        utf8.Length <= charactersMax ||
        (utf8.Length <= 4L * charactersMax && CountCharacters(utf8) <= charactersMax);

    /// <summary>Unicode scalar values in valid UTF-8: the bytes that are not continuation bytes (80..BF).</summary>
    private static int CountCharacters(ReadOnlySpan<byte> utf8)
    {
        ReadOnlySpan<sbyte> bytes = MemoryMarshal.Cast<byte, sbyte>(utf8);
        ReadOnlySpan<Vector<sbyte>> vectors = MemoryMarshal.Cast<sbyte, Vector<sbyte>>(bytes);

        // 80..BF is -128..-65: what is greater starts a character, and compares to -1 (all ones).
        var lastContinuation = new Vector<sbyte>(-65);
        int count = 0;
        foreach (Vector<sbyte> vector in vectors)
        {
            count -= Vector.Sum(Vector.GreaterThan(vector, lastContinuation));
        }

        foreach (sbyte b in bytes[(vectors.Length * Vector<sbyte>.Count)..])
        {
            count += b > -65 ? 1 : 0;
        }

        return count;
    }
}
