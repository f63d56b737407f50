namespace Chat.Server.Tests;

public sealed class ThreadPrioritiesTests
{
    [Fact]
    public void A_thread_that_gives_way_lowers_itself_and_no_other()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "reads /proc");
        int before = Nice();
        int lowered = int.MinValue;
        var thread = new Thread(() =>
        {
            ThreadPriorities.GiveWay();
            lowered = Nice();
        });

        thread.Start();
        thread.Join();

        Assert.Equal(Math.Max(before, ThreadPriorities.NiceOfBackground), lowered);
        Assert.Equal(before, Nice());
    }

    /// <summary>Field 19 of proc_pid_stat(5), counted behind the name, which may have spaces.</summary>
    private static int Nice()
    {
        string stat = File.ReadAllText("/proc/thread-self/stat");
        return int.Parse(stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[16]);
    }
}
