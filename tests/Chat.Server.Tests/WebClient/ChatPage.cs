using System.Text.Json;
using Chat.Server.Tests.EndToEnd;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Chat.Server.Tests.WebClient;

/// <summary>
/// The web client as the person in front of it has it: what can be filled in, clicked and read. What is asked of it is waited for.
/// An exception of the page's script, or a breach of its Content-Security-Policy, fails the next call and <see cref="IsSound"/>.
/// </summary>
internal sealed class ChatPage
{
    private readonly IPage _page;
    private readonly List<string> _faults = [];

    public ChatPage(IPage page)
    {
        _page = page;
        page.PageError += (_, error) => Note(error);
        page.Console += (_, line) =>
        {
            if (line.Text.Contains("Content Security Policy", StringComparison.Ordinal))
            {
                Note(line.Text);
            }
        };
    }

    /// <summary>Messages with a place in the room, from top to bottom.</summary>
    public ILocator Messages => _page.Locator("#messages > li");

    /// <summary>Messages of one's own that have no place yet, or never get one.</summary>
    public ILocator Pending => _page.Locator("#pending > li");

    public ILocator OlderButton => _page.GetByRole(AriaRole.Button, new() { Name = "Older messages" });

    public ILocator Title => _page.Locator("#title");

    public ILocator Status => _page.GetByRole(AriaRole.Status);

    /// <summary>What the form for accounts says is wrong.</summary>
    public ILocator Problem => _page.GetByRole(AriaRole.Alert);

    public string Address => _page.Url;

    /// <summary>What a CSS selector finds, wherever it is.</summary>
    public ILocator Anything(string selector) => _page.Locator(selector);

    public Task GoToAsync(Uri address) => _page.GotoAsync(address.ToString());

    public Task ReloadAsync() => _page.ReloadAsync();

    /// <summary>Fills in the form and presses the button; what comes of it is another question.</summary>
    public async Task MakeAccountAsync(string email, string password, string username)
    {
        await FillAsync(email, password);
        await _page.GetByLabel("Name, for a new account").FillAsync(username);
        await ClickAsync("Make an account");
    }

    public async Task LogInAsync(string email, string password = "pass123")
    {
        await FillAsync(email, password);
        await ClickAsync("Log in");
    }

    public Task LogOutAsync() => ClickAsync("Log out");

    /// <summary>Gives the tab a session as a login would, and loads it again.</summary>
    public async Task UseSessionAsync(User user, string token)
    {
        string session = JsonSerializer.Serialize(new { token, user = new { id = user.Id, username = user.Username } });
        await _page.EvaluateAsync("session => sessionStorage.setItem('session', session)", session);
        await ReloadAsync();
    }

    /// <summary>What the page asks for next, it asks for with this token; a socket that is open stays.</summary>
    public Task ReplaceTokenAsync(string token) => _page.EvaluateAsync("token => { session.token = token; }", token);

    public Task OpenRoomAsync(string name) => ClickAsync(name);

    public async Task CreateRoomAsync(string name)
    {
        await _page.GetByPlaceholder("New room").FillAsync(name);
        await _page.GetByPlaceholder("New room").PressAsync("Enter");
    }

    public async Task SayAsync(string content)
    {
        await _page.GetByPlaceholder("Message").FillAsync(content);
        await _page.GetByPlaceholder("Message").PressAsync("Enter");
    }

    /// <summary>One message behind the other, with no time between them, as the form sends them.</summary>
    public Task SayAtOnceAsync(params string[] contents) => _page.EvaluateAsync(
        """
        contents => {
          for (const content of contents) {
            document.getElementById("content").value = content;
            document.getElementById("send").requestSubmit();
          }
        }
        """,
        contents);

    public Task IsOnlineAsync() => Expect(Status).ToContainTextAsync("online as");

    public Task IsLoggedOutAsync() => Expect(_page.GetByLabel("E-mail")).ToBeVisibleAsync();

    /// <summary>All messages that are shown are durable and are exactly these, without names and times.</summary>
    public async Task ShowsAsync(params string[] contents)
    {
        await Expect(Messages.Locator("span")).ToHaveTextAsync(contents);
        await Expect(_page.Locator("#messages > .pending")).ToHaveCountAsync(0);
        IsSound();
    }

    public void IsSound()
    {
        lock (_faults)
        {
            Assert.Empty(_faults);
        }
    }

    private async Task FillAsync(string email, string password)
    {
        await _page.GetByLabel("E-mail").FillAsync(email);
        await _page.GetByLabel("Password").FillAsync(password);
    }

    private Task ClickAsync(string button) => _page.GetByRole(AriaRole.Button, new() { Name = button }).ClickAsync();

    private void Note(string fault)
    {
        lock (_faults)
        {
            _faults.Add(fault);
        }
    }
}
