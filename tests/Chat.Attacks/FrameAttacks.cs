using Chat.Protocol.WebSocket;

namespace Chat.Attacks;

/// <summary>What somebody with an account can do over a WebSocket.</summary>
internal static class FrameAttacks
{
    private const int PerWrite = 500;
    private const int BombBytes = 64 * 1024 * 1024;
    private const int PublisherPauseMs = 25;

    private static readonly byte[] Pings = Requests.Repeat(Requests.Frame(0x89, "12345678"u8), PerWrite);
    private static readonly byte[] TinyFrames = Requests.Repeat(Requests.Frame(0x81, "{"u8), PerWrite);
    private static readonly byte[] Pongs = Requests.Repeat(Requests.Frame(0x8A, ""u8), PerWrite);
    private static readonly byte[] Commands = Requests.Repeat(Requests.Text("""{"type":"ping"}"""), PerWrite);
    private static readonly byte[] Messages = Requests.Repeat(Requests.Text("""{"content":"flood"}"""), PerWrite);
    private static readonly byte[] FragmentStart = Requests.Frame(0x01, "{"u8);
    private static readonly byte[] Fragments = Requests.Repeat(Requests.Frame(0x00, " "u8), PerWrite);
    private static readonly byte[] EmptyFragments = Requests.Repeat(Requests.Frame(0x00, ""u8), PerWrite);
    private static readonly byte[] Announced = [0x81, 0xFF, 0x3F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4];
    private static readonly byte[] Oversized = Requests.Frame(0x81, new byte[1024 * 1024]);
    private static readonly byte[] Bomb = Requests.Bomb(BombBytes);
    private static readonly byte[] LongMessage = Requests.Text($$"""{"content":"{{new string('x', 4000)}}"}""");

    public static IReadOnlyList<Attack> All { get; } =
    [
        new("pings", 4, attacker => FloodAsync(attacker, [], Pings, CloseCode.RateLimited)),
        new("pongs", 2, attacker => FloodAsync(attacker, [], Pongs, CloseCode.RateLimited)),
        new("tiny-frames", 4, attacker => FloodAsync(attacker, [], TinyFrames, CloseCode.RateLimited)),
        new("commands", 4, attacker => FloodAsync(attacker, [], Commands, CloseCode.RateLimited)),
        new("messages", 4, attacker => FloodAsync(attacker, [], Messages, CloseCode.RateLimited)),
        new("subscriptions", 2, SubscribeAsync),
        new("fragments", 2, attacker => FloodAsync(attacker, FragmentStart, Fragments, CloseCode.MessageTooBig)),
        new("empty-fragments", 2, attacker => FloodAsync(attacker, FragmentStart, EmptyFragments, CloseCode.RateLimited)),
        new("oversized", 4, attacker => EndAsync(attacker, attacker.Random.Next(2) == 0 ? Announced : Oversized, "")),
        new("bombs", 4, attacker => EndAsync(attacker, Bomb, "Sec-WebSocket-Extensions: permessage-deflate\r\n")),
        new("never-reading", 10, NeverReadAsync),
        new("publisher", 1, PublishAsync),
    ];

    /// <summary>
    /// Sends as fast as it is taken, and reads, until the server ends it. That must be for what it does, for what its user owes from earlier floods, or
    /// because it reads too slowly meanwhile.
    /// </summary>
    private static async Task FloodAsync(Attacker attacker, byte[] start, byte[] flood, int code)
    {
        using RawSocket? socket = await attacker.EnterAsync(attacker.Target.Room);
        if (socket is null)
        {
            return;
        }

        Task<int> close = socket.ReadCloseAsync();
        await socket.TrySendAsync(start);
        while (!close.IsCompleted && await socket.TrySendAsync(flood))
        {
        }

        socket.EndInput();
        int was = await close;
        attacker.Expect(was == code || was is 0 or CloseCode.RateLimited or CloseCode.SlowConsumer, $"ended with {was}, not {code}");
    }

    private static async Task SubscribeAsync(Attacker attacker)
    {
        byte[] both = [
            .. Requests.Text($$"""{"type":"subscribe","room_id":{{attacker.Target.Room}},"since":0,"epoch":1}"""),
            .. Requests.Text($$"""{"type":"unsubscribe","room_id":{{attacker.Target.Room}}}""")];
        using RawSocket? socket = await attacker.EnterAsync(0);
        if (socket is null)
        {
            return;
        }

        Task<int> close = socket.ReadCloseAsync();
        byte[] flood = Requests.Repeat(both, 50);
        while (!close.IsCompleted && await socket.TrySendAsync(flood))
        {
        }

        socket.EndInput();
        int was = await close;
        attacker.Expect(was is 0 or CloseCode.RateLimited or CloseCode.SlowConsumer, $"ended with {was}");
    }

    /// <summary>Sends what is too big, and must be told so, or that its user still owes from a flood.</summary>
    private static async Task EndAsync(Attacker attacker, byte[] bytes, string fields)
    {
        using RawSocket? socket = await attacker.EnterAsync(attacker.Target.Room, fields);
        if (socket is not null)
        {
            Task<int> close = socket.ReadCloseAsync();
            await socket.TrySendAsync(bytes);
            int was = await close;
            attacker.Expect(was is CloseCode.MessageTooBig or CloseCode.RateLimited or CloseCode.SlowConsumer or 0, $"ended with {was}");
        }
    }

    /// <summary>A member that takes nothing, for longer than the server lets it.</summary>
    private static async Task NeverReadAsync(Attacker attacker)
    {
        using RawSocket? socket = await attacker.EnterAsync(attacker.Target.Room, receiveBufferBytes: 4096);
        if (socket is not null)
        {
            await attacker.PauseAsync(attacker.PatienceMs);
        }
    }

    /// <summary>Says much, within its limits, to those who do not read.</summary>
    private static async Task PublishAsync(Attacker attacker)
    {
        using RawSocket? socket = await attacker.EnterAsync(attacker.Target.Room);
        if (socket is not null)
        {
            Task<int> close = socket.ReadCloseAsync();
            while (!close.IsCompleted && await socket.TrySendAsync(LongMessage))
            {
                await attacker.PauseAsync(PublisherPauseMs);
            }
        }
    }
}
