namespace Chat.Storage;

/// <summary>
/// The message ids of one of several servers: blocks that the database hands out, one in use and one in reserve. Ids are given before their
/// messages are stored, so that what is sent again after an unclear outcome is known by them. Any thread.
/// </summary>
internal sealed class MessageIds
{
    /// <summary>
    /// At 50,000 messages a second twenty seconds' worth. Small enough that ids stay exact in a double (2^53) for 8 billion blocks, of which each start takes one.
    /// </summary>
    internal const int BlockSize = 1 << 20;

    private readonly Lock _lock = new();
    private long _last;
    private long _left;
    private long _reserve;

    internal MessageIds(long before)
    {
        _last = before;
        _left = BlockSize;
    }

    /// <summary>Half of the block in use is gone, and there is none in reserve.</summary>
    internal bool NeedsBlock
    {
        get
        {
            lock (_lock)
                return _reserve == 0 && _left <= BlockSize / 2;
        }
    }

    internal long Left
    {
        get
        {
            lock (_lock)
                return _left + (_reserve == 0 ? 0 : BlockSize);
        }
    }

    /// <param name="before">Greater than 0.</param>
    internal void Add(long before)
    {
        lock (_lock)
        {
            Invariant.Require(_reserve == 0 && before > 0);
            _reserve = before;
        }
    }

    internal long Next()
    {
        lock (_lock)
        {
            if (_left == 0)
            {
                Invariant.Require(_reserve != 0);
                _last = _reserve;
                _left = BlockSize;
                _reserve = 0;
            }
            _left--;
            return ++_last;
        }
    }
}
