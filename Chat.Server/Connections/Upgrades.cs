using Chat.Protocol;
using Chat.Protocol.Http;
using Chat.Protocol.WebSocket;
using Chat.Server.Auth;
using Chat.Server.Rest;
using Chat.Server.Rooms;
using Chat.Storage;
using Microsoft.Extensions.Logging;

namespace Chat.Server.Connections;

/// <summary>A handshake that was accepted: whose session begins, where, and from which point.</summary>
/// <param name="Identity">Null for the echo of a conformance suite, which needs no token.</param>
/// <param name="Room">The room of the path; null on <c>/ws</c>.</param>
/// <param name="Resume">What the client has of it.</param>
/// <param name="Deflate">What was agreed on permessage-deflate; null for no extension.</param>
internal sealed record AcceptedHandshake(TokenIdentity? Identity, Room? Room, ResumePoint Resume, DeflateParameters? Deflate);

/// <summary>
/// The server's own part of the opening handshake: origin, token, room, resume point. Everything that can be refused is
/// refused here, with an HTTP status, before the protocol changes.
/// </summary>
/// <param name="tokens">Checks tokens.</param>
/// <param name="cors">Knows the origins.</param>
/// <param name="subscriptions">Finds rooms and joins them.</param>
/// <param name="isDeflateOffered">Whether chat sockets may compress; see WS_DEFLATE.</param>
/// <param name="isConformance">Whether there is <c>/conformance/echo</c>.</param>
/// <param name="logger">Is told of faults.</param>
internal sealed partial class Upgrades(
    TokenService tokens, Cors cors, Subscriptions subscriptions, bool isDeflateOffered, bool isConformance, ILogger<Upgrades> logger)
{
    private static ReadOnlySpan<byte> Prefix => "/ws"u8;

    private static ReadOnlySpan<byte> EchoPath => "/conformance/echo"u8;

    /// <summary>
    /// For a path that is WebSocket's. Exactly one of the two is not null. The head stays untouched and may be read again afterwards. The token is looked
    /// for in Authorization, then among the subprotocols, then in the query.
    /// </summary>
    public async ValueTask<(AcceptedHandshake? Accepted, Response? Refusal)> ReadAsync(RequestHead head, CancellationToken aborted)
    {
        Response? refusal = Check(
            head, out long roomId, out ResumePoint resume, out TokenIdentity? identity, out DeflateParameters? deflate);
        if (refusal is not null)
        {
            return (null, refusal);
        }

        if (roomId == 0)
        {
            return (new AcceptedHandshake(identity, null, resume, deflate), null);
        }

        try
        {
            Room? room = await subscriptions.JoinAsync(roomId, identity!.UserId, aborted, resume.Since);
            return room is null
                ? (null, Problem.NoSuchRoom)
                : (new AcceptedHandshake(identity, room, resume, deflate), null);
        }
        catch (KeyNotFoundException)
        {
            return (null, Problem.UnknownUser);
        }
        catch (StoreUnavailableException)
        {
            return (null, Problem.StoreUnavailable);
        }
        catch (Exception exception) when (exception is not OperationCanceledException) // The edge of the handshake, as the router is that of a call.
        {
            HandshakeFailed(logger, roomId, exception);
            return (null, Problem.InternalError);
        }
    }

    /// <summary>Whether the path belongs to WebSocket: a request for it without an upgrade is told to upgrade; elsewhere an upgrade is ignored.</summary>
    public static bool IsWebSocketPath(ReadOnlySpan<byte> path, bool isConformance) =>
        (path.StartsWith(Prefix) && (path.Length == 3 || path[3] == '/')) || (isConformance && path.SequenceEqual(EchoPath));

    private Response? Check(
        RequestHead head, out long roomId, out ResumePoint resume, out TokenIdentity? identity, out DeflateParameters? deflate)
    {
        roomId = 0;
        resume = ResumePoint.None;
        identity = null;
        deflate = null;
        bool isEcho = isConformance && head.Path.SequenceEqual(EchoPath);
        if (!Handshake.TryRead(head, out OpeningHandshake handshake, out ProtocolError error))
        {
            return error.Code == Handshake.VersionUnsupported.Code ? Problem.UpgradeRequired : Problem.Of(error);
        }

        if (!cors.IsWebSocketOriginAllowed(head))
        {
            return Problem.ForeignOrigin;
        }

        ContextTakeover takeover = isEcho ? ContextTakeover.AsOffered : ContextTakeover.None;
        if ((isDeflateOffered || isEcho) && !DeflateParameters.TryNegotiate(head, takeover, out deflate))
        {
            return Problem.Of(DeflateParameters.ExtensionsMalformed);
        }

        if (isEcho)
        {
            return null;
        }

        TokenResult token = ValidateToken(head, handshake);
        if (!token.IsValid)
        {
            return Problem.Of(token.Failure);
        }

        identity = token.Identity;
        if (head.Path.Length > Prefix.Length && !DecimalDigits.TryParseId(head.Path[(Prefix.Length + 1)..], out roomId))
        {
            return Problem.NoSuchRoom;
        }

        if (!TryReadNumber(head.Query, "since"u8, out long since) || !TryReadNumber(head.Query, "epoch"u8, out long epoch))
        {
            return Problem.BadParameter("since and epoch must be integers from 0 on.");
        }

        resume = since < 0 ? ResumePoint.None : new ResumePoint(since, epoch);
        return null;
    }

    private TokenResult ValidateToken(RequestHead head, in OpeningHandshake handshake)
    {
        if (Bearer.TryRead(head, out ReadOnlySpan<byte> token))
        {
            return tokens.Validate(token);
        }

        if (!handshake.BearerToken.IsEmpty)
        {
            return tokens.Validate(handshake.BearerToken);
        }

        Span<byte> value = stackalloc byte[TokenService.TokenBytesMax];
        return QueryString.Get(head.Query, "token"u8, value, out int length) switch
        {
            QueryResult.Found => tokens.Validate(value[..length]),
            QueryResult.TooLong => TokenFailure.TooLong,
            QueryResult.Malformed => TokenFailure.Malformed,
            _ => TokenFailure.Missing,
        };
    }

    /// <summary>False when it is there and no number; -1 when it is not there.</summary>
    private static bool TryReadNumber(ReadOnlySpan<byte> query, ReadOnlySpan<byte> name, out long value)
    {
        Span<byte> text = stackalloc byte[20];
        QueryResult result = QueryString.Get(query, name, text, out int length);
        value = -1;
        return result == QueryResult.Absent || (result == QueryResult.Found && DecimalDigits.TryParse(text[..length], out value));
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "A handshake for room {RoomId} failed")]
    private static partial void HandshakeFailed(ILogger logger, long roomId, Exception exception);
}
