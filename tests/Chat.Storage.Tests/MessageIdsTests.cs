namespace Chat.Storage.Tests;

public sealed class MessageIdsTests
{
    [Fact]
    public void Ids_go_on_in_the_next_block()
    {
        var ids = new MessageIds(1000);
        for (var i = 1; i <= MessageIds.BlockSize; i++)
        {
            Assert.Equal(i > MessageIds.BlockSize / 2, ids.NeedsBlock);
            Assert.Equal(1000 + i, ids.Next());
            if (i == MessageIds.BlockSize / 2)
                Assert.True(ids.NeedsBlock);
        }
        Assert.Equal(0, ids.Left);

        ids.Add(7_000_000);

        Assert.False(ids.NeedsBlock);
        Assert.Equal(MessageIds.BlockSize, ids.Left);
        Assert.Equal(7_000_001, ids.Next());
    }
}
