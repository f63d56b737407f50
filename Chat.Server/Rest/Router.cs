using System.Text;
using Chat.Protocol.Http;
using Chat.Server.Auth;
using Chat.Server.Connections;
using Chat.Storage;
using Microsoft.Extensions.Logging;

namespace Chat.Server.Rest;

/// <summary>Answers one call. May await the database; must not keep the call.</summary>
internal delegate ValueTask<Response> Endpoint(RestCall call);

/// <summary>A path with at most one <c>{id}</c>, and what answers it.</summary>
/// <param name="Method">HEAD is answered by the route for GET.</param>
/// <param name="Path">Segments are literal but for <c>{id}</c>.</param>
/// <param name="NeedsToken">Answered with 401 unless a valid bearer token comes along.</param>
/// <param name="Endpoint">What answers it.</param>
internal sealed record Route(RequestMethod Method, string Path, bool NeedsToken, Endpoint Endpoint)
{
    public byte[] PathUtf8 { get; } = Encoding.ASCII.GetBytes(Path);
}

/// <summary>
/// Finds the endpoint of a request: a list of some fifteen paths, compared one after the other, which takes less time than
/// hashing would. No reflection. Whatever an endpoint throws becomes an answer here.
/// </summary>
internal sealed partial class Router(IReadOnlyList<Route> routes, TokenService tokens, RateLimits? rates, ServerMetrics metrics, ILogger<Router> logger)
{
    private readonly Route[] _routes = [.. routes];

    public IReadOnlyList<Route> Routes => _routes;

    /// <summary>The answer for every path that none of the routes has; null says that there is no such path.</summary>
    public Response? Elsewhere { get; init; }

    /// <summary>Whether there is <see cref="ConformanceEndpoint"/>.</summary>
    public bool IsConformance { get; init; }

    public ValueTask<Response> AnswerAsync(RestCall call)
    {
        if (IsConformance && ConformanceEndpoint.IsPath(call.Head.Path))
        {
            return new(ConformanceEndpoint.Answer(call));
        }

        RequestMethod method = call.Head.Method == RequestMethod.Head ? RequestMethod.Get : call.Head.Method;
        bool pathIsKnown = false;
        foreach (Route route in _routes)
        {
            if (!TryMatch(route.PathUtf8, call.Head.Path, out long id))
            {
                continue;
            }

            pathIsKnown = true;
            if (route.Method == method)
            {
                call.Id = id;
                return CallAsync(route, call);
            }
        }

        if (!pathIsKnown)
        {
            if (Elsewhere is not null)
            {
                return new(Elsewhere);
            }

            bool isOptions = call.Head.Method == RequestMethod.Options;
            return new(
                Upgrades.IsWebSocketPath(call.Head.Path, IsConformance)
                    ? isOptions ? Response.NoContent.With("Allow", "GET, OPTIONS") : Problem.UpgradeRequired
                    : isOptions && call.Head.Path.SequenceEqual("*"u8) ? Response.NoContent : Problem.NotFound);
        }

        string allow = Allow(call.Head.Path);
        return new(method == RequestMethod.Options ? Response.NoContent.With("Allow", allow) : Problem.MethodNotAllowed(allow));
    }

    /// <summary>Compares a path with a pattern. An id that is no number from 1 on is 0: the endpoint says what does not exist.</summary>
    internal static bool TryMatch(ReadOnlySpan<byte> pattern, ReadOnlySpan<byte> path, out long id)
    {
        id = 0;
        int parameter = pattern.IndexOf("{id}"u8);
        if (parameter < 0)
        {
            return pattern.SequenceEqual(path);
        }

        ReadOnlySpan<byte> suffix = pattern[(parameter + "{id}"u8.Length)..];
        if (path.Length <= parameter + suffix.Length || !path.StartsWith(pattern[..parameter]) || !path.EndsWith(suffix))
        {
            return false;
        }

        ReadOnlySpan<byte> segment = path[parameter..^suffix.Length];
        _ = DecimalDigits.TryParseId(segment, out id);
        return !segment.Contains((byte)'/');
    }

    private ValueTask<Response> CallAsync(Route route, RestCall call)
    {
        if (route.NeedsToken)
        {
            TokenResult token = Bearer.TryRead(call.Head, out ReadOnlySpan<byte> bytes) ? tokens.Validate(bytes) : TokenFailure.Missing;
            if (!token.IsValid)
            {
                return new(Problem.Of(token.Failure));
            }

            call.Caller = token.Identity;
            if (rates is not null && rates.TakeCommand(call.Caller.UserId, call.Content.Length, rates.NowMs) is > 0 and int retryAfterMs)
            {
                metrics.RateLimited.Add();
                return new(Problem.RateLimited(retryAfterMs));
            }
        }

        try
        {
            ValueTask<Response> answer = route.Endpoint(call);
            return answer.IsCompletedSuccessfully ? answer : AwaitAsync(route, answer);
        }
        catch (Exception exception) // The edge of the endpoint; see AwaitAsync.
        {
            return new(Refuse(route, exception));
        }
    }

    private async ValueTask<Response> AwaitAsync(Route route, ValueTask<Response> answer)
    {
        try
        {
            return await answer;
        }
        catch (Exception exception) // The edge of the endpoint: the client gets an answer, the operator gets the reason.
        {
            return Refuse(route, exception);
        }
    }

    private Response Refuse(Route route, Exception exception)
    {
        switch (exception)
        {
            case StoreUnavailableException:
                EndpointUnavailable(logger, route.Method, route.Path, exception.Message);
                return Problem.StoreUnavailable;
            case KeyNotFoundException:
                return Problem.UnknownUser; // The token outlived its account.
            case OperationCanceledException:
                return Problem.StoreUnavailable; // The client is gone; nobody reads this.
            default:
                EndpointFailed(logger, route.Method, route.Path, exception);
                return Problem.InternalError;
        }
    }

    private string Allow(ReadOnlySpan<byte> path)
    {
        var methods = new List<string>();
        foreach (Route route in _routes)
        {
            if (TryMatch(route.PathUtf8, path, out _))
            {
                methods.AddRange(route.Method == RequestMethod.Get ? ["GET", "HEAD"] : [route.Method.ToString().ToUpperInvariant()]);
            }
        }

        methods.Add("OPTIONS");
        return string.Join(", ", methods);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Method} {Path}: the database is not available: {Reason}")]
    private static partial void EndpointUnavailable(ILogger logger, RequestMethod method, string path, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Method} {Path} failed")]
    private static partial void EndpointFailed(ILogger logger, RequestMethod method, string path, Exception exception);
}
