namespace Chat.Server;

/// <summary>
/// Threads for work that computes for long and may wait while the cores are wanted for chat (<see cref="ThreadPriorities.GiveWay"/>): one for
/// each piece of work at a time, as many as the callers allow themselves. A thread is kept for the next piece: a new one begins on the core that is least
/// loaded at that moment, which is often the one that a shard has just gone to sleep on, while one that goes on stays where it is, and the shards move
/// to another core. It ends when nothing has come for a while. Any thread.
/// </summary>
/// <param name="name">Of the threads, as debuggers and the kernel show it.</param>
/// <param name="stackBytes">Of each.</param>
/// <param name="keep">How long a thread waits for more.</param>
internal sealed class BackgroundThreads(string name, int stackBytes, TimeSpan keep)
{
    private readonly object _lock = new(); // Monitor: a Lock cannot be waited on.
    private readonly Queue<Work> _waiting = new();
    private int _free; // Threads that will look at _waiting before they end.

    /// <summary>Runs <paramref name="work"/>; the task ends with its result or exception, and what awaits it goes on in the thread pool.</summary>
    /// <exception cref="OutOfMemoryException">There was no thread, and none could be made.</exception>
    public Task<T> RunAsync<T>(Func<T> work)
    {
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        Add(Compute);
        return done.Task;

        Action Compute()
        {
            try
            {
                T result = work();
                return () => done.SetResult(result);
            }
            catch (Exception exception)
            {
                // To whoever awaits it: an exception that leaves a thread ends the process.
                return () => done.SetException(exception);
            }
        }
    }

    private void Add(Work work)
    {
        lock (_lock)
        {
            if (_free > _waiting.Count)
            {
                _waiting.Enqueue(work);
                Monitor.Pulse(_lock);
                return;
            }
        }

        new Thread(() => Run(work), stackBytes) { Name = name, IsBackground = true }.Start();
    }

    private void Run(Work first)
    {
        ThreadPriorities.GiveWay();
        for (Work? work = first; work is not null; work = Next())
        {
            Action tell = work();
            lock (_lock)
            {
                _free++; // Before it is told: who then brings the next piece finds this thread.
            }

            tell();
        }
    }

    /// <summary>Waits for it; null when the thread shall end.</summary>
    private Work? Next()
    {
        lock (_lock)
        {
            while (_waiting.Count == 0 && Monitor.Wait(_lock, keep))
            {
            }

            _free--;
            return _waiting.TryDequeue(out Work? work) ? work : null;
        }
    }

    /// <summary>Computes, and returns what tells the caller.</summary>
    private delegate Action Work();
}
