using Chat.LoadTests;
using Chat.LoadTests.Verify;

// One line a scenario: each is a file that makes its subcommand, with its options and its action.
return await LoadTestCommand.RunAsync(args, [VerifyCommand.Make()]);
