using Chat.Server;
using Chat.Server.Settings;

SettingsOutcome outcome = SettingsReader.ReadProcess(args);
if (outcome.Problem is not null)
{
    await Console.Error.WriteLineAsync(outcome.Problem);
    return 1;
}

if (outcome.Output is not null)
{
    Console.Write(outcome.Output);
    return 0;
}

return await ChatServer.RunAsync(outcome.Settings!, outcome.Warnings);
