using StackExchange.Redis;

namespace Chat.Server.Nodes;

/// <summary>Reads <c>REDIS_URL</c>: redis://[user:password@]host[:port], or rediss:// for TLS.</summary>
internal static class BrokerUrl
{
    private const int DefaultPort = 6379;

    /// <summary>How long a command waits for its answer, and an attempt to connect for its.</summary>
    private const int TimeoutMs = 3_000;

    /// <summary>False when the text is no such URL. Connects nothing.</summary>
    public static bool TryParse(string text, out ConfigurationOptions options)
    {
        options = new ConfigurationOptions();
        if (!Uri.TryCreate(text, UriKind.Absolute, out Uri? url)
            || url.Scheme is not ("redis" or "rediss")
            || url.Host.Length == 0
            || url.PathAndQuery is not ("/" or "" or "/0") // Channels are of all databases.
            || url.Fragment.Length > 0)
        {
            return false;
        }

        options.EndPoints.Add(url.IdnHost, url.Port < 0 ? DefaultPort : url.Port);
        options.Ssl = url.Scheme == "rediss";
        options.ClientName = "chat";
        options.ConnectTimeout = options.AsyncTimeout = options.SyncTimeout = TimeoutMs;
        options.AbortOnConnectFail = false; // It is waited for: without it messages come later, and none is lost.
        options.BacklogPolicy = BacklogPolicy.FailFast; // What could not be told in time is read from the database.
        string[] user = url.UserInfo.Split(':', 2);
        if (user is [var name, var password])
        {
            options.User = name.Length == 0 ? null : Uri.UnescapeDataString(name);
            options.Password = Uri.UnescapeDataString(password);
        }

        return url.UserInfo.Length == 0 || user.Length == 2;
    }
}
