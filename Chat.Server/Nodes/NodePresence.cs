using System.Buffers.Binary;
using System.Collections.Concurrent;

namespace Chat.Server.Nodes;

/// <summary>
/// How many connections each room has on the other nodes, as they say once a second. A node that has fallen silent has none. Any thread.
///
///     packet: version (1 byte) | node (8) | (room_id (8) | connections (4))...     little-endian; rooms without connections are left out
/// </summary>
internal sealed class NodePresence(TimeProvider time)
{
    private const byte Version = 1;
    private const int HeadBytes = 1 + sizeof(long);
    private const int RoomBytes = sizeof(long) + sizeof(int);

    /// <summary>Two packets may be lost.</summary>
    private static readonly TimeSpan SilenceMax = TimeSpan.FromSeconds(3.5);

    private readonly ConcurrentDictionary<long, Counts> _nodes = new();

    public static byte[] Write(long node, IReadOnlyCollection<(long RoomId, int Connections)> rooms)
    {
        byte[] packet = new byte[HeadBytes + (rooms.Count * RoomBytes)];
        packet[0] = Version;
        BinaryPrimitives.WriteInt64LittleEndian(packet.AsSpan(1), node);
        int place = HeadBytes;
        foreach ((long roomId, int connections) in rooms)
        {
            BinaryPrimitives.WriteInt64LittleEndian(packet.AsSpan(place), roomId);
            BinaryPrimitives.WriteInt32LittleEndian(packet.AsSpan(place + sizeof(long)), connections);
            place += RoomBytes;
        }

        return packet;
    }

    /// <summary>False for what no node of this version has written.</summary>
    public bool TryReceive(ReadOnlySpan<byte> packet, long ownNode)
    {
        if (packet.Length < HeadBytes || packet[0] != Version || (packet.Length - HeadBytes) % RoomBytes != 0)
        {
            return false;
        }

        long node = BinaryPrimitives.ReadInt64LittleEndian(packet[1..]);
        if (node == ownNode)
        {
            return true;
        }

        var rooms = new Dictionary<long, int>();
        for (packet = packet[HeadBytes..]; !packet.IsEmpty; packet = packet[RoomBytes..])
        {
            rooms[BinaryPrimitives.ReadInt64LittleEndian(packet)] = Math.Max(0, BinaryPrimitives.ReadInt32LittleEndian(packet[sizeof(long)..]));
        }

        _nodes[node] = new Counts(rooms, time.GetTimestamp());
        return true;
    }

    public int ConnectionsElsewhere(long roomId)
    {
        int sum = 0;
        foreach ((_, Counts counts) in _nodes)
        {
            if (!IsSilent(counts))
            {
                sum += counts.Rooms.GetValueOrDefault(roomId);
            }
        }

        return sum;
    }

    /// <summary>Forgets nodes that are gone. Now and then: each start of a node is another.</summary>
    public void Sweep()
    {
        foreach ((long node, Counts counts) in _nodes)
        {
            if (IsSilent(counts))
            {
                _nodes.TryRemove(KeyValuePair.Create(node, counts));
            }
        }
    }

    private bool IsSilent(Counts counts) => time.GetElapsedTime(counts.ReceivedAt) > SilenceMax;

    private sealed record Counts(Dictionary<long, int> Rooms, long ReceivedAt);
}
