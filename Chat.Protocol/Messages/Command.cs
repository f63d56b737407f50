namespace Chat.Protocol.Messages;

/// <summary>What a client asks for over the WebSocket.</summary>
public enum CommandType : byte
{
    Message,
    Subscribe,
    Unsubscribe,
    Ping,
}

/// <summary>
/// One parsed command. Its spans point into the input or the scratch that were given to <see cref="CommandParser"/> and live
/// as long as those are left alone.
/// </summary>
public readonly ref struct Command
{
    public CommandType Type { get; init; }

    /// <summary>From 1 on; 0 when the command names no room (then it means the one of the URL). Always there for subscribe and unsubscribe.</summary>
    public long RoomId { get; init; }

    /// <summary>UTF-8 without escapes, for a message; within the limit and without NUL.</summary>
    public ReadOnlySpan<byte> Content { get; init; }

    /// <summary>UTF-8 without escapes, 1 to 64 printable characters; empty when none was sent.</summary>
    public ReadOnlySpan<byte> Nonce { get; init; }

    /// <summary>The last seq the client saw, from 0 on; -1 when none was sent.</summary>
    public long Since { get; init; }

    /// <summary>The epoch that <see cref="Since"/> belongs to, from 0 on; -1 when none was sent.</summary>
    public long Epoch { get; init; }
}

/// <summary>
/// Why a command was refused, in the words of the error event that answers it. The connection stays open.
/// </summary>
public readonly ref struct CommandError
{
    /// <summary>Not one flat JSON object.</summary>
    public const string BadJson = "bad_json";

    /// <summary>A "type" that this version does not know.</summary>
    public const string UnknownType = "unknown_type";

    /// <summary>The type needs a field that is not there.</summary>
    public const string MissingField = "missing_field";

    /// <summary>A known field with a wrong type or value, or there twice.</summary>
    public const string BadField = "bad_field";

    /// <summary>One of the constants of this type; null when there is no error.</summary>
    public string? Code { get; init; }

    /// <summary>A constant ASCII sentence that names the field; never holds input.</summary>
    public string Message { get; init; }

    /// <summary>The command's nonce, when it could be read, so that the client knows which command failed; else empty.</summary>
    public ReadOnlySpan<byte> Nonce { get; init; }

    /// <summary>The command's room, when it could be read; else 0.</summary>
    public long RoomId { get; init; }
}
