using Chat.Server.Nodes;
using Chat.TestKit;

namespace Chat.Server.Tests.Nodes;

public sealed class NodePresenceTests
{
    private readonly ManualTime _time = new(DateTimeOffset.UnixEpoch);
    private readonly NodePresence _presence;

    public NodePresenceTests() => _presence = new NodePresence(_time);

    [Fact]
    public void Connections_of_all_other_nodes_count()
    {
        Assert.True(_presence.TryReceive(NodePresence.Write(1, [(7, 100)]), ownNode: 1));
        Assert.True(_presence.TryReceive(NodePresence.Write(2, [(7, 2), (8, 1)]), ownNode: 1));
        Assert.True(_presence.TryReceive(NodePresence.Write(3, [(7, 3)]), ownNode: 1));

        Assert.Equal((5, 1, 0), (_presence.ConnectionsElsewhere(7), _presence.ConnectionsElsewhere(8), _presence.ConnectionsElsewhere(9)));
        Assert.True(_presence.TryReceive(NodePresence.Write(2, []), ownNode: 1));
        Assert.Equal((3, 0), (_presence.ConnectionsElsewhere(7), _presence.ConnectionsElsewhere(8)));
    }

    [Fact]
    public void A_node_that_has_fallen_silent_has_none()
    {
        _presence.TryReceive(NodePresence.Write(2, [(7, 2)]), ownNode: 1);
        _time.Advance(TimeSpan.FromSeconds(3));
        Assert.Equal(2, _presence.ConnectionsElsewhere(7));

        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(0, _presence.ConnectionsElsewhere(7));
        _presence.Sweep();
        _presence.TryReceive(NodePresence.Write(2, [(7, 1)]), ownNode: 1);
        Assert.Equal(1, _presence.ConnectionsElsewhere(7));
    }

    [Fact]
    public void What_no_node_has_written_is_refused()
    {
        byte[] packet = NodePresence.Write(2, [(7, 2)]);

        for (int length = 0; length < packet.Length; length++)
        {
            Assert.Equal(length == 9, _presence.TryReceive(packet.AsSpan(0, length), ownNode: 1)); // A node without connections is one.
        }

        packet[0]++;
        Assert.False(_presence.TryReceive(packet, ownNode: 1));
        packet[0]--;
        packet[^1] = 0x80; // Fewer than none.
        Assert.True(_presence.TryReceive(packet, ownNode: 1));
        Assert.Equal(0, _presence.ConnectionsElsewhere(7));
    }
}
