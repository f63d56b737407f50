using Chat.LoadTests.Loads;

namespace Chat.LoadTests.Tests.Loads;

public sealed class LoadPlanTests
{
    [Fact]
    public void A_constant_rate_spaces_its_messages_evenly()
    {
        LoadPlan plan = LoadPlan.Constant(100, 2);

        Assert.Equal(200, plan.Messages);
        Assert.Equal(0, plan.DueS(0));
        Assert.Equal(0.5, plan.DueS(50), 9);
        Assert.Equal(1.99, plan.DueS(199), 9);
        Assert.Equal(double.PositiveInfinity, plan.DueS(200));
    }

    [Fact]
    public void A_ramp_has_sent_a_quarter_of_its_messages_at_half_its_time()
    {
        Assert.True(LoadPlan.TryParse("ramp:0-100:10", out LoadPlan plan, out _));

        Assert.Equal(500, plan.Messages);
        Assert.Equal(5, plan.DueS(125), 9);
    }

    [Fact]
    public void Spikes_hold_the_high_rate_for_a_fifth_of_each_period()
    {
        Assert.True(LoadPlan.TryParse("spikes:10-100:5:10", out LoadPlan plan, out _));

        Assert.Equal(2 * (4 * 10 + 1 * 100), plan.Messages);
        Assert.Equal(4, plan.DueS(40), 9);
        Assert.Equal(4.5, plan.DueS(90), 9);
        Assert.Equal(5, plan.DueS(140), 9);
    }

    [Theory]
    [InlineData("ramp:0-500:10,constant:500:2,spikes:100-1000:1:3")]
    [InlineData("constant:0:1,constant:10:1")]
    [InlineData("ramp:50-0:4")]
    public void Due_times_never_go_back_and_stay_inside_the_plan(string text)
    {
        Assert.True(LoadPlan.TryParse(text, out LoadPlan plan, out _));
        double last = 0;
        for (long message = 0; message < plan.Messages; message++)
        {
            double dueS = plan.DueS(message);
            Assert.InRange(dueS, last, plan.Seconds);
            last = dueS;
        }
    }

    [Fact]
    public void A_warm_up_goes_before_the_plan_at_its_first_rate()
    {
        LoadPlan plan = LoadPlan.Constant(100, 2).AfterWarmUp(1);

        Assert.Equal(300, plan.Messages);
        Assert.Equal(3, plan.Seconds);
        Assert.Equal(1, plan.DueS(100), 9);
    }

    [Theory]
    [InlineData("")]
    [InlineData("constant:10")]
    [InlineData("constant:ten:10")]
    [InlineData("constant:10:0")]
    [InlineData("constant:-1:10")]
    [InlineData("ramp:10:10")]
    [InlineData("spikes:1-2:5:1")]
    [InlineData("constant:10:10,")]
    public void What_is_no_load_is_refused_with_the_forms_that_are(string text)
    {
        Assert.False(LoadPlan.TryParse(text, out _, out string error));
        Assert.Contains("constant:RATE:SECONDS", error, StringComparison.Ordinal);
    }
}
