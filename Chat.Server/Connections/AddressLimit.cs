using System.Net;
using Chat.Protocol;

namespace Chat.Server.Connections;

/// <summary>
/// Open connections by address, and the most that one address may have. Holds an entry an address that has a connection, so
/// no more than there are connections. Thread-safe.
/// </summary>
/// <param name="connectionsMax">0: no limit, and nothing is counted.</param>
internal sealed class AddressLimit(int connectionsMax)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<AddressKey, int> _counts = [];

    /// <summary>False when the address has all it may have.</summary>
    /// <param name="address">The client's.</param>
    /// <param name="place">To be disposed, once, when the connection ends; null without a limit.</param>
    public bool TryEnter(IPAddress address, out IDisposable? place)
    {
        place = null;
        if (connectionsMax == 0)
        {
            return true;
        }

        AddressKey key = AddressKey.Of(address);
        lock (_lock)
        {
            int count = _counts.GetValueOrDefault(key);
            if (count == connectionsMax)
            {
                return false;
            }

            _counts[key] = count + 1;
        }

        place = new Place(this, key);
        return true;
    }

    /// <summary>Addresses that have a connection now.</summary>
    public int AddressCount
    {
        get
        {
            lock (_lock)
            {
                return _counts.Count;
            }
        }
    }

    private void Leave(AddressKey key)
    {
        lock (_lock)
        {
            int count = _counts[key] - 1;
            if (count > 0)
            {
                _counts[key] = count;
            }
            else
            {
                _counts.Remove(key);
            }
        }
    }

    private sealed class Place(AddressLimit limit, AddressKey key) : IDisposable
    {
        private int _isLeft;

        public void Dispose()
        {
            bool isFirst = Interlocked.Exchange(ref _isLeft, 1) == 0;
            Invariant.Require(isFirst);
            limit.Leave(key);
        }
    }
}
