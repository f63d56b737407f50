namespace Chat.Server.Tests.EndToEnd;

/// <summary>
/// Replays <see cref="SmugglingVectors"/>, each in one write and a byte a write. All are on their way before the first is
/// looked at, since every refusal reads on for a moment before it closes. The server's own deadlines are far away here:
/// what waits for them, hangs.
/// </summary>
public sealed class SmugglingTests(SmugglingTests.Fixture fixture) : IClassFixture<SmugglingTests.Fixture>
{
    /// <summary>Sent behind what must be refused. Whoever answers it (404) was smuggled into.</summary>
    private const string Smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

    /// <summary>The answer to it is unlike all others: 204.</summary>
    private const string Next = "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

    private const int TrickledBytesMax = 1000;
    private const int ConnectionsMax = 32;

    public static TheoryData<string> Names => new(SmugglingVectors.All.Select(vector => vector.Name));

    [Fact]
    public void Vectors_have_names_of_their_own()
    {
        Assert.Equal(SmugglingVectors.All.Count, SmugglingVectors.All.Select(vector => vector.Name).Distinct().Count());
        Assert.InRange(SmugglingVectors.All.Count, 117, int.MaxValue);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public Task Sent_in_one_write(string name) => fixture.Whole(name);

    [Theory]
    [MemberData(nameof(Names))]
    public Task Sent_a_byte_a_write(string name) => fixture.Trickled(name);

    public sealed class Fixture() : ServerFixture(ServerLaunch.Sqlite
        .With("HTTP_HEAD_TIMEOUT_MS", "600000")
        .With("HTTP_BODY_TIMEOUT_MS", "600000"))
    {
        private readonly SemaphoreSlim _connections = new(ConnectionsMax);
        private readonly Dictionary<string, Task> _whole = [];
        private readonly Dictionary<string, Task> _trickled = [];

        public Task Whole(string name) => _whole[name];

        public Task Trickled(string name) => _trickled[name];

        public override async ValueTask InitializeAsync()
        {
            await base.InitializeAsync();
            foreach ((string name, int outcome, string request) in SmugglingVectors.All)
            {
                _whole[name] = ReplayAsync(outcome, request, isTrickled: false);
                _trickled[name] = request.Length > TrickledBytesMax ? _whole[name] : ReplayAsync(outcome, request, isTrickled: true);
            }
        }

        public override async ValueTask DisposeAsync()
        {
            await Task.WhenAll([.. _whole.Values, .. _trickled.Values]).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await base.DisposeAsync();
            _connections.Dispose();
            GC.SuppressFinalize(this);
        }

        private async Task ReplayAsync(int outcome, string request, bool isTrickled)
        {
            await _connections.WaitAsync();
            try
            {
                using RawClient client = await Server.ConnectRawAsync();
                bool isRefusal = outcome >= 400;
                await SendAsync(client, request + (isRefusal ? Smuggled : ""), isTrickled, untilAnswered: isRefusal);
                if (outcome == SmugglingVectors.Unanswered)
                {
                    client.EndInput();
                }
                else
                {
                    RawResponse response = await client.ReadResponseAsync();
                    Assert.Equal((outcome, isRefusal ? "close" : null), (response.Status, response.Fields.GetValueOrDefault("Connection")?.Split(',')[0]));
                }

                if (outcome == SmugglingVectors.Answered)
                {
                    await client.SendAsync(Next);
                    Assert.Equal(204, (await client.ReadResponseAsync()).Status);
                }

                await client.IsClosedAsync();
            }
            finally
            {
                _connections.Release();
            }
        }

        private static async Task SendAsync(RawClient client, string text, bool isTrickled, bool untilAnswered)
        {
            if (isTrickled)
            {
                await client.TrickleAsync(text, untilAnswered);
            }
            else
            {
                await client.SendAsync(text);
            }
        }
    }
}
