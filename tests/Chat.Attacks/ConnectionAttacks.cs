namespace Chat.Attacks;

/// <summary>To use up connections, and to come and go.</summary>
internal static class ConnectionAttacks
{
    /// <summary>From one address, and so many of them at a time: one after the other takes minutes where every step waits for its turn.</summary>
    private const int Burst = 300;
    private const int AtOnce = 10;

    private static readonly byte[] BadHandshake = Requests.Handshake("/ws/1", "no.such.token");

    public static IReadOnlyList<Attack> All { get; } =
    [
        new("handshakes", 8, HandshakeAsync),
        new("connections", 4, CrowdAsync),
        new("resets", 8, ResetAsync),
    ];

    private static async Task HandshakeAsync(Attacker attacker)
    {
        if (attacker.Random.Next(2) == 0)
        {
            (await attacker.EnterAsync(attacker.Target.Room))?.Reset();
            return;
        }

        using RawSocket socket = await attacker.ConnectAsync();
        await socket.TrySendAsync(BadHandshake);
        int status = await socket.ReadStatusAsync();
        attacker.Expect(status == 401 || Attacker.IsRefusal(status), $"a handshake with a bad token was answered with {status}");
    }

    /// <summary>More connections than one address may have; those that the server keeps say nothing until it ends them.</summary>
    private static async Task CrowdAsync(Attacker attacker)
    {
        var sockets = new List<RawSocket>();
        try
        {
            int address = attacker.Random.Next(200, 250);
            for (int i = 0; i < Burst; i += AtOnce)
            {
                await Task.WhenAll(Enumerable.Range(0, AtOnce).Select(_ => ConnectAsync(address)));
            }

            foreach (int status in await Task.WhenAll(sockets.Select(static socket => socket.ReadStatusAsync())))
            {
                attacker.Expect(Attacker.IsRefusal(status), $"silence was answered with {status}");
                if (status != 0)
                {
                    attacker.Tally.WasRefused();
                }
            }
        }
        finally
        {
            sockets.ForEach(static socket => socket.Dispose());
        }

        async Task ConnectAsync(int address)
        {
            RawSocket socket = await attacker.ConnectAsync(address, 0);
            lock (sockets)
            {
                sockets.Add(socket);
            }
        }
    }

    /// <summary>Vanishes anywhere in a conversation.</summary>
    private static async Task ResetAsync(Attacker attacker)
    {
        byte[] handshake = Requests.Handshake($"/ws/{attacker.Target.Room}", attacker.Token);
        byte[] login = Requests.Post("/auth/login", """{"email":"nobody@example.com","password":"wrong password"}""");
        byte[] message = Requests.Text("""{"content":"last words"}""");
        byte[] whole = [.. attacker.Random.Next(3) switch { 0 => login, _ => handshake }, .. message, .. message];
        using RawSocket socket = await attacker.ConnectAsync();
        await socket.TrySendAsync(whole.AsMemory(0, attacker.Random.Next(whole.Length + 1)));
        if (attacker.Random.Next(2) == 0)
        {
            await attacker.PauseAsync(attacker.Random.Next(20));
        }

        socket.Reset();
    }
}
