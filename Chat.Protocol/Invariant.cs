using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Chat.Protocol;

/// <summary>
/// Checks that hold unless we have a bug; on in every build. For boundaries and once per batch;
/// per byte use <see cref="System.Diagnostics.Debug.Assert(bool)"/>.
/// </summary>
public static class Invariant
{
    /// <exception cref="InvariantException"><paramref name="condition"/> is false.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Require(
        [DoesNotReturnIf(false)] bool condition,
        [CallerArgumentExpression(nameof(condition))] string expression = "")
    {
        if (!condition)
        {
            Fail(expression);
        }
    }

    [DoesNotReturn]
    private static void Fail(string expression) => throw new InvariantException(expression);
}

/// <summary>A bug of this program, never of a peer: the state is not what the code proves it to be.</summary>
public sealed class InvariantException(string expression) : Exception($"Invariant broken: {expression}");
