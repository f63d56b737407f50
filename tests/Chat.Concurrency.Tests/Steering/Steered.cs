using Microsoft.Coyote.Specifications;

namespace Chat.Concurrency.Tests.Steering;

/// <summary>Threads of a scenario.</summary>
internal static class Steered
{
    /// <summary>Runs on a thread that Coyote steers. An exception ends the schedule at once: the others may wait for this thread for ever.</summary>
    public static Task Run(Action run) => Task.Run(() =>
    {
        try
        {
            run();
        }
        catch (Exception exception) when (exception is not ThreadInterruptedException) // With it Coyote ends the threads of a schedule that is over.
        {
            Specification.Assert(false, exception.ToString());
        }
    });

    /// <summary>The same, for a thread that awaits.</summary>
    public static Task Run(Func<Task> run) => Task.Run(async () =>
    {
        try
        {
            await run();
        }
        catch (Exception exception) when (exception is not ThreadInterruptedException)
        {
            Specification.Assert(false, exception.ToString());
        }
    });
}
