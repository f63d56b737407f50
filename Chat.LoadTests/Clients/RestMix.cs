namespace Chat.LoadTests.Clients;

/// <summary>A REST call that is made many times.</summary>
/// <param name="Step">Its name in the report.</param>
/// <param name="Request">The whole request, head and content.</param>
/// <param name="Status">What it should be answered with.</param>
internal sealed record RestCall(string Step, byte[] Request, int Status);

/// <summary>Calls that are made in a mix: of 1000, so many of each kind, and of a kind any of its calls. Immutable: any thread may ask.</summary>
internal sealed record RestMix(IReadOnlyList<RestKind> Kinds)
{
    public const int Whole = 1000;

    /// <summary>Draws the next call.</summary>
    public RestCall Next()
    {
        int draw = Random.Shared.Next(Whole);
        int place = 0;
        while (draw >= Kinds[place].Of1000 && place < Kinds.Count - 1)
        {
            draw -= Kinds[place++].Of1000;
        }

        IReadOnlyList<RestCall> calls = Kinds[place].Calls;
        return calls[Random.Shared.Next(calls.Count)];
    }
}

/// <summary>Calls of a kind.</summary>
/// <param name="Of1000">How many of 1000 calls are of it.</param>
/// <param name="Calls">At least one.</param>
internal sealed record RestKind(int Of1000, IReadOnlyList<RestCall> Calls);
