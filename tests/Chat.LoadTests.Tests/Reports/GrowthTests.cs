using Chat.LoadTests.Reports;

namespace Chat.LoadTests.Tests.Reports;

public sealed class GrowthTests
{
    private static RunReport Report(double members, double us) => new()
    {
        Scenario = "fanout",
        Command = "fanout",
        Commit = "",
        StartedAt = default,
        Machine = new MachineFacts("", 2, 4, "", ""),
        Settings = new Dictionary<string, string> { ["members"] = $"{members}", ["load"] = "" },
        Figures = new Dictionary<string, double> { [Figures.ServerUsPerDelivery] = us },
    };

    [Fact]
    public void A_power_law_has_its_exponent_as_slope()
    {
        RunReport[] reports = [.. new double[] { 1000, 10, 100, 10_000 }.Select(static members => Report(members, 3 * Math.Sqrt(members)))];

        var growth = Growth.Of(reports, "members", "server_us_per_delivery");

        Assert.Equal([10, 100, 1000, 10_000], growth.Points.Select(static point => point.X));
        Assert.Equal(0.5, growth.Slope, 9);
        Assert.Equal(0.5, growth.UpperSlope, 9);
        Assert.Equal(1.5, Growth.Of(reports, "members", "server_us_per_delivery*members").Slope, 9);
    }

    [Fact]
    public void Of_several_reports_of_a_setting_the_median_counts()
    {
        var growth = Growth.Of([Report(10, 90), Report(10, 2), Report(10, 1), Report(20, 4)], "members", "server_us_per_delivery");

        Assert.Equal([(10, 2), (20, 4)], growth.Points);
        Assert.Equal(1, growth.Slope, 9);
    }

    [Theory]
    [InlineData("members", "no_such_figure")]
    [InlineData("load", "server_us_per_delivery")]
    public void What_a_report_does_not_have_is_said(string setting, string figure)
    {
        var exception = Assert.Throws<CannotRunException>(() => Growth.Of([Report(10, 1)], setting, figure));

        Assert.Contains(setting == "load" ? "load" : figure, exception.Message, StringComparison.Ordinal);
    }
}
