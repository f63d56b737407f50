using System.Threading.Channels;
using Chat.Server.Connections;
using Chat.Server.Rooms;

namespace Chat.Server.Tests.Rooms;

/// <summary>A shard whose turns a test runs, on its own thread.</summary>
internal class TestShard(int index, SessionLimits limits, TimeProvider time) : Shard(index, limits, time)
{
    private readonly Channel<bool> _woken = Channel.CreateUnbounded<bool>();

    public int Wakes { get; private set; }

    public bool Turn() => RunTurn();

    /// <summary>Turns until there is nothing to do.</summary>
    public void TurnAll()
    {
        do
        {
            while (RunTurn())
            {
            }
        }
        while (!TrySleep());
    }

    /// <summary>Waits for work from another thread, and does it.</summary>
    public async Task TurnWhenWokenAsync()
    {
        await _woken.Reader.ReadAsync(TestContext.Current.CancellationToken).AsTask().WaitAsync(TimeSpan.FromSeconds(30));
        TurnAll();
    }

    /// <summary>Goes on until something has become true; fails when nothing more comes.</summary>
    public async Task TurnUntilAsync(Func<bool> condition)
    {
        TurnAll();
        while (!condition())
        {
            await TurnWhenWokenAsync();
        }
    }

    protected override void Wake()
    {
        Wakes++;
        Assert.True(_woken.Writer.TryWrite(true));
    }
}
