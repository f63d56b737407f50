namespace Chat.LoadTests;

/// <summary>
/// The scenario cannot run, or not to its end, for a reason that is the user's to remove: an unreachable server, a wrong URL, too few
/// files, a bad expression, a server that died. Ends the program with <see cref="ExitCode.CannotRun"/> and its message alone.
/// </summary>
/// <param name="message">Says what is wrong and what to do, in a sentence or two.</param>
/// <param name="inner">What it was found by; not shown.</param>
internal sealed class CannotRunException(string message, Exception? inner = null) : Exception(message, inner);
