using System.Globalization;
using Chat.Server.Tests.EndToEnd;
using Chat.TestKit;
using static Microsoft.Playwright.Assertions;

namespace Chat.Server.Tests.WebClient;

/// <summary>What GET / serves, in a real browser, against a real server. The store plays no part here.</summary>
public sealed class WebClientTests(Chromium chromium, SqliteServer fixture) : IClassFixture<Chromium>, IClassFixture<SqliteServer>
{
    private static readonly CultureInfo Invariant = CultureInfo.InvariantCulture;

    private readonly RunningServer _server = fixture.Server;

    [Fact]
    public async Task Two_people_make_accounts_and_talk_in_a_room_that_one_of_them_made()
    {
        ChatPage ada = await chromium.OpenAsync(_server.Url);
        await ada.MakeAccountAsync($"ada-{Guid.NewGuid():N}@example.com", "pass123", "Ada");
        await ada.IsOnlineAsync();
        await ada.CreateRoomAsync("engines");
        await Expect(ada.Title).ToHaveTextAsync("engines");
        await ada.IsOnlineAsync();
        await ada.SayAsync("is anybody there?");
        await ada.ShowsAsync("is anybody there?");

        // The address names the room.
        ChatPage grace = await chromium.OpenAsync(new Uri(ada.Address));
        await grace.MakeAccountAsync($"grace-{Guid.NewGuid():N}@example.com", "pass123", "Grace");
        await Expect(grace.Title).ToHaveTextAsync("engines");
        await grace.ShowsAsync("is anybody there?");
        await grace.IsOnlineAsync();
        await grace.SayAsync("I am");
        await ada.ShowsAsync("is anybody there?", "I am");
        await ada.SayAsync("good");
        foreach (ChatPage page in (ChatPage[])[ada, grace])
        {
            await page.ShowsAsync("is anybody there?", "I am", "good");
            await Expect(page.Messages.Locator("b")).ToHaveTextAsync(["Ada", "Grace", "Ada"]);
            await Expect(page.Pending).ToHaveCountAsync(0);
        }
    }

    [Fact]
    public async Task What_people_write_and_are_called_is_text_and_never_a_part_of_the_page()
    {
        const string Markup = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>";
        const string Name = "<b onclick=alert(1)>";
        User mallory = await _server.RegisterAsync(Name);
        Answer made = await _server.PostAsync("/rooms", """{"name":"<i>room</i>"}""", mallory.Token);
        long room = made.Json.Number("id");
        await _server.PublishAsync(mallory, room, Markup);

        ChatPage page = await chromium.EnterAsync(_server.Url, mallory, room);
        await Expect(page.Title).ToHaveTextAsync("<i>room</i>");
        await Expect(page.Status).ToHaveTextAsync("online as " + Name);
        await page.SayAsync(Markup);
        await page.ShowsAsync(Markup, Markup);
        await Expect(page.Messages.Locator("b")).ToHaveTextAsync([Name, Name]);
        await Expect(page.Anything("img")).ToHaveCountAsync(0);
        await Expect(page.Anything("[onclick]")).ToHaveCountAsync(0);
    }

    [Fact]
    public async Task The_form_says_what_is_wrong_and_lets_one_try_again()
    {
        User user = await _server.RegisterAsync("Ada");
        ChatPage page = await chromium.OpenAsync(_server.Url);
        await page.LogInAsync(user.Email, "not the password");
        await Expect(page.Problem).ToContainTextAsync("password");
        await page.MakeAccountAsync(user.Email, "pass123", "Ada");
        await Expect(page.Problem).ToContainTextAsync("e-mail");
        await page.MakeAccountAsync($"new-{user.Email}", "short", "Ada");
        await Expect(page.Problem).ToContainTextAsync("password");
        await page.LogInAsync(user.Email);
        await page.IsOnlineAsync();
        page.IsSound();
    }

    [Fact]
    public async Task A_reload_keeps_the_session_and_the_room_and_who_logs_out_is_out()
    {
        User user = await _server.RegisterAsync("Ada");
        long room = await _server.CreateRoomAsync(user);
        await _server.PublishAsync(user, room, "kept");
        ChatPage page = await chromium.EnterAsync(_server.Url, user, room);
        await page.ShowsAsync("kept");

        await page.ReloadAsync();
        await page.ShowsAsync("kept");
        await page.IsOnlineAsync();

        await page.LogOutAsync();
        await page.IsLoggedOutAsync();
        await page.ReloadAsync();
        await page.IsLoggedOutAsync();
        page.IsSound();
    }

    [Fact]
    public async Task Older_messages_come_by_pages_until_the_first()
    {
        User user = await _server.RegisterAsync("Ada");
        long room = await _server.CreateRoomAsync(user);
        await _server.FillAsync(user, room, 120, "message");
        ChatPage page = await chromium.EnterAsync(_server.Url, user, room);
        foreach (int first in (int[])[71, 21, 1])
        {
            await ShowsSeqsAsync(page, first, 120);
            if (first > 1)
            {
                await page.OlderButton.ClickAsync();
            }
        }

        await Expect(page.OlderButton).ToBeHiddenAsync();
        page.IsSound();
    }

