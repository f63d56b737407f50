using System.CommandLine;
using System.Text.Json;
using Chat.LoadTests.Clients;

namespace Chat.LoadTests.Processes;

/// <summary>
/// The command of a <see cref="ClientProcess"/>, which nobody types: requests come from the input, a line each, answers go to the
/// output. It ends with its input, and not by Ctrl-C, which reaches every process of a terminal: the program still wants to know
/// what was counted.
/// </summary>
internal static class ClientProcessCommand
{
    public const string Name = "client-process";

    public static Command Make()
    {
        var command = new Command(Name, "A share of the clients of another run.") { Hidden = true };
        command.SetAction(async (_, _) =>
        {
            await ServeAsync(Console.In, Console.Out);
            return ExitCode.Ok;
        });
        return command;
    }

    /// <summary>Answers until the input ends. A fault of the clients ends it with an exception, which the program reports.</summary>
    public static async Task ServeAsync(TextReader requests, TextWriter answers)
    {
        using var writing = new SemaphoreSlim(1);
        ClientGroup? clients = null;
        var faulted = new TaskCompletionSource();
        try
        {
            while (await NextAsync() is { } request)
            {
                clients ??= new ClientGroup(((EnterRequest)request).Plan);
                _ = WriteAsync(AnswerAsync(clients, request)); // Begun in the order of the requests; an opening goes on meanwhile.
            }
        }
        finally
        {
            if (clients is not null)
            {
                await clients.DisposeAsync();
            }
        }

        async Task<ClientRequest?> NextAsync()
        {
            Task<string?> line = Task.Run(requests.ReadLineAsync);
            await await Task.WhenAny(line, faulted.Task);
            return await line is { } text ? JsonSerializer.Deserialize<ClientRequest>(text, ClientPipe.Json) : null;
        }

        async Task WriteAsync(Task<ClientAnswer> answer)
        {
            try
            {
                string line = JsonSerializer.Serialize(await answer, ClientPipe.Json);
                await writing.WaitAsync();
                await answers.WriteLineAsync(line);
                await answers.FlushAsync();
                writing.Release();
            }
            catch (Exception exception)
            {
                faulted.TrySetException(exception);
            }
        }
    }

    private static async Task<ClientAnswer> AnswerAsync(ClientGroup clients, ClientRequest request)
    {
        var answer = new ClientAnswer(request.Id);
        switch (request)
        {
            case SampleRequest:
                return answer with { Sample = await clients.SampleAsync() };
            case HeadsRequest:
                return answer with { Heads = await clients.HeadsAsync() };
            case BehindRequest behind:
                return answer with { Backlog = await clients.BehindAsync(behind.Heads) };
            case StallRequest stall:
                return answer with { Count = await clients.StallAsync(stall.EveryNth, stall.ReceiveBufferBytes) };
        }

        await (request switch
        {
            EnterRequest => Task.CompletedTask,
            OpenRequest open => clients.OpenAsync(open.Pace),
            PublishRequest publish => clients.PublishAsync(publish.Plan),
            StopPublishingRequest stop => clients.StopPublishingAsync(stop.MeasureFromNs, stop.MeasureToNs),
            LeaveRequest => clients.LeaveAsync(),
            DropRequest drop => clients.DropAsync(drop.EveryNth, drop.Offset),
            CatchUpRequest => clients.CatchUpAsync(),
            PingRequest => clients.PingAsync(),
            CallRequest call => clients.CallAsync(call.Connections, call.Mix),
            StopCallingRequest => clients.StopCallingAsync(),
            _ => throw new InvalidOperationException($"There is no request {request.GetType().Name}."),
        });
        return answer;
    }
}
