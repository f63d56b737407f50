namespace Chat.LoadTests.Verify;

/// <summary>What all clients of a run share.</summary>
/// <param name="Nodes">Servers for the same rooms, one or more; each connection is to any of them.</param>
/// <param name="History">Asks the first of them.</param>
/// <param name="Cuts">Which connections break.</param>
/// <param name="Findings">What was wrong.</param>
/// <param name="Tally">What was done.</param>
internal sealed record VerifyContext(IReadOnlyList<Uri> Nodes, RestHistory History, CutSchedule Cuts, Findings Findings, Tally Tally);
