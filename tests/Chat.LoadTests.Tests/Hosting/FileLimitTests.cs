using Chat.LoadTests.Hosting;

namespace Chat.LoadTests.Tests.Hosting;

public sealed class FileLimitTests
{
    [Theory]
    [InlineData(700, 1, false)]
    [InlineData(700, 1, true)]
    [InlineData(2100, 3, false)]
    public void As_many_connections_as_there_are_files_may_be_opened(int connections, int processes, bool ownServer) =>
        Assert.Null(FileLimit.Complaint(connections, processes, ownServer, filesMax: 1000));

    [Fact]
    public void Who_wants_more_is_told_how_many_processes_it_takes()
    {
        string? complaint = FileLimit.Complaint(701, processes: 1, ownServer: false, filesMax: 1000);

        Assert.Contains("701 connections need 1,001 file descriptors", complaint, StringComparison.Ordinal);
        Assert.Contains("--processes 2", complaint, StringComparison.Ordinal);
        Assert.Null(FileLimit.Complaint(701, processes: 2, ownServer: false, filesMax: 1000));
        Assert.Contains("--processes 4", FileLimit.Complaint(2101, processes: 3, ownServer: false, filesMax: 1000), StringComparison.Ordinal);
    }

    [Fact]
    public void More_processes_do_not_help_a_server_that_has_them_all()
    {
        string? complaint = FileLimit.Complaint(701, processes: 4, ownServer: true, filesMax: 1000);

        Assert.Contains("--url", complaint, StringComparison.Ordinal);
        Assert.DoesNotContain("--processes", complaint, StringComparison.Ordinal);
    }
}
