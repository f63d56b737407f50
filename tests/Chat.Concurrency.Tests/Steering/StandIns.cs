// Names that the compiled-in product finds before those of the runtime: what Coyote has no model of, made of what it has one of.
#pragma warning disable CA1822, CA1812, IDE0060, IDE0130 // They have the shape of what they stand for.
using System.Threading.Channels;
using Microsoft.Coyote.Specifications;

namespace Chat
{
    /// <summary>A plain object: locking it is a monitor, which is steered.</summary>
    internal sealed class Lock;
}

namespace Chat.Storage
{
    /// <summary>A bounded channel with one reader, as a lane uses it. Like the real one it completes a waiting reader on the writer's thread.</summary>
    internal sealed class Channel<T>(int capacity)
    {
        private readonly Lock _gate = new();
        private readonly Queue<T> _items = new();
        private TaskCompletionSource<bool>? _waiting;
        private bool _isComplete;

        public Channel<T> Reader => this;

        public Channel<T> Writer => this;

        public bool TryWrite(T item)
        {
            TaskCompletionSource<bool>? waiting;
            lock (_gate)
            {
                if (_isComplete || _items.Count == capacity)
                {
                    return false;
                }

                _items.Enqueue(item);
                waiting = _waiting;
                _waiting = null;
            }

            waiting?.SetResult(true);
            return true;
        }

        public bool TryComplete()
        {
            TaskCompletionSource<bool>? waiting;
            lock (_gate)
            {
                _isComplete = true;
                waiting = _waiting;
                _waiting = null;
            }

            waiting?.SetResult(false);
            return true;
        }

        public bool TryRead([System.Diagnostics.CodeAnalysis.MaybeNullWhen(false)] out T item)
        {
            lock (_gate)
            {
                return _items.TryDequeue(out item);
            }
        }

        public ValueTask<bool> WaitToReadAsync(CancellationToken cancellationToken)
        {
            lock (_gate)
            {
                if (_items.Count > 0 || _isComplete)
                {
                    return new ValueTask<bool>(_items.Count > 0);
                }

                _waiting = new TaskCompletionSource<bool>();
                return new ValueTask<bool>(_waiting.Task);
            }
        }
    }

    internal sealed class Thread(Action run)
    {
        public string? Name { get; init; }

        public bool IsBackground { get; init; }

        public static void Sleep(TimeSpan time) => SchedulingPoint.Interleave();

        public void Start() => _ = Steered.Run(run);
    }

    internal static class Channel
    {
        public static Channel<T> CreateBounded<T>(BoundedChannelOptions options) => new(options.Capacity);
    }
}

namespace Chat.Server
{
    /// <summary>Stands still: a turn that took a millisecond would be noted, and that is another step.</summary>
    internal static class Stopwatch
    {
        public static long Frequency => 1_000_000_000;

        public static long GetTimestamp() => 0;

        public static TimeSpan GetElapsedTime(long startingTimestamp, long endingTimestamp) => TimeSpan.Zero;
    }
}

namespace Chat.Server.Settings
{
    internal enum DeliveryOrder
    {
        Immediate,
        Committed,
    }
}

namespace Chat.Server.Rooms
{
    /// <summary>Chance that is the same in every run.</summary>
    internal sealed class Random
    {
        public static Random Shared { get; } = new();

        public int Next(int maxValue) => maxValue / 2;
    }
}

namespace Chat.Server.Connections
{
    internal static class ThreadPool
    {
        public static bool UnsafeQueueUserWorkItem(IThreadPoolWorkItem item, bool preferLocal)
        {
            _ = Steered.Run(item.Execute);
            return true;
        }
    }

    internal static class Environment
    {
        public static void FailFast(string message, Exception exception) => Specification.Assert(false, $"{message}: {exception}");
    }
}
