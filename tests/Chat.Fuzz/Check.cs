namespace Chat.Fuzz;

/// <summary>An input for which a target's promise does not hold: what a fuzzer looks for.</summary>
public sealed class BrokenPromiseException : Exception
{
    public BrokenPromiseException()
    {
    }

    public BrokenPromiseException(string message)
        : base(message)
    {
    }

    public BrokenPromiseException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}

internal static class Check
{
    public static void That(bool holds, string promise)
    {
        if (!holds)
        {
            throw new BrokenPromiseException(promise);
        }
    }

    public static void Same<T>(T expected, T actual, string promise)
    {
        if (!EqualityComparer<T>.Default.Equals(expected, actual))
        {
            throw new BrokenPromiseException($"{promise}\nexpected: {expected}\n  actual: {actual}");
        }
    }

    public static void SameBytes(ReadOnlySpan<byte> expected, ReadOnlySpan<byte> actual, string promise)
    {
        if (!expected.SequenceEqual(actual))
        {
            throw new BrokenPromiseException($"{promise}\nexpected: {Convert.ToHexString(expected)}\n  actual: {Convert.ToHexString(actual)}");
        }
    }
}
