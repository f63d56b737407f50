using System.Collections.Immutable;

namespace Chat.LoadTests.Verify;

/// <summary>The ways in which a server can break its promises.</summary>
internal enum Fault
{
    /// <summary>Acknowledged, and not in the history at the seq and with the id of the acknowledgement.</summary>
    Lost,

    /// <summary>One nonce twice in the history, delivered twice to one client, or acknowledged as two messages.</summary>
    Doubled,

    /// <summary>A client saw messages in another order than the history has, or one sender's came into another order than it sent them.</summary>
    Reordered,

    /// <summary>A seq that is missing: in the history, or in what a client was sent.</summary>
    Hole,

    /// <summary>Seen live, not in the history, and not taken back by a rollback notice.</summary>
    Phantom,

    /// <summary>Not the content that its sender gave it.</summary>
    Altered,

    /// <summary>Neither acknowledged nor refused, although the server had been well for long.</summary>
    Unanswered,
}

/// <summary>How often a promise was broken, and the first example.</summary>
internal sealed record Finding(Fault Fault, long Count, string First);

/// <summary>Counts faults. Any thread.</summary>
internal sealed class Findings
{
    private readonly Lock _gate = new();
    private readonly long[] _counts = new long[Enum.GetValues<Fault>().Length];
    private readonly string[] _first = new string[Enum.GetValues<Fault>().Length];

    public long Total
    {
        get
        {
            lock (_gate)
            {
                return _counts.Sum();
            }
        }
    }

    /// <summary>One for each <see cref="Fault"/>, also when its count is 0.</summary>
    public ImmutableArray<Finding> All
    {
        get
        {
            lock (_gate)
            {
                return [.. Enum.GetValues<Fault>().Select(fault => new Finding(fault, _counts[(int)fault], _first[(int)fault] ?? ""))];
            }
        }
    }

    public long this[Fault fault]
    {
        get
        {
            lock (_gate)
            {
                return _counts[(int)fault];
            }
        }
    }

    /// <param name="fault">What is wrong.</param>
    /// <param name="example">A sentence with client, room, seq and id, from which the search can start.</param>
    /// <param name="count">How many messages it concerns.</param>
    public void Add(Fault fault, string example, long count = 1)
    {
        lock (_gate)
        {
            if (_counts[(int)fault] == 0)
            {
                _first[(int)fault] = example;
            }

            _counts[(int)fault] += count;
        }
    }
}
