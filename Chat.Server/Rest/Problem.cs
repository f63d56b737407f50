using System.Text.Json;
using Chat.Protocol;
using Chat.Server.Auth;

namespace Chat.Server.Rest;

/// <summary>Refusals as RFC 9457 problem details with a stable <c>code</c>; the list is in docs/protocol.md.</summary>
internal static class Problem
{
    private static readonly byte[] ContentType = "application/problem+json"u8.ToArray();

    public static Response NotFound { get; } = Of(404, "not_found", "There is nothing at this path.");

    public static Response NoSuchRoom { get; } = Of(404, "no_such_room", "There is no such room.");

    public static Response EmailTaken { get; } = Of(409, "email_taken", "An account with this e-mail exists.");

    public static Response BadCredentials { get; } = Of(401, "bad_credentials", "The e-mail or the password is wrong.").With("WWW-Authenticate", "Bearer");

    public static Response BadJson { get; } = Of(400, "bad_json", "The content must be one JSON object with fields of the right types.");

    public static Response ForeignAddress { get; } = Of(403, "foreign_address", "Figures are for the networks of METRICS_FROM.");

    public static Response ForeignOrigin { get; } = Of(403, "foreign_origin", "This origin may not connect.");

    public static Response NotStored { get; } = Of(500, "not_stored", "The message could not be stored.");

    public static Response InternalError { get; } = Of(500, "internal_error", "The server failed to answer.");

    public static Response UnknownUser { get; } = Of(401, "unknown_user", "The token's account does not exist.").With("WWW-Authenticate", "Bearer");

    public static Response StoreUnavailable { get; } = Of(503, "unavailable", "The database is not available.").With("Retry-After", "1");

    public static Response TooManyConnections { get; } =
        Of(429, "too_many_connections", "This address has all the connections it may have.").With("Retry-After", "1");

    public static Response UpgradeRequired { get; } = Of(426, "upgrade_required", "This path speaks WebSocket, version 13.")
        .With("Upgrade", "websocket").With("Connection", "Upgrade").With("Sec-WebSocket-Version", "13");

    // These and the tokens' are what floods are answered with.
    private static readonly RetryLater BusyNow = new(Of(429, "busy", "Too many logins at once."));
    private static readonly RetryLater TooFast = new(Of(429, "rate_limited", "Too many calls or messages of this user."));
    private static readonly RetryLater TooOften = new(Of(429, "too_many_attempts", "Too many attempts."));
    private static readonly RetryLater TooManyMade = new(Of(429, "too_many_rooms", "Too many rooms made by this user."));
    private static readonly RetryLater LogIsFull = new(Of(503, "overloaded", "Too many messages wait to be stored."));
    private static readonly Response MissingToken = Of(401, "missing_token", "A bearer token is required.").With("WWW-Authenticate", "Bearer");
    private static readonly Response ExpiredToken =
        Of(401, "token_expired", "The token has expired.").With("WWW-Authenticate", "Bearer error=\"invalid_token\"");
    private static readonly Response BadToken =
        Of(401, "bad_token", "The token is not valid.").With("WWW-Authenticate", "Bearer error=\"invalid_token\"");

    /// <summary>Too many password hashes wait; tells the client when to come again.</summary>
    public static Response Busy(int retryAfterSeconds) => BusyNow.After(retryAfterSeconds);

    /// <summary>The caller sends more than one user may.</summary>
    public static Response RateLimited(int retryAfterMs) => TooFast.After(Seconds(retryAfterMs));

    /// <summary>Too many wrong passwords for an account or from an address, or too many accounts made by one.</summary>
    public static Response TooManyAttempts(int retryAfterSeconds) => TooOften.After(retryAfterSeconds);

    /// <summary>The caller made more rooms than one user may.</summary>
    public static Response TooManyRooms(int retryAfterSeconds) => TooManyMade.After(retryAfterSeconds);

    public static Response Overloaded(int retryAfterMs) => LogIsFull.After(Seconds(retryAfterMs));

    public static Response BadField(in FieldError error) => BadField(error.Field, error.Code, error.Message);

    public static Response BadField(string field, string reason, string message) =>
        Json(400, new ProblemJson("about:blank", "Bad Request", 400, message, "bad_field", field, reason));

    public static Response BadParameter(string message) => Of(400, "bad_parameter", message);

    public static Response MethodNotAllowed(string allow) => Of(405, "method_not_allowed", "The method is not allowed here.").With("Allow", allow);

    /// <summary>Bytes that were refused by the request parser.</summary>
    public static Response Of(ProtocolError error) => Of(error.Code, "bad_request", error.Reason);

    /// <summary>A token that is missing or refused: RFC 6750 section 3.1.</summary>
    public static Response Of(TokenFailure failure) => failure switch
    {
        TokenFailure.Missing => MissingToken,
        TokenFailure.Expired => ExpiredToken,
        _ => BadToken,
    };

    private static int Seconds(int ms) => Math.Max(1, (ms + 999) / 1000);

    private static Response Of(int status, string code, string detail) =>
        Json(status, new ProblemJson("about:blank", Title(status), status, detail, code, null, null));

    private static Response Json(int status, ProblemJson problem) =>
        new(status, JsonSerializer.SerializeToUtf8Bytes(problem, RestJson.Default.ProblemJson)) { ContentType = ContentType };

    private static string Title(int status) => Microsoft.AspNetCore.WebUtilities.ReasonPhrases.GetReasonPhrase(status);

    /// <summary>A refusal that says when to come again. The answers of the first minute are made once each, when they are wanted. Thread-safe.</summary>
    private sealed class RetryLater(Response refusal)
    {
        private readonly Response?[] _made = new Response?[61];

        public Response After(int seconds) =>
            (uint)seconds >= (uint)_made.Length ? Make(seconds) : Volatile.Read(ref _made[seconds]) ?? Keep(seconds);

        private Response Keep(int seconds)
        {
            Response made = Make(seconds); // Two at once make the same.
            Volatile.Write(ref _made[seconds], made);
            return made;
        }

        private Response Make(int seconds) => refusal.With("Retry-After", $"{seconds}");
    }
}
