using Chat.LoadTests.Clients;

namespace Chat.LoadTests.Tests.Clients;

public sealed class PublisherChoiceTests
{
    [Fact]
    public void Without_skew_all_publishers_take_turns()
    {
        var choice = new PublisherChoice(rooms: 3, publishersPerRoom: 2, skew: 0);

        Assert.Equal(6, choice.Publishers);
        Assert.Equal([0, 1, 2, 3, 4, 5, 0, 1], Enumerable.Range(0, 8).Select(message => choice.Of(message)));
    }

    [Fact]
    public void With_skew_the_first_room_gets_k_times_the_messages_of_room_k()
    {
        const int Messages = 100_000;
        const int Rooms = 10;
        var choice = new PublisherChoice(Rooms, publishersPerRoom: 3, skew: 1);
        int[] ofClient = new int[choice.Publishers];
        for (int message = 0; message < Messages; message++)
        {
            ofClient[choice.Of(message)]++;
        }

        int[] ofRoom = [.. Enumerable.Range(0, Rooms).Select(room => ofClient[room] + ofClient[room + Rooms] + ofClient[room + 2 * Rooms])];
        Assert.All(ofRoom.Select((count, room) => (double)ofRoom[0] / count / (room + 1)), static ratio => Assert.InRange(ratio, 0.95, 1.05));
        Assert.All(ofClient, static count => Assert.True(count > 0));
    }
}
