using System.Globalization;
using System.Text.RegularExpressions;

namespace Chat.Server.Tests.Docs;

/// <summary>docs/protocol.md is the contract: its tables name what the code can say, all of it and nothing else.</summary>
public sealed partial class ProtocolDocumentTests
{
    private static readonly string Document = Repository.ReadText("docs", "protocol.md");

    [Fact]
    public void Every_route_is_in_the_table_of_calls_and_no_other()
    {
        string[] documented = [.. Rows("REST").Select(row => row[0].Trim('`'))];

        Assert.Equal(WireNames.Routes.Order(), documented.Order());
    }

    [Fact]
    public void Every_problem_code_is_in_its_table_with_its_status_and_no_other()
    {
        // The parser's refusals share one code and have many statuses.
        string[] documented = [.. Rows("REST errors").Select(row => row[0].Trim('`') == "bad_request" ? "bad_request" : $"{row[0].Trim('`')} {row[1]}")];
        string[] known = [.. WireNames.Problems.Select(problem => problem.Code == "bad_request" ? "bad_request" : $"{problem.Code} {problem.Status}")];

        Assert.Equal(known.Order(), documented.Order());
    }

    [Fact]
    public void Every_code_of_an_error_event_is_in_its_table_and_no_other()
    {
        string[] documented = [.. Rows("WebSocket errors").Select(row => row[0].Trim('`'))];

        Assert.Equal(WireNames.EventErrors.Order(), documented.Order());
    }

    [Fact]
    public void Every_close_code_is_in_its_table_with_what_the_client_should_do()
    {
        string[][] rows = [.. Rows("Close codes")];

        Assert.Equal(WireNames.CloseCodes.Order(), rows.Select(row => ushort.Parse(row[0], CultureInfo.InvariantCulture)).Order());
        Assert.All(rows, row => Assert.NotEmpty(row[^1]));
    }

    /// <summary>The rows of the first table under a heading, without its head, cells trimmed.</summary>
    private static IEnumerable<string[]> Rows(string heading)
    {
        string[] lines = Document.Split('\n');
        int start = Array.FindIndex(lines, line => HeadingPattern().Replace(line, "") == heading && line.StartsWith('#'));
        Assert.True(start >= 0, $"docs/protocol.md has no heading {heading}.");
        return lines
            .Skip(start + 1)
            .SkipWhile(line => !line.StartsWith('|'))
            .TakeWhile(line => line.StartsWith('|'))
            .Skip(2)
            .Select(line => line.Trim('|').Split('|').Select(cell => cell.Trim()).ToArray());
    }

    [GeneratedRegex("^#+ ")]
    private static partial Regex HeadingPattern();
}
