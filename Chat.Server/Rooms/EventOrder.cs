using Chat.Storage;

namespace Chat.Server.Rooms;

/// <summary>
/// Brings the durable events of a room that several nodes write to into its order. They come by several ways, some twice and some not at all: an event is
/// delivered when all before it have been, and once. Any thread; deliveries are one at a time.
/// </summary>
/// <param name="lastSeq">The last that need not be delivered.</param>
/// <param name="deliver">Takes one event. Others wait for it.</param>
internal sealed class EventOrder(long lastSeq, Action<MessageRecord> deliver)
{
    /// <summary>Events that may wait for one before them. What comes beyond is dropped, and read from the database when its turn comes.</summary>
    public const int EarlyMax = 1_024;

    private readonly Lock _lock = new();
    private readonly Dictionary<long, MessageRecord> _early = [];
    private long _next = lastSeq + 1;

    /// <summary>An event is missing before one that has come.</summary>
    public bool IsWaiting
    {
        get
        {
            lock (_lock)
            {
                return _early.Count > 0;
            }
        }
    }

    /// <returns>False while an event is missing before one that has come.</returns>
    public bool Add(MessageRecord record)
    {
        lock (_lock)
        {
            if (record.Seq > _next)
            {
                if (_early.Count < EarlyMax)
                {
                    _early.TryAdd(record.Seq, record);
                }

                return false;
            }

            if (record.Seq == _next)
            {
                MessageRecord? next = record;
                do
                {
                    deliver(next);
                    _next++;
                }
                while (_early.Remove(_next, out next));
            }

            return _early.Count == 0;
        }
    }
}
