using System.Text;
using Chat.Server.Nodes;
using Chat.Storage;
using CsCheck;

namespace Chat.Server.Tests.Nodes;

public sealed class NodeEventsTests
{
    private const long OtherNode = 42;

    private static readonly Gen<MessageRecord> Records = Gen.Select(
        Gen.Long, Gen.Long[1, long.MaxValue], Gen.Long, Gen.String, Gen.String.Null(), Gen.String,
        (id, seq, senderId, name, nonce, content) => new MessageRecord
        {
            Id = id,
            RoomId = 3,
            Seq = seq,
            Epoch = 5,
            SenderId = senderId,
            SenderName = Sound(name),
            Nonce = nonce is null ? null : Sound(nonce),
            Content = Encoding.UTF8.GetBytes(content),
            CreatedAtUnixMs = id ^ seq,
        });

    /// <summary>Without lone surrogates, which no name and no nonce has.</summary>
    private static string Sound(string text) => Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text));

    [Fact]
    public void What_one_node_writes_another_reads() => Records.Array[1, 5].Sample(records =>
    {
        Assert.True(NodeEvents.TryRead(NodeEvents.Write(OtherNode, records), ownNode: 1, out long roomId, out List<MessageRecord> read));

        Assert.Equal(3, roomId);
        Assert.Equal(records.Select(Parts), read.Select(Parts));
    });

    [Fact]
    public void A_node_does_not_read_itself()
    {
        byte[] packet = NodeEvents.Write(OtherNode, [Records.Single()]);

        Assert.True(NodeEvents.TryRead(packet, OtherNode, out _, out List<MessageRecord> read));
        Assert.Empty(read);
    }

    [Fact]
    public void A_packet_that_ends_early_or_is_of_another_version_is_refused()
    {
        byte[] packet = NodeEvents.Write(OtherNode, [Records.Single(), Records.Single()]);

        for (int length = 0; length < packet.Length; length++)
        {
            bool isRead = NodeEvents.TryRead(packet.AsSpan(0, length), 1, out _, out List<MessageRecord> read);
            Assert.True(!isRead || read.Count < 2, $"{length} bytes");
        }

        packet[0]++;
        Assert.False(NodeEvents.TryRead(packet, 1, out _, out _));
    }

    [Fact]
    public void Any_bytes_are_read_or_refused() => Gen.Select(Records.Array[1, 3], Gen.Int[0, int.MaxValue], Gen.Byte).Sample((records, place, value) =>
    {
        byte[] packet = NodeEvents.Write(OtherNode, records);
        packet[place % packet.Length] = value;

        NodeEvents.TryRead(packet, 1, out _, out List<MessageRecord> read);

        Assert.All(read, record => Assert.True(record.Seq >= 1));
    });

    private static (long, long, int, long, string, string?, string, long) Parts(MessageRecord record) => (
        record.Id, record.Seq, record.Epoch, record.SenderId, record.SenderName, record.Nonce, Convert.ToHexString(record.Content.Span), record.CreatedAtUnixMs);
}
