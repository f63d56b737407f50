using System.Text.Json;
using System.Text.RegularExpressions;

namespace Chat.Server.Tests.Docs;

/// <summary>Rest/openapi.json describes the routes that exist, and what it refers to is in it.</summary>
public sealed partial class OpenApiTests
{
    private static readonly string Text = Repository.ReadText("Chat.Server", "Rest", "openapi.json");
    private static readonly JsonElement Root = JsonDocument.Parse(Text).RootElement;

    [Fact]
    public void Every_route_is_described_and_nothing_else()
    {
        IEnumerable<string> described = Root.GetProperty("paths").EnumerateObject().SelectMany(path => path.Value
            .EnumerateObject()
            .Where(member => member.Name != "parameters")
            .Select(operation => $"{operation.Name.ToUpperInvariant()} {path.Name}"));

        Assert.Equal(WireNames.Routes.Order(), described.Order());
    }

    [Fact]
    public void It_is_version_3_1() => Assert.StartsWith("3.1.", Root.GetProperty("openapi").GetString(), StringComparison.Ordinal);

    [Fact]
    public void Every_operation_has_an_id_of_its_own_and_an_answer_below_300()
    {
        JsonElement[] operations = [.. Root.GetProperty("paths").EnumerateObject().SelectMany(path => path.Value
            .EnumerateObject()
            .Where(member => member.Name != "parameters")
            .Select(operation => operation.Value))];

        Assert.Equal(operations.Length, operations.Select(operation => operation.GetProperty("operationId").GetString()).Distinct().Count());
        Assert.All(operations, operation => Assert.Contains(operation.GetProperty("responses").EnumerateObject(), answer => answer.Name[0] == '2'));
    }

    [Fact]
    public void Every_reference_leads_somewhere()
    {
        foreach (Match match in ReferencePattern().Matches(Text))
        {
            JsonElement element = Root;
            foreach (string name in match.Groups[1].Value.Split('/'))
            {
                Assert.True(element.TryGetProperty(name, out element), match.Value);
            }
        }
    }

    [Fact]
    public void Every_code_it_names_exists()
    {
        HashSet<string> known = [.. WireNames.Problems.Select(problem => problem.Code)];
        foreach (Match match in CodesPattern().Matches(Text))
        {
            Assert.All(match.Groups[1].Value.Split(", "), code => Assert.Contains(code, known));
        }
    }

    [GeneratedRegex("\"\\$ref\": \"#/([^\"]+)\"")]
    private static partial Regex ReferencePattern();

    [GeneratedRegex("Codes: ([a-z_, ]+)\\.")]
    private static partial Regex CodesPattern();
}
