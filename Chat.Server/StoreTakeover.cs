using Chat.Storage;
using Microsoft.Extensions.Logging;

namespace Chat.Server;

/// <summary>Takes the database over for this server, however long that takes, and sees when another server has taken it.</summary>
internal sealed partial class StoreTakeover(IChatStore store, TimeProvider time, ILogger<StoreTakeover> logger)
{
    /// <summary>As the message log's: a database that returns is found within a second.</summary>
    private static readonly TimeSpan RetryDelayMax = TimeSpan.FromSeconds(1);

    private static readonly TimeSpan WatchInterval = TimeSpan.FromSeconds(2);

    /// <summary>
    /// Takes the database over. While it is away, the server waits for it and listens: an operator's /readyz gets its answer, and clients are
    /// told to come back. Null when the server is told to stop first.
    /// </summary>
    /// <param name="onWaiting">Called once, when it has to be waited for.</param>
    /// <param name="stopping">The server is told to stop.</param>
    public async Task<StoreSession?> BeginAsync(Action onWaiting, CancellationToken stopping)
    {
        var delay = TimeSpan.FromMilliseconds(100);
        bool isToldOf = false;
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                return await store.BeginSessionAsync(stopping);
            }
            catch (StoreUnavailableException exception)
            {
                WaitingForStore(logger, exception.Message);
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                return null;
            }

            if (!isToldOf)
            {
                isToldOf = true;
                onWaiting();
            }

            await Task.Delay(delay, time, stopping).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            delay = delay * 2 < RetryDelayMax ? delay * 2 : RetryDelayMax;
        }

        return null;
    }

    /// <summary>
    /// Ends a server that another one has replaced while it had nothing to write: its clients would wait for events that the other one numbers.
    /// </summary>
    public async Task WatchAsync(MessageLog log, CancellationToken stopping)
    {
        using var timer = new PeriodicTimer(WatchInterval, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stopping))
            {
                try
                {
                    if (!await store.HoldsSessionAsync(stopping))
                    {
                        log.GiveUpSession();
                        return;
                    }
                }
                catch (Exception exception) when (exception is not OperationCanceledException)
                {
                    // Whatever it is, it must not keep the server from storing what it accepted when it stops. Said by /readyz; asked again.
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The server stops.
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Waiting for the database: {Reason}")]
    private static partial void WaitingForStore(ILogger logger, string reason);
}
