using System.Net;
using Chat.Protocol.Http;
using Chat.Server.Auth;
using Chat.Server.Connections;
using Chat.Storage;

namespace Chat.Server.Rest;

/// <summary>Registration, login, and who am I.</summary>
internal sealed class AccountEndpoints(
    IChatStore store,
    Credentials credentials,
    PasswordHasher hasher,
    TokenService tokens,
    AuthLimits limits,
    ClientAddresses addresses,
    ServerMetrics metrics)
{
    public IReadOnlyList<Route> Routes =>
    [
        new(RequestMethod.Post, "/auth/register", NeedsToken: false, RegisterAsync),
        new(RequestMethod.Post, "/auth/login", NeedsToken: false, LoginAsync),
        new(RequestMethod.Get, "/auth/me", NeedsToken: true, GetMeAsync),
    ];

    private async ValueTask<Response> RegisterAsync(RestCall call)
    {
        if (!RestJson.TryRead(call.Content, RestJson.Default.RegisterRequest, out RegisterRequest request))
        {
            return Problem.BadJson;
        }

        if (!Credentials.TryReadEmail(request.Email, out string email, out FieldError error)
            || !credentials.TryReadPassword(request.Password, out string password, out error)
            || !credentials.TryReadUsername(request.Username, out string username, out error))
        {
            return Problem.BadField(error);
        }

        IPAddress client = addresses.Resolve(call.Peer, call.Head);
        if (!limits.TryRegister(client, out int retryAfterSeconds))
        {
            return TooManyAttempts(retryAfterSeconds);
        }

        CancellationToken aborted = call.Aborted;
        string? hash = null;
        try
        {
            // Before the expensive hash; a race of two registrations is decided by the store.
            if (await store.FindUserByEmailAsync(email, aborted) is not null)
            {
                return EmailTaken(client);
            }

            hash = await hasher.HashAsync(password, aborted);
            if (hash is null)
            {
                limits.GiveBackRegistration(client);
                return Problem.Busy(hasher.RetryAfterSeconds);
            }

            UserRecord? user = await store.CreateUserAsync(email, username, hash, aborted);
            return user is null ? EmailTaken(client) : SessionOf(201, user);
        }
        catch (Exception exception) when (exception is StoreUnavailableException || (exception is OperationCanceledException && hash is null))
        {
            limits.GiveBackRegistration(client); // Not when its client left later than that: the account may have been made.
            throw;
        }
    }

    /// <summary>It tells that there is an account, which is worth as much as a guess at a password: the same limit holds.</summary>
    private Response EmailTaken(IPAddress client) =>
        limits.TryLearn(client, out int retryAfterSeconds) ? Problem.EmailTaken : TooManyAttempts(retryAfterSeconds);

    private Response TooManyAttempts(int retryAfterSeconds)
    {
        metrics.AttemptsRefused.Add();
        return Problem.TooManyAttempts(retryAfterSeconds);
    }

    private async ValueTask<Response> LoginAsync(RestCall call)
    {
        if (!RestJson.TryRead(call.Content, RestJson.Default.LoginRequest, out LoginRequest request))
        {
            return Problem.BadJson;
        }

        if (request.Email is null)
        {
            return Problem.BadField("email", "required", "An e-mail address is required.");
        }

        if (request.Password is null)
        {
            return Problem.BadField("password", "required", "A password is required.");
        }

        CancellationToken aborted = call.Aborted;
        bool isEmail = Credentials.TryReadEmail(request.Email, out string email, out _);
        IPAddress client = addresses.Resolve(call.Peer, call.Head);
        // Before the hash, which they would be spared otherwise, and alike for e-mails that nobody has.
        if (!limits.TryLogin(email, client, out int retryAfterSeconds))
        {
            return TooManyAttempts(retryAfterSeconds);
        }

        UserRecord? user;
        PasswordVerdict? verdict = null;
        try
        {
            user = isEmail
                ? await store.FindUserByEmailAsync(email, aborted)
                : null;
            // An unknown e-mail costs the same hash as a wrong password: the time of the answer tells nothing.
            verdict = user is null
                ? await hasher.VerifyUnknownAsync(request.Password, aborted)
                : await hasher.VerifyAsync(request.Password, user.PasswordHash, aborted);
        }
        finally
        {
            if (verdict != PasswordVerdict.Mismatch)
            {
                limits.GiveBackLogin(email, client); // Also when the database is away, or the client left before its turn: nothing was compared.
            }
        }

        if (verdict == PasswordVerdict.MatchNeedsRehash)
        {
            await RehashAsync(user!, request.Password, aborted);
        }

        return verdict switch
        {
            PasswordVerdict.Busy => Problem.Busy(hasher.RetryAfterSeconds),
            PasswordVerdict.Match or PasswordVerdict.MatchNeedsRehash => SessionOf(200, user!),
            _ => Problem.BadCredentials,
        };
    }

    /// <summary>
    /// Stores the hash at today's cost, while the password is at hand. The login holds whether or not that succeeds: when the gate is full or the
    /// database away, the next one does it.
    /// </summary>
    private async Task RehashAsync(UserRecord user, string password, CancellationToken aborted)
    {
        try
        {
            if (await hasher.HashAsync(password, aborted) is { } hash)
            {
                await store.ReplacePasswordHashAsync(user.Id, user.PasswordHash, hash, aborted);
            }
        }
        catch (StoreUnavailableException)
        {
        }
    }

    private async ValueTask<Response> GetMeAsync(RestCall call)
    {
        UserRecord? user = await store.FindUserByIdAsync(call.Caller!.UserId, call.Aborted);
        return user is null ? Problem.UnknownUser : Response.Json(200, ToJson(user), RestJson.Default.UserJson);
    }

    private Response SessionOf(int status, UserRecord user)
    {
        IssuedToken token = tokens.Issue(user.Id, user.Username);
        return Response.Json(
            status,
            new SessionJson(token.Token, RestJson.Timestamp(token.ExpiresAt), ToJson(user)),
            RestJson.Default.SessionJson).With("Cache-Control", "no-store");
    }

    private static UserJson ToJson(UserRecord user) =>
        new(user.Id, user.Email, user.Username, RestJson.Timestamp(user.CreatedAt));
}
