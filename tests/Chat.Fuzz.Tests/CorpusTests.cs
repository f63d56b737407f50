namespace Chat.Fuzz.Tests;

/// <summary>
/// Every input that a fuzzer begins with, and every one that it has found worth keeping (tests/Chat.Fuzz/corpus), through its target. A
/// crash that was found is kept there, and so cannot come back.
/// </summary>
public sealed class CorpusTests
{
    public static TheoryData<string> Targets { get; } = [.. FuzzTarget.All.Select(static target => target.Name)];

    [Theory]
    [MemberData(nameof(Targets))]
    public void Every_input_of_the_corpus_holds_what_its_target_promises(string name)
    {
        FuzzTarget target = FuzzTarget.All.Single(target => target.Name == name);
        string[] files = Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "corpus", name));
        Assert.NotEmpty(files);
        foreach (string file in files)
        {
            Run(target, File.ReadAllBytes(file), Path.GetFileName(file));
        }
    }

    [Theory]
    [MemberData(nameof(Targets))]
    public void Every_seed_holds_what_its_target_promises(string name)
    {
        FuzzTarget target = FuzzTarget.All.Single(target => target.Name == name);
        byte[][] seeds = [.. target.Seeds()];
        Assert.NotEmpty(seeds);
        for (int i = 0; i < seeds.Length; i++)
        {
            Run(target, seeds[i], $"seed {i}");
        }
    }

    private static void Run(FuzzTarget target, byte[] bytes, string input)
    {
        try
        {
            target.Run(bytes);
        }
        catch (Exception exception)
        {
            Assert.Fail($"{input} ({Convert.ToBase64String(bytes)}): {exception}");
        }
    }
}
