using Chat.Server.Settings;
using CsCheck;

namespace Chat.Server.Tests.Settings;

public sealed class EnvFileTests
{
    [Theory]
    [InlineData("A=1", "1")]
    [InlineData("  export  A = 1  ", "1")]
    [InlineData("A=", "")]
    [InlineData("A=   # nothing", "")]
    [InlineData("A=a b # comment", "a b")]
    [InlineData("A=a#b", "a#b")]
    [InlineData("A=#b", "#b")]
    [InlineData("A=x=y", "x=y")]
    [InlineData("A=' a # b ' # c", " a # b ")]
    [InlineData("A='\\n'", "\\n")]
    [InlineData("A=\"a\\tb\\\"c\\\\ \\$d\"", "a\tb\"c\\ $d")]
    [InlineData("\uFEFFA=1", "1")]
    [InlineData("export=1", "1")]
    public void A_well_formed_line_gives_its_value(string text, string value)
    {
        Assert.True(EnvFile.TryParse(text, out var entries, out _));
        Assert.Equal(value, Assert.Single(entries).Value);
    }

    [Theory]
    [InlineData("A")]
    [InlineData("=1")]
    [InlineData("1A=1")]
    [InlineData("A-B=1")]
    [InlineData("A B=1")]
    [InlineData("A='1")]
    [InlineData("A=\"1")]
    [InlineData("A=\"1\\")]
    [InlineData("A=\"\\x\"")]
    [InlineData("A='1' 2")]
    public void A_malformed_line_is_refused_with_its_number(string line)
    {
        Assert.False(EnvFile.TryParse($"# first\r\nX=1\r\n{line}\r\n", out _, out var problem));
        Assert.StartsWith(".env line 3: ", problem);
    }

    [Fact]
    public void A_name_given_twice_is_refused_with_both_lines()
    {
        Assert.False(EnvFile.TryParse("A=1\n\nA=2", out _, out var problem));
        Assert.Equal(".env line 3: A is already set on line 1.", problem);
    }

    [Fact]
    public void Entries_keep_their_order_and_lines()
    {
        Assert.True(EnvFile.TryParse("B=1\n# c\nA=2\n", out var entries, out _));
        Assert.Equal([new EnvFileEntry("B", "1", 1), new EnvFileEntry("A", "2", 3)], entries);
    }

    [Fact]
    public void Any_text_gives_entries_or_a_problem() =>
        Gen.String[Gen.Char["Aa1 =\n#'\"\\exportn\t$"], 0, 40].Sample(text =>
            EnvFile.TryParse(text, out _, out var problem) == (problem.Length == 0));
}
