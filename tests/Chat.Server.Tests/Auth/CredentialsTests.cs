using Chat.Server.Auth;
using Chat.Server.Settings;
using CsCheck;

namespace Chat.Server.Tests.Auth;

public sealed class CredentialsTests
{
    private static readonly Credentials Credentials = new(ServerSettings.Default.Credentials);

    [Theory]
    [InlineData("test@example.com", "test@example.com")]
    [InlineData("  Test.User+tag@Sub.Example.co  ", "Test.User+tag@Sub.Example.co")]
    [InlineData("o'brien@xn--bcher-kva.example", "o'brien@xn--bcher-kva.example")]
    public void An_email_address_is_trimmed_and_kept_in_its_case(string text, string expected)
    {
        Assert.True(Credentials.TryReadEmail(text, out var email, out _));
        Assert.Equal(expected, email);
    }

    [Theory]
    [InlineData(null, "required")]
    [InlineData("  ", "required")]
    [InlineData("plain", "invalid")]
    [InlineData("@example.com", "invalid")]
    [InlineData("a@", "invalid")]
    [InlineData("a@b", "invalid")]
    [InlineData("a@b@example.com", "invalid")]
    [InlineData("a b@example.com", "invalid")]
    [InlineData(".a@example.com", "invalid")]
    [InlineData("a..b@example.com", "invalid")]
    [InlineData("a@-example.com", "invalid")]
    [InlineData("a@example-.com", "invalid")]
    [InlineData("a@example..com", "invalid")]
    [InlineData("a@example.com.", "invalid")]
    [InlineData("ä@example.com", "invalid")]
    [InlineData("a@exämple.com", "invalid")]
    [InlineData("a\0@example.com", "invalid")]
    [InlineData("a\r\nBcc: x@example.com", "invalid")]
    [InlineData("\"a\"@example.com", "invalid")]
    [InlineData("a@[127.0.0.1]", "invalid")]
    public void What_is_no_email_address_is_refused(string? text, string code)
    {
        Assert.False(Credentials.TryReadEmail(text, out _, out var error));
        Assert.Equal(("email", code), (error.Field, error.Code));
    }

    [Fact]
    public void The_parts_of_an_email_address_may_be_as_long_as_RFC_5321_says_and_no_longer()
    {
        var label = new string('d', 63);
        var longest = $"{new string('a', 64)}@{label}.{label}.{new string('d', 61)}";

        Assert.Equal(254, longest.Length);
        Assert.True(Credentials.TryReadEmail(longest, out _, out _));
        Assert.False(Credentials.TryReadEmail(longest + "d", out _, out var tooLong));
        Assert.Equal("too_long", tooLong.Code);
        Assert.False(Credentials.TryReadEmail(new string('a', 65) + "@example.com", out _, out _));
        Assert.False(Credentials.TryReadEmail($"a@d{label}.example", out _, out _));
    }

    [Theory]
    [InlineData(null, "required")]
    [InlineData("", "required")]
    [InlineData("12345", "too_short")]
    [InlineData("🔑🔑🔑🔑🔑", "too_short")]
    [InlineData("pass\0123", "invalid")]
    public void A_password_that_is_too_short_or_no_text_is_refused(string? text, string code)
    {
        Assert.False(Credentials.TryReadPassword(text, out _, out var error));
        Assert.Equal(("password", code), (error.Field, error.Code));
    }

    /// <summary>Not in the rows above: attribute arguments are stored as UTF-8, which a lone surrogate does not survive.</summary>
    [Fact]
    public void A_lone_surrogate_is_refused()
    {
        Assert.False(Credentials.TryReadPassword("pass\ud83d123", out _, out var password));
        Assert.False(Credentials.TryReadUsername("a\udc00b", out _, out var username));
        Assert.Equal(("invalid", "invalid"), (password.Code, username.Code));
    }

    [Fact]
    public void A_password_is_kept_as_it_is_and_counted_in_code_points()
    {
        Assert.True(Credentials.TryReadPassword("pass123", out _, out _));
        Assert.True(Credentials.TryReadPassword(" p a ss ", out var spaced, out _));
        Assert.Equal(" p a ss ", spaced);
        Assert.True(Credentials.TryReadPassword(string.Concat(Enumerable.Repeat("🔑", 1024)), out _, out _));
        Assert.False(Credentials.TryReadPassword(new string('x', 1025), out _, out var error));
        Assert.Equal("too_long", error.Code);
    }

    [Theory]
    [InlineData(null, "required")]
    [InlineData(" \t ", "required")]
    [InlineData("a\0b", "invalid")]
    [InlineData("a\nb", "invalid")]
    [InlineData("a\u0085b", "invalid")]
    [InlineData("a\u2028b", "invalid")]
    [InlineData("a\u202Eb", "invalid")]
    public void A_username_without_visible_or_valid_text_is_refused(string? text, string code)
    {
        Assert.False(Credentials.TryReadUsername(text, out _, out var error));
        Assert.Equal(("username", code), (error.Field, error.Code));
    }

    [Fact]
    public void A_username_is_trimmed_and_counted_in_code_points()
    {
        Assert.True(Credentials.TryReadUsername("  Zoë 👩‍💻 ", out var username, out _));
        Assert.Equal("Zoë 👩‍💻", username);
        Assert.True(Credentials.TryReadUsername(string.Concat(Enumerable.Repeat("🔑", 50)), out _, out _));
        Assert.False(Credentials.TryReadUsername(new string('x', 51), out _, out var error));
        Assert.Equal("too_long", error.Code);
    }

    [Fact]
    public void Any_text_gets_an_answer_and_messages_never_repeat_it() => Gen.String.Sample(text =>
    {
        _ = Credentials.TryReadEmail(text, out _, out var email);
        _ = Credentials.TryReadPassword(text, out _, out var password);
        _ = Credentials.TryReadUsername(text, out _, out var username);
        return text.Length < 8 || !(email.Message + password.Message + username.Message).Contains(text);
    });
}
