using System.Net;
using Chat.LoadTests.Hosting;

namespace Chat.Attacks;

/// <summary>The server under attack, and what the attackers have there: some accounts and a room of their own.</summary>
/// <param name="Server">Its address.</param>
/// <param name="Tokens">Of the attackers' accounts.</param>
/// <param name="Room">A room whose history is long, and where only attackers are.</param>
/// <param name="TimeoutMs">The server's deadlines for a head and for content; the longer one.</param>
internal sealed record AttackTarget(IPEndPoint Server, IReadOnlyList<string> Tokens, long Room, int TimeoutMs)
{
    private const int Users = 4;

    /// <summary>Registers the attackers. Before an attack, which would keep them from it.</summary>
    public static async Task<AttackTarget> OpenAsync(Uri url, int timeoutMs, CancellationToken cancellation)
    {
        using Accounts accounts = await Accounts.RegisterAsync(url, Users, cancellation);
        long[] rooms = await accounts.CreateRoomsAsync(1, "attackers", cancellation);
        return new AttackTarget(
            new IPEndPoint(IPAddress.Parse(url.Host), url.Port), [.. Enumerable.Range(0, Users).Select(i => accounts.For(i).Token)], rooms[0], timeoutMs);
    }
}
