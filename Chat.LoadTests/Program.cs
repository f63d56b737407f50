using System.CommandLine;
using Chat.LoadTests;
using Chat.LoadTests.Processes;
using Chat.LoadTests.Scenarios;
using Chat.LoadTests.Verify;

// One line a scenario: each is a file that makes its subcommand, with its options and its action.
Command[] commands =
[
    FanoutCommand.Make(),
    SaturateCommand.Make(),
    RoomsCommand.Make(),
    ConnectCommand.Make(),
    IdleCommand.Make(),
    ReconnectStormCommand.Make(),
    RestCommand.Make(),
    SoakCommand.Make(),
    SlowConsumersCommand.Make(),
    VerifyCommand.Make(),
    CompareCommand.Make(),
    GrowthCommand.Make(),
    ClientProcessCommand.Make(),
];
return await LoadTestCommand.RunAsync(args, commands);
