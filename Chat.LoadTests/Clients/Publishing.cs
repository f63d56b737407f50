using Chat.LoadTests.Loads;

namespace Chat.LoadTests.Clients;

/// <summary>When and by whom messages are sent, for the clients of one loop. Belongs to the loop's thread.</summary>
internal abstract class Publishing
{
    /// <summary>Sends what is due.</summary>
    /// <returns>When the next message is due; <see cref="long.MaxValue"/> when no time decides it.</returns>
    public abstract long Pace(long nowNs);

    /// <summary>A message of the client has come back, or was refused.</summary>
    public virtual void OnSettled(WebSocketClient client)
    {
    }
}

/// <summary>
/// Open loop: messages are due when the plan says, whether or not the server keeps up, and latency counts from then.
/// Of several loops and processes each takes every n-th message of the same plan.
/// </summary>
internal sealed class OpenLoopPublishing(
    LoadPlan plan, LoadShare share, long startNs, MessageTemplate template, PublisherChoice publishers) : Publishing
{
    /// <summary>After a stall, other work gets its turn after this many sends.</summary>
    private const int SendsPerPaceMax = 256;

    private long _next = share.Index;
    private long _nextDueNs = DueNs(plan, startNs, share.Index);

    public override long Pace(long nowNs)
    {
        if (publishers.IsEmpty)
        {
            return long.MaxValue;
        }

        for (int sends = 0; _nextDueNs <= nowNs && sends < SendsPerPaceMax; sends++)
        {
            publishers.Next().Publish(template, _nextDueNs);
            _next += share.Count;
            _nextDueNs = DueNs(plan, startNs, _next);
        }

        return _nextDueNs;
    }

    private static long DueNs(LoadPlan plan, long startNs, long message) =>
        plan.DueS(message) is double dueS and < double.PositiveInfinity ? startNs + Clock.FromSeconds(dueS) : long.MaxValue;
}

/// <summary>Closed loop: each publisher has a number of messages under way, and sends the next when one has come back.</summary>
internal sealed class ClosedLoopPublishing(IReadOnlyList<WebSocketClient> publishers, int window, long startNs, MessageTemplate template)
    : Publishing
{
    private bool _hasStarted;

    public override long Pace(long nowNs)
    {
        if (!_hasStarted && nowNs >= startNs)
        {
            _hasStarted = true;
            for (int i = 0; i < window; i++)
            {
                foreach (WebSocketClient publisher in publishers)
                {
                    Send(publisher);
                }
            }
        }

        return _hasStarted ? long.MaxValue : startNs;
    }

    public override void OnSettled(WebSocketClient client)
    {
        if (_hasStarted && client.Outstanding < window)
        {
            Send(client);
        }
    }

    private void Send(WebSocketClient publisher)
    {
        if (publisher.IsMember)
        {
            publisher.Publish(template, Clock.NowNs);
        }
    }
}
