using System.Net.Http.Headers;
using System.Text.Json;

namespace Chat.LoadTests.Verify;

/// <summary>A page of a room's history.</summary>
internal sealed record HistoryPage(IReadOnlyList<StoredMessage> Messages, bool HasMore, long Epoch);

/// <summary>Reads rooms over REST. Any thread.</summary>
internal sealed class RestHistory(Uri url, string token) : IDisposable
{
    private const int PageMessagesMax = 200;
    private const int RetryMs = 100;

    /// <summary>How long a server under attack may fail to answer before the run ends.</summary>
    private static readonly TimeSpan RetryTimeout = TimeSpan.FromSeconds(90);

    private readonly HttpClient _http = new() { BaseAddress = url, Timeout = TimeSpan.FromSeconds(30) };

    /// <summary>The oldest messages above a seq.</summary>
    /// <exception cref="HttpRequestException">No answer, or none with a page.</exception>
    public Task<HistoryPage> ReadPageAsync(long room, long after, CancellationToken cancellation) =>
        ReadOnceAsync(room, After(after), cancellation);
    /// <summary>The same, and again until the server answers.</summary>
    /// <exception cref="CannotRunException">It did not for long.</exception>
    public Task<HistoryPage> ReadPagePatientlyAsync(long room, long after, CancellationToken cancellation) =>
        ReadPatientlyAsync(room, After(after), cancellation);
    /// <summary>The seq of the newest message; 0 in an empty room.</summary>
    /// <exception cref="CannotRunException">The server did not answer for long.</exception>
    public async Task<long> ReadHeadPatientlyAsync(long room, CancellationToken cancellation)
    {
        HistoryPage page = await ReadPatientlyAsync(room, "limit=1", cancellation);
        return page.Messages.Count == 0 ? 0 : page.Messages[^1].Seq;
    }

    /// <summary>The whole history of a room.</summary>
    public async Task<RoomHistory> ReadAsync(long room, CancellationToken cancellation)
    {
        var messages = new List<StoredMessage>();
        for (bool hasMore = true; hasMore;)
        {
            HistoryPage page = await ReadPagePatientlyAsync(room, messages.Count == 0 ? 0 : messages[^1].Seq, cancellation);
            messages.AddRange(page.Messages);
            hasMore = page.HasMore && page.Messages.Count > 0;
        }

        return new RoomHistory("the history", room, messages);
    }

    public void Dispose() => _http.Dispose();

    private static string After(long seq) => $"after={seq}&limit={PageMessagesMax}";

    private async Task<HistoryPage> ReadOnceAsync(long room, string query, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, $"/rooms/{room}/messages?{query}");
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
        using HttpResponseMessage response = await _http.SendAsync(request, cancellation);
        response.EnsureSuccessStatusCode();
        using JsonDocument json = JsonDocument.Parse(await response.Content.ReadAsByteArrayAsync(cancellation));
        StoredMessage[] messages =
        [
            .. json.RootElement.GetProperty("messages").EnumerateArray().Select(static message => new StoredMessage(
                message.GetProperty("seq").GetInt64(),
                message.GetProperty("id").GetInt64(),
                message.TryGetProperty("nonce", out JsonElement nonce) ? nonce.GetString()! : "",
                message.GetProperty("content").GetString()!)),
        ];
        return new HistoryPage(messages, json.RootElement.GetProperty("has_more").GetBoolean(), json.RootElement.GetProperty("epoch").GetInt64());
    }

    private async Task<HistoryPage> ReadPatientlyAsync(long room, string query, CancellationToken cancellation)
    {
        for (long startedAt = Environment.TickCount64; ;)
        {
            try
            {
                return await ReadOnceAsync(room, query, cancellation);
            }
            catch (Exception exception) when (exception is HttpRequestException or IOException or TaskCanceledException && !cancellation.IsCancellationRequested)
            {
                if (Environment.TickCount64 - startedAt > RetryTimeout.TotalMilliseconds)
                {
                    throw new CannotRunException($"The history of room {room} cannot be read: {exception.GetBaseException().Message}", exception);
                }

                await Task.Delay(RetryMs, cancellation);
            }
        }
    }
}
