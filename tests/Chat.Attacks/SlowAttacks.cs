namespace Chat.Attacks;

/// <summary>Slowloris and its kin: to hold a connection by sending as little as possible, or nothing.</summary>
internal static class SlowAttacks
{
    private const int Attackers = 50;
    private const int DropEveryMs = 250;

    private const string Login = "POST /auth/login HTTP/1.1\r\nHost: a\r\n";

    public static IReadOnlyList<Attack> All { get; } =
    [
        new("slow-head", Attackers, attacker => TrickleAsync(attacker, "GET /healthz HTTP/1.1\r\n", "X: y\r\n")),
        new("slow-body", Attackers, attacker => TrickleAsync(attacker, Login + "Content-Length: 60000\r\n\r\n", " ")),
        new("slow-chunks", Attackers, attacker => TrickleAsync(attacker, Login + "Transfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n")),
        new("slow-handshake", Attackers, attacker => TrickleAsync(attacker, "GET /ws/1 HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n", "X: y\r\n")),
        new("silence", Attackers, attacker => TrickleAsync(attacker, "", "")),
        new("half-open", Attackers, HalfOpenAsync),
    ];

    private static async Task TrickleAsync(Attacker attacker, string start, string drop)
    {
        using RawSocket socket = await attacker.ConnectAsync();
        byte[] bytes = Requests.Bytes(drop);
        await socket.TrySendAsync(Requests.Bytes(start));
        for (long startedAt = Environment.TickCount64; !socket.HasAnswer; await attacker.PauseAsync(DropEveryMs))
        {
            await socket.TrySendAsync(bytes);
            if (Environment.TickCount64 - startedAt > attacker.PatienceMs)
            {
                attacker.Expect(false, $"still connected after {attacker.PatienceMs} ms");
                return;
            }
        }

        attacker.Expect(await socket.EndsWithinAsync(attacker.PatienceMs), "not closed after its refusal");
    }

    /// <summary>Ends its own half in the middle of something, and stays.</summary>
    private static async Task HalfOpenAsync(Attacker attacker)
    {
        using RawSocket? socket = attacker.Random.Next(2) == 0 ? await attacker.EnterAsync(attacker.Target.Room) : await attacker.ConnectAsync();
        if (socket is not null)
        {
            await socket.TrySendAsync(Requests.Bytes("G"));
            socket.EndInput();
            attacker.Expect(await socket.EndsWithinAsync(attacker.PatienceMs), "kept although its other half was ended");
        }
    }
}