    [Fact]
    public async Task What_is_written_while_the_server_is_away_arrives_once_when_it_is_back()
    {
        await using RunningServer server = await RunningServer.StartAsync(ServerLaunch.Sqlite.With("PORT", FreePort.Next().ToString(Invariant)));
        User ada = await server.RegisterAsync("Ada");
        long room = await server.CreateRoomAsync(ada);
        await server.PublishAsync(ada, 2, "said before");
        ChatPage page = await chromium.EnterAsync(server.Url, ada, room);
        await page.SayAsync("before");
        await page.ShowsAsync("before");

        await server.Process.KillAsync();
        await Expect(page.Status).ToContainTextAsync("offline");
        await page.SayAsync("meanwhile");
        await page.SayAsync("and more");
        await Expect(page.Pending).ToHaveCountAsync(2);
        await server.StartAgainAsync();

        await page.ShowsAsync("before", "meanwhile", "and more");
        await Expect(page.Pending).ToHaveCountAsync(0);
        Assert.Equal(3, (await server.HistoryAsync(ada, room)).Count);

        await server.Process.KillAsync();
        await Expect(page.Status).ToContainTextAsync("offline");
        await page.OpenRoomAsync("Random");
        await Expect(page.Title).ToHaveTextAsync("Random");
        await page.SayAsync("here as well");
        await server.StartAgainAsync();

        await page.ShowsAsync("said before", "here as well");
    }

    [Fact]
    public async Task Who_was_away_for_long_gets_the_newest_and_pages_the_rest()
    {
        User ada = await _server.RegisterAsync("Ada");
        User grace = await _server.RegisterAsync("Grace");
        long room = await _server.CreateRoomAsync(ada);
        await using var proxy = new TcpProxy(_server.Url.Port);
        ChatPage page = await chromium.EnterAsync(new Uri($"http://127.0.0.1:{proxy.Port}/"), ada, room);

        // Nothing reaches the page any more, which does not know it; then its connection is cut.
        Task held = proxy.Plan(ProxyFault.Hold, ProxyDirection.ToClient, 0);
        await _server.PublishAsync(grace, room, "held");
        await held;
        await _server.FillAsync(grace, room, 600, "more than a gap may have");
        Task cut = proxy.Plan(ProxyFault.Cut, ProxyDirection.ToServer, 0);
        await page.SayAsync("back again");
        await cut;

        await ShowsSeqsAsync(page, 552, 602);
        await Expect(page.Messages.Last.Locator("span")).ToHaveTextAsync("back again");
        await page.OlderButton.ClickAsync();
        await ShowsSeqsAsync(page, 502, 602);
        page.IsSound();
    }

    [Fact]
    public async Task A_session_that_expires_ends_at_the_form()
    {
        User ada = await _server.RegisterAsync("Ada");
        ChatPage page = await chromium.OpenAsync(_server.Url);
        await page.UseSessionAsync(ada, Tokens.Make(ada, DateTimeOffset.UtcNow)); // For the seconds by which clocks may differ.
        await Expect(page.Problem).ToContainTextAsync("log in again");
        await page.LogInAsync(ada.Email);
        await page.IsOnlineAsync();
        page.IsSound();
    }

    [Fact]
    public async Task What_was_not_sent_when_the_session_ended_waits_for_its_writer_and_is_nobody_elses()
    {
        User ada = await _server.RegisterAsync("Ada");
        User grace = await _server.RegisterAsync("Grace");
        long room = await _server.CreateRoomAsync(ada);
        await using var proxy = new TcpProxy(_server.Url.Port);
        ChatPage page = await chromium.OpenAsync(new Uri($"http://127.0.0.1:{proxy.Port}/"), room);

        await LoseTheSessionWhileSayingAsync("first");
        await page.LogInAsync(ada.Email);
        await page.ShowsAsync("first");
        await page.LogOutAsync();

        await LoseTheSessionWhileSayingAsync("second");
        await page.LogInAsync(grace.Email);
        await page.ShowsAsync("first");
        await page.IsOnlineAsync();
        await Expect(page.Pending).ToHaveCountAsync(0);
        await page.SayAsync("third");
        await page.ShowsAsync("first", "third");
        await Expect(page.Messages.Locator("b")).ToHaveTextAsync(["Ada", "Grace"]);

        // The message is lost with its connection, and the next handshake is refused.
        async Task LoseTheSessionWhileSayingAsync(string content)
        {
            await page.LogInAsync(ada.Email);
            await page.IsOnlineAsync();
            await page.ReplaceTokenAsync(Tokens.Make(ada, DateTimeOffset.UtcNow.AddHours(-1)));
            Task cut = proxy.Plan(ProxyFault.Cut, ProxyDirection.ToServer, 0);
            await page.SayAsync(content);
            await cut;
            await Expect(page.Problem).ToContainTextAsync("log in again");
        }
    }

    [Fact]
    public async Task What_is_written_too_fast_goes_later_and_in_its_order()
    {
        await using RunningServer server = await RunningServer.StartAsync(ServerLaunch.Sqlite
            .With("RATE_LIMITS", "on").With("CONNECTION_MESSAGES_PER_S", "2").With("RATE_BURST_MS", "2000"));
        User ada = await server.RegisterAsync("Ada");
        long room = await server.CreateRoomAsync(ada);
        ChatPage page = await chromium.EnterAsync(server.Url, ada, room);
        string[] contents = ["one", "two", "three", "four", "five", "six", "seven"]; // 4 at once, then 2 a second.
        await page.SayAtOnceAsync(contents);

        await page.ShowsAsync(contents);
        await Expect(page.Pending).ToHaveCountAsync(0);
        Assert.Equal(contents.Length, (await server.HistoryAsync(ada, room)).Count);
        Assert.True(await server.MetricAsync("chat_rate_limited_total") > 0);
    }

    private static async Task ShowsSeqsAsync(ChatPage page, int first, int last)
    {
        await Expect(page.Messages).ToHaveCountAsync(last - first + 1);
        string[] seqs = await page.Messages.EvaluateAllAsync<string[]>("lines => lines.map(line => line.dataset.seq)");
        Assert.Equal(Enumerable.Range(first, last - first + 1).Select(static seq => seq.ToString(Invariant)), seqs);
    }
}
