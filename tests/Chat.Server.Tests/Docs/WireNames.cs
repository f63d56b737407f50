using System.Reflection;
using System.Text.Json;
using Chat.Protocol.Http;
using Chat.Protocol.Messages;
using Chat.Protocol.WebSocket;
using Chat.Server.Auth;
using Chat.Server.Rest;
using Chat.Server.Rooms;

namespace Chat.Server.Tests.Docs;

/// <summary>What the code knows of the wire contract: the side of the comparison that cannot be forgotten.</summary>
internal static class WireNames
{
    /// <summary>Method and path, such as <c>GET /rooms/{id}</c>.</summary>
    public static IReadOnlyList<string> Routes { get; } =
    [
        .. ((IEnumerable<Route>)
        [
            // The endpoints themselves are not called, so none of what they need has to be there.
            .. new AccountEndpoints(null!, null!, null!, null!, null!, null!, null!).Routes,
            .. new RoomEndpoints(null!, null!, null!, null!, null, null!, null!, null!, 1, null!).Routes,
            .. new SystemEndpoints(null!, null!, null!, null!, null!, null!, null!, null!, []).Routes,
        ]).Select(route => $"{route.Method.ToString().ToUpperInvariant()} {route.Path}"),
    ];

    /// <summary>The codes of problem details, with their statuses.</summary>
    public static IReadOnlyList<(string Code, int Status)> Problems { get; } =
    [
        .. ((IEnumerable<Response>)
        [
            .. typeof(Problem).GetProperties(BindingFlags.Public | BindingFlags.Static).Select(property => (Response)property.GetValue(null)!),
            Problem.Busy(1),
            Problem.RateLimited(1),
            Problem.TooManyRooms(1),
            Problem.TooManyAttempts(1),
            Problem.Overloaded(1),
            Problem.BadField("email", "invalid", ""),
            Problem.BadParameter(""),
            Problem.MethodNotAllowed(""),
            Problem.Of(RequestErrors.BareLf),
            .. Enum.GetValues<TokenFailure>().Where(failure => failure != TokenFailure.None).Select(Problem.Of),
        ]).Select(problem => (CodeOf(problem), problem.Status)).Distinct(),
    ];

    /// <summary>The codes of error events.</summary>
    public static IReadOnlyList<string> EventErrors { get; } =
        [.. Constants<string>(typeof(ErrorCode)).Union(Constants<string>(typeof(CommandError)))];

    public static IReadOnlyList<ushort> CloseCodes { get; } = [.. Constants<ushort>(typeof(CloseCode))];

    private static string CodeOf(Response problem)
    {
        using JsonDocument document = JsonDocument.Parse(problem.Content);
        return document.RootElement.GetProperty("code").GetString()!;
    }

    private static IEnumerable<T> Constants<T>(Type type) => type
        .GetFields(BindingFlags.Public | BindingFlags.Static)
        .Where(field => field.IsLiteral && field.FieldType == typeof(T))
        .Select(field => (T)field.GetRawConstantValue()!);
}
