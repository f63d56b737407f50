using System.CommandLine;

namespace Chat.LoadTests;

/// <summary>The command line around all scenarios: parsing, Ctrl-C, and what becomes of errors.</summary>
internal static class LoadTestCommand
{
    /// <summary>After Ctrl-C a scenario has this long to write its partial report and to stop the server that it started.</summary>
    private static readonly TimeSpan CleanUpTimeout = TimeSpan.FromSeconds(30);

    /// <summary>Runs the scenario that <paramref name="args"/> name. Returns the <see cref="ExitCode"/>.</summary>
    public static async Task<int> RunAsync(string[] args, Command[] scenarios)
    {
        var root = new RootCommand("Scenarios that load or verify a Chat server: one that is running (--url), or one that they start themselves.");
        root.Directives.Clear(); // Nobody expects [suggest] of a load tool.
        foreach (Command scenario in scenarios)
        {
            root.Subcommands.Add(scenario);
        }

        ParseResult parsed = root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null, EnablePosixBundling = false });
        if (parsed.Errors.Count > 0)
        {
            foreach (string message in parsed.Errors.Select(error => error.Message).Distinct())
            {
                await Console.Error.WriteLineAsync(message);
            }

            await Console.Error.WriteLineAsync("See --help.");
            return ExitCode.CannotRun;
        }

        try
        {
            return await parsed.InvokeAsync(
                new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = CleanUpTimeout });
        }
        catch (CannotRunException exception)
        {
            await Console.Error.WriteLineAsync(exception.Message);
            return ExitCode.CannotRun;
        }
        catch (OperationCanceledException)
        {
            await Console.Error.WriteLineAsync("Stopped before the end.");
            return ExitCode.CannotRun;
        }
    }
}
