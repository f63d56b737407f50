using System.CommandLine;
using System.CommandLine.Parsing;

namespace Chat.LoadTests.Hosting;

/// <summary>The server that a scenario runs against: a given one, or one of our own. Disposing stops our own.</summary>
internal sealed class Target : IAsyncDisposable
{
    private Target(Uri url, ServerProcess? process)
    {
        Url = url;
        Process = process;
    }

    public Uri Url { get; }

    /// <summary>Null when the server is not ours.</summary>
    public ServerProcess? Process { get; }

    /// <summary>Starts a server, or checks that one answers at <paramref name="url"/>.</summary>
    /// <param name="url">Null to start one.</param>
    /// <param name="launch">How to start it.</param>
    /// <param name="cancellation">Ends the start.</param>
    /// <exception cref="CannotRunException">There is none, and why.</exception>
    public static async Task<Target> OpenAsync(Uri? url, ServerLaunch launch, CancellationToken cancellation)
    {
        if (url is not null)
        {
            await CheckAsync(url, cancellation);
            return new Target(url, null);
        }

        ServerProcess process = await ServerProcess.StartAsync(launch, cancellation);
        return new Target(process.Url, process);
    }

    public ValueTask DisposeAsync() => Process?.DisposeAsync() ?? ValueTask.CompletedTask;

    /// <exception cref="CannotRunException">No Chat server answers there.</exception>
    public static async Task CheckAsync(Uri url, CancellationToken cancellation)
    {
        using var http = new HttpClient { Timeout = TimeSpan.FromSeconds(10) };
        try
        {
            using HttpResponseMessage response = await http.GetAsync(new Uri(url, "/healthz"), cancellation);
            if (!response.IsSuccessStatusCode)
            {
                throw new CannotRunException($"{url} is no Chat server: /healthz answers {(int)response.StatusCode}.");
            }
        }
        catch (Exception exception) when (exception is HttpRequestException or TaskCanceledException && !cancellation.IsCancellationRequested)
        {
            throw new CannotRunException($"No server answers at {url}: {exception.GetBaseException().Message}.", exception);
        }
    }
}

/// <summary>The options by which every scenario names its server.</summary>
internal sealed class TargetOptions
{
    private readonly Option<string?> _url = new("--url")
    {
        Description = "A running server, such as http://localhost:3000. Without it the scenario starts one of its own.",
    };

    private readonly Option<string?> _databaseUrl = new("--database-url")
    {
        Description = "PostgreSQL for the server of its own: postgres://user:password@host/database, an empty one. Without it: SQLite in a fresh folder.",
    };

    private readonly Option<string?> _server = new("--server")
    {
        Description = "The Chat.Server.dll of the server of its own. Without it: the Release build, which is made when there is none.",
    };

    private readonly Option<string[]> _settings = new("--set")
    {
        Description = "A setting for the server of its own, such as --set DELIVERY=committed. May be repeated.",
    };

    public TargetOptions(Command command)
    {
        _url.Validators.Add(RequireHttp);
        _settings.Validators.Add(result =>
        {
            foreach (string text in result.Tokens.Select(token => token.Value).Where(text => text.IndexOf('=') < 1))
            {
                result.AddError($"--set: '{text}' is not NAME=VALUE.");
            }
        });
        command.Options.Add(_url);
        command.Options.Add(_databaseUrl);
        command.Options.Add(_server);
        command.Options.Add(_settings);
        command.Validators.Add(result =>
        {
            if (result.GetResult(_url) is not null
                && (result.GetResult(_databaseUrl) ?? result.GetResult(_server) ?? result.GetResult(_settings)) is not null)
            {
                result.AddError("--database-url, --server and --set are for a server of its own; --url names another one.");
            }
        });
    }

    /// <summary>The given server; null for one of its own.</summary>
    public Uri? Url(ParseResult parsed) => parsed.GetValue(_url) is { } url ? new Uri(url) : null;

    /// <summary>The launch for one of its own.</summary>
    public ServerLaunch Launch(ParseResult parsed)
    {
        var launch = new ServerLaunch { DatabaseUrl = parsed.GetValue(_databaseUrl) ?? "", ServerDll = parsed.GetValue(_server) };
        foreach (string text in parsed.GetValue(_settings) ?? [])
        {
            int equals = text.IndexOf('=');
            launch = launch.With(text[..equals], text[(equals + 1)..]);
        }

        return launch;
    }

    /// <summary>A validator: each value is the URL of a server.</summary>
    public static void RequireHttp(OptionResult result)
    {
        foreach (string text in result.Tokens.Select(token => token.Value).Where(text => !IsHttp(text)))
        {
            result.AddError($"{result.Option.Name}: '{text}' is no URL like http://localhost:3000.");
        }
    }

    private static bool IsHttp(string text) => Uri.TryCreate(text, UriKind.Absolute, out Uri? url) && url.Scheme is ("http" or "https");
}
