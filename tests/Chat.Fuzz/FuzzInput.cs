namespace Chat.Fuzz;

/// <summary>
/// What a fuzzer's bytes mean: a byte of options, a byte that says how a network would cut the rest, and the rest.
/// A header of fixed size, so that a mutation of the data leaves the other two as they are.
/// </summary>
internal readonly ref struct FuzzInput
{
    /// <summary>Larger ones find nothing that smaller ones do not, and cost executions.</summary>
    public const int DataBytesMax = 4096;

    // Some parsers are shown all that came before at each arrival, which is quadratic.
    private const int PiecesMax = 64;

    private readonly byte _options;
    private readonly byte _cutSeed;

    public FuzzInput(ReadOnlySpan<byte> bytes)
    {
        _options = bytes.Length > 0 ? bytes[0] : (byte)0;
        _cutSeed = bytes.Length > 1 ? bytes[1] : (byte)0;
        // An array of its own and of the exact length: a read past its end is out of bounds, not a lucky guess.
        Data = bytes.Length > 2 ? bytes[2..Math.Min(bytes.Length, 2 + DataBytesMax)].ToArray() : [];
    }

    public byte[] Data { get; }

    public bool HasOption(int bit) => (_options & (1 << bit)) != 0;

    /// <summary>Where the arrivals end, in order; the last is the end of the data. At most 64. Seed 0 cuts a byte at a time.</summary>
    public int[] Cuts()
    {
        var cuts = new List<int>();
        uint state = _cutSeed;
        int at = 0;
        while (at < Data.Length && cuts.Count < PiecesMax - 1)
        {
            // A step of a linear congruential generator (Numerical Recipes). Short pieces more often: edges are close to each other.
            state = (state * 1_664_525) + 1_013_904_223;
            int length = _cutSeed == 0 ? 1 : 1 + (int)((state >> 24) % ((state & 0x10_0000) != 0 ? 5u : 90u));
            at = Math.Min(at + length, Data.Length);
            cuts.Add(at);
        }

        if (cuts.Count == 0 || cuts[^1] != Data.Length)
        {
            cuts.Add(Data.Length);
        }

        return [.. cuts];
    }
}
