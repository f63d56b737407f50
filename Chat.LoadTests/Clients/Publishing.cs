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
/// Every loop of every process walks the same plan and sends what falls to its own publishers, so rate and skew are the same
/// however the publishers are dealt out.
/// </summary>
internal sealed class OpenLoopPublishing : Publishing
{
    /// <summary>After a stall, other work gets its turn after this many sends.</summary>
    private const int SendsPerPaceMax = 256;

    private readonly LoadPlan _plan;
    private readonly long _startNs;
    private readonly MessageTemplate _template;
    private readonly PublisherChoice _choice;
    private readonly WebSocketClient?[] _own;
    private readonly bool _hasPublishers;
    private long _message = -1;
    private WebSocketClient? _sender;
    private long _dueNs;

    /// <param name="plan">The whole run's.</param>
    /// <param name="startNs">When it begins.</param>
    /// <param name="template">What is sent.</param>
    /// <param name="choice">Who sends which message, among all publishers of the run.</param>
    /// <param name="own">Those of this loop.</param>
    public OpenLoopPublishing(LoadPlan plan, long startNs, MessageTemplate template, PublisherChoice choice, IReadOnlyList<WebSocketClient> own)
    {
        _plan = plan;
        _startNs = startNs;
        _template = template;
        _choice = choice;
        _hasPublishers = own.Count > 0;
        _own = new WebSocketClient?[choice.Publishers];
        foreach (WebSocketClient publisher in own)
        {
            _own[publisher.Index] = publisher;
        }

        GoToNext();
    }

    public override long Pace(long nowNs)
    {
        for (int sends = 0; _dueNs <= nowNs && sends < SendsPerPaceMax; sends++)
        {
            _sender!.Publish(_template, _dueNs);
            GoToNext();
        }

        return _dueNs;
    }

    private void GoToNext()
    {
        _sender = null;
        while (_hasPublishers && _sender is null && ++_message < _plan.Messages)
        {
            _sender = _own[_choice.Of(_message)];
        }

        _dueNs = _sender is null ? long.MaxValue : _startNs + Clock.FromSeconds(_plan.DueS(_message));
    }
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
