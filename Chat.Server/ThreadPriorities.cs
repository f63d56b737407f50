using Chat.Server.Transport;

namespace Chat.Server;

/// <summary>Which threads go first when the cores do not suffice for all.</summary>
internal static class ThreadPriorities
{
    /// <summary>A tenth of the share of a thread at 0 (sched_prio_to_weight, Linux); a thread may lower itself without any right.</summary>
    public const int NiceOfBackground = 10;

    /// <summary>
    /// Longer than Linux gives by itself (0.7 to 2.8 ms by the number of cores). Who wakes up and asks for a shorter one, which is everybody else,
    /// need not wait for the end of one that has begun (EEVDF since Linux 6.12, PREEMPT_SHORT), as it must otherwise, whatever the priorities. Not
    /// much longer, since whoever asks for more is also served later: with 100 ms every third run under all attacks had acknowledgements 80 to
    /// 210 ms late, with 4 ms none of six. A hash that returns its memory holds a lock of the process, which is probably why.
    /// </summary>
    public const ulong SliceNsOfBackground = 4_000_000;

    /// <summary>
    /// The calling thread works when the others leave it time. It cannot be raised again without a right that servers do not have, so this
    /// is for threads that do nothing else.
    /// </summary>
    public static void GiveWay()
    {
        if (OperatingSystem.IsLinux())
        {
            // .NET leaves priorities alone on Linux. 0 is the calling thread; a refusal (a sandbox) leaves it as it was.
            _ = Libc.setpriority(Libc.PRIO_PROCESS, 0, NiceOfBackground);
            _ = Libc.TrySetSlice(NiceOfBackground, SliceNsOfBackground);
        }
        else
        {
            Thread.CurrentThread.Priority = ThreadPriority.BelowNormal;
        }
    }
}
