using Chat.Server.Tests.EndToEnd;
using Chat.TestKit;
using Microsoft.Playwright;

namespace Chat.Server.Tests.WebClient;

/// <summary>The machine's own Chromium without a window, for the tests of a class. Playwright ends it, also when the test process is killed.</summary>
public sealed class Chromium : IAsyncLifetime
{
    /// <summary>By preference: the shell without a window is the same engine, and takes half the time of the whole browser.</summary>
    private static readonly string[] Names = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

    private IPlaywright? _playwright;
    private IBrowser? _browser;

    /// <summary>Null when there is one here, else the reason, fit for Assert.Skip.</summary>
    public static string? WhyUnavailable => FindBinary() is null ? "No Chromium in PATH." : null;

    /// <summary>A tab of a person of its own: nothing is shared with other tabs. The page is closed with the browser.</summary>
    /// <param name="address">Where the page is, such as http://127.0.0.1:40001/, or with the room that opens after the login, /#7.</param>
    /// <param name="room">That room, when the address has none.</param>
    internal async Task<ChatPage> OpenAsync(Uri address, long? room = null)
    {
        Assert.SkipWhen(WhyUnavailable is not null, WhyUnavailable ?? "");
        IBrowserContext context = await _browser!.NewContextAsync();
        context.SetDefaultTimeout((float)Deadline.TotalMilliseconds);
        var page = new ChatPage(await context.NewPageAsync());
        await page.GoToAsync(room is null ? address : new Uri(address, $"/#{room}"));
        return page;
    }

    /// <summary>A tab of somebody who has logged in and entered the room.</summary>
    internal async Task<ChatPage> EnterAsync(Uri server, User user, long room)
    {
        ChatPage page = await OpenAsync(server, room);
        await page.LogInAsync(user.Email);
        await page.IsOnlineAsync();
        return page;
    }

    public async ValueTask InitializeAsync()
    {
        if (FindBinary() is not { } binary)
        {
            return;
        }

        Assertions.SetDefaultExpectTimeout((float)Deadline.TotalMilliseconds);
        _playwright = await Playwright.CreateAsync();
        _browser = await _playwright.Chromium.LaunchAsync(new BrowserTypeLaunchOptions { ExecutablePath = binary });
    }

    public async ValueTask DisposeAsync()
    {
        if (_browser is not null)
        {
            await _browser.DisposeAsync();
        }

        _playwright?.Dispose();
    }

    /// <summary>A browser starts, paints and reconnects beside whatever else runs; a passing test does not wait this long.</summary>
    private static TimeSpan Deadline => EndToEnd.Deadline.ForStart;

    private static string? FindBinary() => SearchPath.Find(Names);
}
