using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Chat.Storage;

/// <summary>Checks of our own promises, on in every build; a failed one is a bug of ours, never of a client or the database.</summary>
internal static class Invariant
{
    internal static void Require([DoesNotReturnIf(false)] bool condition, [CallerArgumentExpression(nameof(condition))] string? what = null)
    {
        if (!condition)
            Throw(what);
    }

    [DoesNotReturn]
    private static void Throw(string? what) => throw new InvalidOperationException($"Invariant broken: {what}");
}
