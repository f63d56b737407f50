using System.CommandLine;
using System.Text;
using Chat.LoadTests.Clients;
using Chat.LoadTests.Hosting;
using Chat.LoadTests.Measuring;
using Chat.LoadTests.Reports;

namespace Chat.LoadTests.Scenarios;

/// <summary>
/// The scenario <c>rest</c>: REST calls as an app makes them, each connection one after the other (closed loop). Weights say
/// how often each is made; logins are few, since each costs the server a password hash.
/// </summary>
internal static class RestCommand
{
    private const int StatusOk = 200;
    private const int StatusCreated = 201;

    public static Command Make()
    {
        var command = new Command("rest", "REST calls: login, rooms, history, publish, in a mix (closed loop).");
        var options = new LoadOptions(command);
        Option<int> connections = options.Integer("--connections", 16, "Connections, each with one call under way.");
        Option<int> rooms = options.Integer("--rooms", 10, "Rooms.");
        Option<double> seconds = options.Number("--seconds", 10, "Measured time.", least: 0.5);
        Option<double> warmUp = options.Number("--warm-up", 3, "Seconds before it.");
        Option<int> logins = options.Integer("--logins", 0, "Of 1000 calls, how many log in.", least: 0);
        Option<int> lists = options.Integer("--lists", 100, "Of 1000, how many list the rooms.", least: 0);
        Option<int> publishes = options.Integer("--publishes", 300, "Of 1000, how many publish; the rest reads history.", least: 0);
        command.Validators.Add(result =>
        {
            if (result.GetValue(logins) + result.GetValue(lists) + result.GetValue(publishes) > RestMix.Whole)
            {
                result.AddError("--logins, --lists and --publishes are parts of 1000 calls: together they are more.");
            }
        });
        command.SetAction((parsed, cancellation) => ScenarioRun.RunAsync("rest", "history", options.Read(parsed), async (run, stop) =>
        {
            await run.EnterAsync(connections: 0, parsed.GetValue(rooms), publishersPerRoom: 0, stop);
            RestMix mix = Mix(run, parsed.GetValue(logins), parsed.GetValue(lists), parsed.GetValue(publishes));
            await run.Clients.CallAsync(parsed.GetValue(connections), mix);
            run.Phase("warming up", parsed.GetValue(warmUp));
            await run.Sampler.WatchAsync(Clock.NowNs + Clock.FromSeconds(parsed.GetValue(warmUp)), stop);
            Mark from = await run.Sampler.StartAgainAsync();
            run.Phase("measuring", parsed.GetValue(seconds));
            await run.Sampler.WatchAsync(from.AtNs + Clock.FromSeconds(parsed.GetValue(seconds)), stop);
            Mark to = await run.Sampler.MarkAsync();
            run.SetCpuFigures(from, to);
            run.Set(Figures.CallsPerS, (to.Counters - from.Counters).Answered / run.MeasuredS);
            await run.Clients.StopCallingAsync();
        }, cancellation));
        return command;
    }

    private static RestMix Mix(LoadRun run, int logins, int lists, int publishes)
    {
        string host = run.Target.Url.Authority;
        Account[] accounts = [.. Enumerable.Range(0, run.Accounts.Count).Select(run.Accounts.For)];
        return new RestMix(
        [
            new RestKind(logins, [.. accounts.Select(account => Call(
                "login", "POST", "/auth/login", host, null, $"{{\"email\":\"{account.Email}\",\"password\":\"{account.Password}\"}}", StatusOk))]),
            new RestKind(lists, [.. accounts.Select(account => Call("rooms", "GET", "/rooms", host, account.Token, null, StatusOk))]),
            new RestKind(publishes, [.. run.Rooms.Select((room, i) => Call(
                "publish", "POST", $"/rooms/{room}/messages", host, accounts[i % accounts.Length].Token, "{\"content\":\"a message of the load test\"}", StatusCreated))]),
            new RestKind(RestMix.Whole - logins - lists - publishes, [.. run.Rooms.Select((room, i) => Call(
                "history", "GET", $"/rooms/{room}/messages", host, accounts[i % accounts.Length].Token, null, StatusOk))]),
        ]);
    }

    private static RestCall Call(string step, string method, string path, string host, string? token, string? content, int status)
    {
        string authorization = token is null ? "" : $"Authorization: Bearer {token}\r\n";
        string length = content is null ? "" : $"Content-Type: application/json\r\nContent-Length: {content.Length}\r\n";
        return new RestCall(step, Encoding.ASCII.GetBytes($"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{authorization}{length}\r\n{content}"), status);
    }
}
