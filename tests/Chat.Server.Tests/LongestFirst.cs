using Chat.Server.Tests;
using Chat.Server.Tests.EndToEnd;
using Xunit.Sdk;
using Xunit.v3;

[assembly: TestCollectionOrderer(typeof(LongestFirst))]

namespace Chat.Server.Tests;

/// <summary>Begins with the classes that take longest, so that in the end none of them runs alone.</summary>
public sealed class LongestFirst : ITestCollectionOrderer
{
    private static readonly List<string?> Longest =
    [
        typeof(DatabaseFaultsOnPostgres).FullName,
        typeof(FaultsOnPostgres).FullName,
        typeof(FaultsOnSqlite).FullName,
        typeof(DurabilityOnPostgres).FullName,
        typeof(NodeFaultsOnPostgres).FullName,
        typeof(PatienceTests).FullName,
    ];

    /// <inheritdoc />
    public IReadOnlyCollection<TTestCollection> OrderTestCollections<TTestCollection>(IReadOnlyCollection<TTestCollection> testCollections)
        where TTestCollection : ITestCollection =>
        [.. testCollections.OrderBy(collection => Longest.FindIndex(name => collection.TestCollectionDisplayName.Contains($"for {name} ", StringComparison.Ordinal)) is >= 0 and var place ? place : Longest.Count)];
}
