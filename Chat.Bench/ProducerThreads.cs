namespace Chat.Bench;

/// <summary>Threads that are there before a measurement starts: one call hands each of them the same work.</summary>
internal sealed class ProducerThreads : IDisposable
{
    private readonly Barrier _start;
    private Action? _work;

    public ProducerThreads(int count)
    {
        _start = new Barrier(count + 1);
        for (int i = 0; i < count; i++)
        {
            new Thread(Run) { IsBackground = true, Name = $"producer {i}" }.Start();
        }
    }

    /// <summary>Starts the work on every thread, and returns at once. The caller sees from its results when it is over.</summary>
    public void Start(Action work)
    {
        _work = work;
        _start.SignalAndWait();
    }

    public void Dispose()
    {
        _work = null;
        _start.SignalAndWait();
    }

    private void Run()
    {
        while (true)
        {
            _start.SignalAndWait();
            if (_work is null)
            {
                return;
            }

            _work();
        }
    }
}
