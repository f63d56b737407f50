namespace Chat.LoadTests.Clients;

/// <summary>
/// Whose turn it is. Without skew publishers take turns; with it the rooms' shares of the messages follow Zipf's law, as
/// busy and quiet rooms do: the room at place k gets 1 / k^skew of what the first one gets.
/// </summary>
internal sealed class PublisherChoice
{
    private readonly IReadOnlyList<WebSocketClient> _publishers;
    private readonly double[] _cumulated;
    private readonly Random _random;
    private int _next;

    /// <param name="publishers">Of one loop.</param>
    /// <param name="skew">0: everybody the same; 1: Zipf's law.</param>
    /// <param name="seed">Makes a run repeatable.</param>
    public PublisherChoice(IReadOnlyList<WebSocketClient> publishers, double skew, int seed)
    {
        _publishers = publishers;
        _random = new Random(seed);
        _cumulated = skew > 0 ? new double[publishers.Count] : [];
        double sum = 0;
        for (int i = 0; i < _cumulated.Length; i++)
        {
            sum += 1 / Math.Pow(publishers[i].Room + 1, skew);
            _cumulated[i] = sum;
        }
    }

    public bool IsEmpty => _publishers.Count == 0;

    public WebSocketClient Next()
    {
        if (_cumulated.Length == 0)
        {
            _next = (_next + 1) % _publishers.Count;
            return _publishers[_next];
        }

        int place = Array.BinarySearch(_cumulated, _random.NextDouble() * _cumulated[^1]);
        return _publishers[Math.Min(place < 0 ? ~place : place, _publishers.Count - 1)];
    }
}
