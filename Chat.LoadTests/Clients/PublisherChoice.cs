namespace Chat.LoadTests.Clients;

/// <summary>
/// Who sends which message: a function of the message's number, so that all who know the plan agree on it. Without skew
/// publishers take turns; with it the rooms' shares of the messages follow Zipf's law, as busy and quiet rooms do: the room at
/// place k gets 1 / k^skew of what the first one gets.
/// </summary>
internal sealed class PublisherChoice
{
    private readonly int _publishersPerRoom;
    private readonly double[] _cumulated;
    private readonly int _rooms;

    /// <param name="rooms">Rooms of the run.</param>
    /// <param name="publishersPerRoom">Publishers in each. Client number <c>room + rooms * k</c> is the k-th of a room.</param>
    /// <param name="skew">0: everybody the same; 1: Zipf's law.</param>
    public PublisherChoice(int rooms, int publishersPerRoom, double skew)
    {
        _rooms = rooms;
        _publishersPerRoom = publishersPerRoom;
        _cumulated = skew > 0 ? new double[rooms] : [];
        double sum = 0;
        for (int i = 0; i < _cumulated.Length; i++)
        {
            sum += 1 / Math.Pow(i + 1, skew);
            _cumulated[i] = sum;
        }
    }

    /// <summary>In the whole run.</summary>
    public int Publishers => _rooms * _publishersPerRoom;

    /// <summary>The number of the client that sends this message.</summary>
    public int Of(long message)
    {
        if (_cumulated.Length == 0)
        {
            return (int)(message % Publishers);
        }

        ulong draw = Mix((ulong)message);
        int place = Array.BinarySearch(_cumulated, (draw >> 11) * (1.0 / (1UL << 53)) * _cumulated[^1]);
        int room = Math.Min(place < 0 ? ~place : place, _rooms - 1);
        return room + _rooms * (int)(Mix(draw) % (ulong)_publishersPerRoom);
    }

    /// <summary>SplitMix64: numbers in a row become numbers that look drawn.</summary>
    private static ulong Mix(ulong value)
    {
        value += 0x9E3779B97F4A7C15;
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
        return value ^ (value >> 31);
    }
}
