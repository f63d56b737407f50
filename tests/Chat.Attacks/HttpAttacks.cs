namespace Chat.Attacks;

/// <summary>To make the server work: heads without an end, password hashes, answers that nobody reads.</summary>
internal static class HttpAttacks
{
    /// <summary>Far above the server's limit for a head, and what it is sent in: bytes.</summary>
    private const int HeadBytes = 20_000_000;

    /// <summary>What may be on its way when the server refuses.</summary>
    private const int HeadBytesTakenMax = 2_000_000;

    private const int Pipelined = 500;

    public static IReadOnlyList<Attack> All { get; } =
    [
        new("endless-head", 2, EndlessHeadAsync),
        new("logins", 16, attacker => AskAsync(attacker, "/auth/login", $$"""{"email":"{{Guid.NewGuid():N}}@example.com","password":"wrong password"}""")),
        new("registrations", 8, attacker => AskAsync(
            attacker, "/auth/register", $$"""{"email":"{{Guid.NewGuid():N}}@example.com","password":"password","username":"x"}""")),
        new("pipelines", 4, PipelineAsync),
        new("unread-answers", 4, attacker => UnreadAsync(attacker)),
    ];

    private static async Task EndlessHeadAsync(Attacker attacker)
    {
        using RawSocket socket = await attacker.ConnectAsync();
        int sent = 0;
        await socket.TrySendAsync(Requests.Bytes("GET /healthz HTTP/1.1\r\nX: "));
        byte[] drop = "y"u8.ToArray();
        while (sent < HeadBytes && !(sent % 64 == 0 && socket.HasAnswer) && await socket.TrySendAsync(drop))
        {
            sent++;
        }

        attacker.Expect(sent < HeadBytesTakenMax, $"{sent} bytes of a head were taken");
        attacker.Expect(await socket.EndsWithinAsync(attacker.PatienceMs), "not closed after its refusal");
    }

    private static async Task AskAsync(Attacker attacker, string path, string json)
    {
        using RawSocket socket = await attacker.ConnectAsync();
        await socket.TrySendAsync(Requests.Post(path, json));
        int status = await socket.ReadStatusAsync();
        attacker.Expect(status is 201 or 401 || Attacker.IsRefusal(status), $"{path} was answered with {status}");
        if (Attacker.IsRefusal(status))
        {
            attacker.Tally.WasRefused();
        }
    }

    /// <summary>Many requests at once, whose answers are read.</summary>
    private static async Task PipelineAsync(Attacker attacker)
    {
        using RawSocket socket = await attacker.ConnectAsync();
        byte[] request = Requests.Bytes($"GET /rooms HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {attacker.Token}\r\n\r\n");
        Task<bool> ended = socket.EndsWithinAsync(attacker.PatienceMs, ofSilence: true);
        await socket.TrySendAsync(Requests.Repeat(request, Pipelined));
        socket.EndInput();
        attacker.Expect(await ended, "not closed after the last answer");
    }

    /// <summary>Many requests at once, whose answers are not.</summary>
    private static async Task UnreadAsync(Attacker attacker)
    {
        using RawSocket socket = await attacker.ConnectAsync(receiveBufferBytes: 4096);
        byte[] request = Requests.Bytes("GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n");
        await socket.TrySendAsync(Requests.Repeat(request, Pipelined));
        await attacker.PauseAsync(attacker.Target.TimeoutMs);
    }
}
