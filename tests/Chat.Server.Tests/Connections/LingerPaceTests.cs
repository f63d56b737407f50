using Chat.Server.Connections;

namespace Chat.Server.Tests.Connections;

public sealed class LingerPaceTests
{
    private readonly LingerPace _pace = new(messageBytesMax: 1024 * 1024);

    [Fact]
    public void It_rests_after_a_share_however_many_pieces_that_was()
    {
        Assert.Equal(0, _pace.Drop(1, wasAll: false));
        Assert.Equal(0, _pace.Drop(Linger.ShareBytes - 2, wasAll: false));
        Assert.Equal(Linger.IntervalMs, _pace.Drop(1, wasAll: false));
        Assert.Equal(0, _pace.Drop(Linger.ShareBytes - 1, wasAll: false));
    }

    [Fact]
    public void It_rests_when_there_was_no_more()
    {
        Assert.Equal(Linger.IntervalMs, _pace.Drop(1, wasAll: true)); // Who sends byte by byte wakes nobody for each.
        Assert.Equal(0, _pace.Drop(Linger.ShareBytes - 1, wasAll: false));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Who_sends_on_is_cut_off_after_twice_the_longest_message(bool wasAll)
    {
        long most = Linger.BytesMax(1024 * 1024);
        Assert.Equal(2 * 1024 * 1024, most);
        for (long dropped = 0; dropped < most; dropped += Linger.ShareBytes)
        {
            Assert.False(_pace.IsOver);
            Assert.Equal(Linger.IntervalMs, _pace.Drop(Linger.ShareBytes, wasAll));
        }

        Assert.False(_pace.IsOver);
        Assert.Equal(Linger.CutMs, _pace.Drop(1, wasAll: true));
        Assert.True(_pace.IsOver);
    }
}
