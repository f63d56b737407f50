using Chat.Fuzz.Targets;

namespace Chat.Fuzz;

/// <summary>
/// One parser of strangers' bytes. <paramref name="Run"/> throws when the parser does, or when one of its promises does not hold.
/// </summary>
/// <param name="Name">As scripts/fuzz.sh and the folders of the corpus have it.</param>
/// <param name="Run">Given any bytes; see <see cref="FuzzInput"/>.</param>
/// <param name="Seeds">Inputs to begin with, made from the vectors of the tests.</param>
internal sealed record FuzzTarget(string Name, Action<ReadOnlyMemory<byte>> Run, Func<IEnumerable<byte[]>> Seeds)
{
    public static IReadOnlyList<FuzzTarget> All { get; } =
    [
        new("http-head", static bytes => HttpHeadTarget.Run(new FuzzInput(bytes.Span)), HttpSeeds.Requests),
        new("chunked-body", static bytes => ChunkedBodyTarget.Run(new FuzzInput(bytes.Span)), HttpSeeds.ChunkedBodies),
        new("frames", static bytes => FrameTarget.Run(new FuzzInput(bytes.Span)), WebSocketSeeds.Frames),
        new("deflate", static bytes => DeflateTarget.Run(new FuzzInput(bytes.Span)), WebSocketSeeds.Deflated),
        new("command", static bytes => CommandTarget.Run(new FuzzInput(bytes.Span)), CommandSeeds.Commands),
        new("token", static bytes => TokenTarget.Run(new FuzzInput(bytes.Span)), TokenSeeds.Tokens),
    ];
}
