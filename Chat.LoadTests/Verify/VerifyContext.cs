namespace Chat.LoadTests.Verify;

/// <summary>What all clients of a run share.</summary>
internal sealed record VerifyContext(Uri Url, RestHistory History, CutSchedule Cuts, Findings Findings, Tally Tally);
