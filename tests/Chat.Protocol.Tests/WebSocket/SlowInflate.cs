namespace Chat.Protocol.Tests.WebSocket;

/// <summary>
/// RFC 1951 read bit by bit, the obvious way: the oracle for our deflater and inflater. It also says how far back a stream refers,
/// which decides whether a peer with a smaller window can read it.
/// </summary>
internal sealed class SlowInflate(byte[] input, byte[] history)
{
    private static readonly int[] LengthBase = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];
    private static readonly int[] LengthExtra = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
    private static readonly int[] DistanceBase =
        [1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577];
    private static readonly int[] CodeLengthOrder = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

    private readonly List<byte> _output = [.. history];
    private int _bit;

    /// <summary>The farthest reference.</summary>
    public int DistanceMax { get; private set; }

    /// <summary>Whether a block said that it is the last one; and whether the last one did.</summary>
    public bool HasFinalBlock { get; private set; }

    /// <inheritdoc cref="HasFinalBlock"/>
    public bool EndsWithFinalBlock { get; private set; }

    /// <summary>What came out.</summary>
    public byte[] Message => _output[history.Length..].ToArray();

    /// <summary>Inflates one message of RFC 7692, whose tail has been taken off, after what came before it.</summary>
    public static (byte[] Message, int DistanceMax) Inflate(ReadOnlySpan<byte> compressed, byte[]? history = null)
    {
        var inflate = new SlowInflate([.. compressed, 0, 0, 0xFF, 0xFF], history ?? []);
        inflate.Run();
        return (inflate.Message, inflate.DistanceMax);
    }

    /// <summary>Inflates. Throws one exception or another for what is no DEFLATE: its tables and its input are read without a look at their ends.</summary>
    public void Run()
    {
        while (_bit < (input.Length * 8) - 7) // Padding after a BFINAL block is less than a byte.
        {
            bool isLast = Bits(1) == 1;
            HasFinalBlock |= isLast;
            EndsWithFinalBlock = isLast;
            switch (Bits(2))
            {
                case 0:
                    Stored();
                    break;
                case 1:
                    Compressed(
                        new Code([.. Enumerable.Repeat(8, 144), .. Enumerable.Repeat(9, 112), .. Enumerable.Repeat(7, 24), .. Enumerable.Repeat(8, 8)]),
                        new Code([.. Enumerable.Repeat(5, 30)]));
                    break;
                case 2:
                    Dynamic();
                    break;
                default:
                    throw new InvalidDataException("block type");
            }

            if (isLast)
            {
                _bit = (_bit + 7) / 8 * 8;
            }
        }
    }

    private void Stored()
    {
        _bit = (_bit + 7) / 8 * 8;
        int length = Bits(16);
        if (length != (Bits(16) ^ 0xFFFF))
        {
            throw new InvalidDataException("stored length");
        }

        for (int i = 0; i < length; i++)
        {
            _output.Add((byte)Bits(8));
        }
    }

    private void Dynamic()
    {
        int literals = Bits(5) + 257;
        int distances = Bits(5) + 1;
        int codes = Bits(4) + 4;
        var lengths = new int[19];
        for (int i = 0; i < codes; i++)
        {
            lengths[CodeLengthOrder[i]] = Bits(3);
        }

        var code = new Code(lengths);
        var all = new List<int>();
        while (all.Count < literals + distances)
        {
            int symbol = code.Next(this);
            switch (symbol)
            {
                case 16:
                    all.AddRange(Enumerable.Repeat(all[^1], Bits(2) + 3));
                    break;
                case 17:
                    all.AddRange(Enumerable.Repeat(0, Bits(3) + 3));
                    break;
                case 18:
                    all.AddRange(Enumerable.Repeat(0, Bits(7) + 11));
                    break;
                default:
                    all.Add(symbol);
                    break;
            }
        }

        Compressed(new Code([.. all.Take(literals)]), new Code([.. all.Skip(literals)]));
    }

    private void Compressed(Code literals, Code distances)
    {
        for (int symbol = literals.Next(this); symbol != 256; symbol = literals.Next(this))
        {
            if (symbol < 256)
            {
                _output.Add((byte)symbol);
                continue;
            }

            int length = LengthBase[symbol - 257] + Bits(LengthExtra[symbol - 257]);
            int distanceSymbol = distances.Next(this);
            int distance = DistanceBase[distanceSymbol] + Bits(distanceSymbol < 4 ? 0 : (distanceSymbol / 2) - 1);
            DistanceMax = Math.Max(DistanceMax, distance);
            for (int i = 0; i < length; i++)
            {
                _output.Add(_output[^distance]);
            }
        }
    }

    private int Bits(int count)
    {
        int value = 0;
        for (int i = 0; i < count; i++, _bit++)
        {
            value |= ((input[_bit / 8] >> (_bit % 8)) & 1) << i;
        }

        return value;
    }

    /// <summary>A canonical Huffman code, as a table of code and length.</summary>
    private sealed class Code
    {
        private readonly Dictionary<(int Length, int Bits), int> _symbols = [];

        public Code(int[] lengths)
        {
            int next = 0;
            for (int length = 1; length <= 15; length++, next <<= 1)
            {
                for (int symbol = 0; symbol < lengths.Length; symbol++)
                {
                    if (lengths[symbol] == length)
                    {
                        _symbols[(length, next++)] = symbol;
                    }
                }
            }
        }

        public int Next(SlowInflate from)
        {
            int bits = 0;
            for (int length = 1; length <= 15; length++)
            {
                bits = (bits << 1) | from.Bits(1);
                if (_symbols.TryGetValue((length, bits), out int symbol))
                {
                    return symbol;
                }
            }

            throw new InvalidDataException("code");
        }
    }
}
