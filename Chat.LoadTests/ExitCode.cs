namespace Chat.LoadTests;

/// <summary>What a scenario says to the shell, so that CI can tell a failed server from a failed run.</summary>
internal static class ExitCode
{
    public const int Ok = 0;

    /// <summary>The run is complete, and an assertion or a verification failed.</summary>
    public const int Failed = 1;

    /// <summary>There is nothing to judge: <see cref="CannotRunException"/>.</summary>
    public const int CannotRun = 2;
}
