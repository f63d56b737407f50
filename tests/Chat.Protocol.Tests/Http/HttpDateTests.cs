using System.Text;
using Chat.Protocol.Http;

namespace Chat.Protocol.Tests.Http;

public class HttpDateTests
{
    [Fact]
    public void RFC_9110_section_5_6_7_example_is_written_and_changes_with_the_second()
    {
        var clock = new Clock { Now = new DateTimeOffset(1994, 11, 6, 9, 49, 37, 0, TimeSpan.FromHours(1)) };
        var date = new HttpDate(clock);
        Assert.Equal("Sun, 06 Nov 1994 08:49:37 GMT", Encoding.ASCII.GetString(date.Now));

        clock.Now = clock.Now.AddMilliseconds(999);
        ReadOnlySpan<byte> sameSecond = date.Now;
        Assert.Equal("Sun, 06 Nov 1994 08:49:37 GMT", Encoding.ASCII.GetString(sameSecond));

        clock.Now = clock.Now.AddMilliseconds(1);
        Assert.Equal("Sun, 06 Nov 1994 08:49:38 GMT", Encoding.ASCII.GetString(date.Now));
        Assert.Equal("Sun, 06 Nov 1994 08:49:37 GMT", Encoding.ASCII.GetString(sameSecond));
    }

    private sealed class Clock : TimeProvider
    {
        public DateTimeOffset Now { get; set; }

        public override DateTimeOffset GetUtcNow() => Now;
    }
}
