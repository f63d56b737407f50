using System.Text;
using Chat.LoadTests.Clients;

namespace Chat.LoadTests.Tests.Clients;

public sealed class MarkerTests
{
    [Theory]
    [InlineData(0, 0, 0)]
    [InlineData(1, 2, 3)]
    [InlineData((1L << 35) - 1, (1 << 20) - 1, (1 << 20) - 1)]
    [InlineData(0x2_AAAA_AAAA, 0x5_5555, 0xA_AAAA)]
    public void What_was_written_into_an_event_is_found_again(long dueUs, int publisher, int number)
    {
        byte[] content = new byte[Marker.Bytes];
        new Marker(dueUs, publisher, number).Write(content);
        byte[] payload = Encoding.ASCII.GetBytes($"{{\"type\":\"message\",\"content\":\"{Encoding.ASCII.GetString(content)}abc\"}}");

        Assert.True(Marker.TryFind(payload, out Marker found));
        Assert.Equal(new Marker(dueUs, publisher, number), found);
    }

    [Fact]
    public void A_marker_needs_no_escape_in_JSON()
    {
        byte[] content = new byte[Marker.Bytes];
        for (int value = 0; value < 32; value++)
        {
            new Marker(value, value, value).Write(content);
            Assert.DoesNotContain(content, static character => character is < 0x20 or > 0x7E or (byte)'"' or (byte)'\\');
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("no tilde")]
    [InlineData("~short")]
    [InlineData("~a tilde in a text that people wrote")]
    public void A_text_of_somebody_else_has_no_marker(string text) =>
        Assert.False(Marker.TryFind(Encoding.ASCII.GetBytes(text), out _));

    [Fact]
    public void Age_counts_from_the_due_time_across_the_end_of_its_range()
    {
        long dueNs = ((1L << 35) - 1) * Clock.NsPerUs;

        Assert.Equal(2000, Marker.At(dueNs, 1, 1).AgeUs(dueNs / Clock.NsPerUs + 2000));
    }

    [Fact]
    public void A_message_that_comes_before_it_is_due_is_not_hours_old() =>
        Assert.Equal(0, Marker.At(5_000_000, 1, 1).AgeUs(4_000));

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(40)]
    [InlineData(1000)]
    [InlineData(-1)]
    public void A_marker_is_found_wherever_the_last_one_was(int place)
    {
        byte[] payload = new byte[60];
        new Marker(1, 2, 3).Write(payload.AsSpan(40));

        Assert.True(Marker.TryFind(payload, ref place, out Marker found));
        Assert.Equal(new Marker(1, 2, 3), found);
        Assert.Equal(40, place);
    }
}
