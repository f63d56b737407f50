using System.Diagnostics;
using System.Globalization;
using Chat.Attacks;
using Chat.LoadTests.Hosting;

// The long form: what honest clients feel of each attack, and of all at once. Chat.Attacks.Tests has the short one, for the gate.
// The attackers are a process of their own, at the lowest priority where there is such a thing: they come from other machines, and
// here they share the cores with what they attack. What that alone costs is told by a control: the same attackers at another server, which
// the honest clients do not use.
//
//   Chat.Attacks [--each] [--seconds N] [--only NAME,NAME...] [--set NAME=VALUE]...
//   Chat.Attacks inflict URL NAME,NAME... TIMEOUT_MS            the attackers, until their input ends
const int TimeoutMs = 5_000; // The server's deadlines, HTTP_HEAD_TIMEOUT_MS and HTTP_BODY_TIMEOUT_MS.

if (args is ["inflict", var url, var names, var timeoutMs])
{
    return await InflictAsync(new Uri(url), names, int.Parse(timeoutMs, CultureInfo.InvariantCulture));
}

int seconds = 10;
bool each = false;
string only = string.Join(',', Attack.All.Select(static attack => attack.Name));
ServerLaunch launch = new ServerLaunch().With("RATE_LIMITS", "on").With("CONNECTIONS_PER_IP_MAX", "200");
for (int i = 0; i < args.Length; i++)
{
    switch (args[i])
    {
        case "--each":
            each = true;
            break;
        case "--seconds" when i + 1 < args.Length && int.TryParse(args[i + 1], CultureInfo.InvariantCulture, out seconds):
            i++;
            break;
        case "--only" when i + 1 < args.Length:
            only = args[++i];
            break;
        case "--set" when i + 1 < args.Length && args[i + 1].Split('=', 2) is [var name, var value]:
            launch = launch.With(name, value);
            i++;
            break;
        default:
            await Console.Error.WriteLineAsync("usage: Chat.Attacks [--each] [--seconds N] [--only NAME,NAME...] [--set NAME=VALUE]...");
            return 2;
    }
}

await using ServerProcess server = await ServerProcess.StartAsync(launch, CancellationToken.None);
int processId = server.ProcessId;
var rows = new List<string>();
double calm = (await MeasureAsync("calm", "")).Delivery.P99;
foreach (string name in each ? only.Split(',') : [])
{
    await MeasureAsync(name, name);
}

double attacked = (await MeasureAsync("all at once", only)).Delivery.P99;
double calmAgain = (await MeasureAsync("calm again", "")).Delivery.P99;
await using ServerProcess elsewhere = await ServerProcess.StartAsync(launch, CancellationToken.None);
double aside = (await MeasureAsync("all at once, at another server", only, elsewhere.Url)).Delivery.P99;

Console.WriteLine("\n| Attack | honest p50 ms | p99 ms | max ms | ack p99 ms | harm | server CPU % | visits | refused |\n|---|---|---|---|---|---|---|---|---|");
rows.ForEach(Console.WriteLine);
bool lives = !server.HasExited && server.ProcessId == processId;
Console.WriteLine(string.Create(
    CultureInfo.InvariantCulture,
    $"\np99 of all attacks at once against calm: {attacked / ((calm + calmAgain) / 2):F2}, against the same attacks at another server: {attacked / aside:F2}. Peak memory: {ServerMemory.PeakMib(processId):F0} MiB. {(lives ? "No restart." : "THE SERVER ENDED.")}"));
string[] errors = [.. server.Log.Split('\n').Where(static line => line.Contains(" fail: ", StringComparison.Ordinal) || line.Contains(" crit: ", StringComparison.Ordinal))];
Array.ForEach(errors, Console.WriteLine);
return lives && errors.Length == 0 ? 0 : 1;

async Task<Experience> MeasureAsync(string title, string attacks, Uri? attacked = null)
{
    Process? attackers = null;
    Experience experience = await HonestClients.TalkAsync(server.Url, processId, seconds, () => attackers = attacks.Length == 0 ? null : Start(attacks, attacked ?? server.Url));
    string[] tallies = attackers is null ? [] : await EndAsync(attackers);
    rows.Add(string.Create(
        CultureInfo.InvariantCulture,
        $"| {title} | {experience.Delivery.P50:F2} | {experience.Delivery.P99:F2} | {experience.Delivery.Max:F1} | {experience.Ack.P99:F1} | {experience.Harm} | {experience.Figures["server_cpu"]:F0} | {Sum(tallies, 1)} | {Sum(tallies, 2)} |"));
    rows.AddRange(tallies.SelectMany(static tally => tally.Split('\t').Skip(3)).Where(static violation => violation.Length > 0));
    return experience;
}

static Process Start(string attacks, Uri url)
{
    string[] command = [ServerBuild.DotnetHost, typeof(Attack).Assembly.Location, "inflict", url.ToString(), attacks, TimeoutMs.ToString(CultureInfo.InvariantCulture)];
    string[] niced = OperatingSystem.IsLinux() ? ["nice", "-n", "19", .. command] : command;
    return Process.Start(new ProcessStartInfo(niced[0], niced[1..]) { RedirectStandardInput = true, RedirectStandardOutput = true })!;
}

static async Task<string[]> EndAsync(Process attackers)
{
    attackers.StandardInput.Close();
    string output = await attackers.StandardOutput.ReadToEndAsync();
    await attackers.WaitForExitAsync();
    attackers.Dispose();
    return output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
}

static long Sum(string[] tallies, int column) => tallies.Sum(tally => long.Parse(tally.Split('\t')[column], CultureInfo.InvariantCulture));

static async Task<int> InflictAsync(Uri url, string names, int timeoutMs)
{
    AttackTarget target = await AttackTarget.OpenAsync(url, timeoutMs, CancellationToken.None);
    using var stop = new CancellationTokenSource();
    Attack[] attacks = [.. names.Split(',').Select(static name => Attack.All.Single(attack => attack.Name == name))];
    Tally[] tallies = [.. attacks.Select(static attack => new Tally(attack.Name))];
    Task ended = Task.WhenAll(attacks.Zip(tallies, (attack, tally) => attack.InflictAsync(target, tally, stop.Token)));
    await Console.In.ReadToEndAsync();
    await stop.CancelAsync();
    await ended;
    foreach (Tally tally in tallies)
    {
        Console.WriteLine($"{tally.Name}\t{tally.Visits}\t{tally.Refused}\t{string.Join('\t', tally.Violations)}");
    }

    return 0;
}
