namespace Chat.Server.Tests;

public sealed class ThreadPrioritiesTests
{
    [Fact]
    public void A_thread_that_gives_way_lowers_itself_and_no_other_and_lets_others_cut_its_slices_short()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "reads /proc");
        int before = Nice();
        int lowered = int.MinValue;
        ulong? slice = null;
        var thread = new Thread(() =>
        {
            ThreadPriorities.GiveWay();
            lowered = Nice();
            slice = SliceNs();
        });

        thread.Start();
        thread.Join();

        Assert.Equal(Math.Max(before, ThreadPriorities.NiceOfBackground), lowered);
        Assert.Equal(before, Nice());
        Assert.Equal(SliceNs() is null ? null : ThreadPriorities.SliceNsOfBackground, slice);
    }

    /// <summary>Null where the kernel does not tell, or is older than 6.12 and does not keep a slice that was asked for.</summary>
    private static ulong? SliceNs()
    {
        const string Path = "/proc/thread-self/sched";
        if (!File.Exists(Path) || Environment.OSVersion.Version < new Version(6, 12))
        {
            return null;
        }

        string? line = File.ReadLines(Path).FirstOrDefault(static line => line.StartsWith("se.slice", StringComparison.Ordinal));
        return line is null ? null : ulong.Parse(line[(line.IndexOf(':') + 1)..]);
    }

    /// <summary>Field 19 of proc_pid_stat(5), counted behind the name, which may have spaces.</summary>
    private static int Nice()
    {
        string stat = File.ReadAllText("/proc/thread-self/stat");
        return int.Parse(stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[16]);
    }
}
