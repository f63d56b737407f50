using System.Buffers;
using System.Globalization;
using System.Text;
using Chat.Server.Settings;

namespace Chat.Server.Auth;

/// <param name="Field">The name in the request, such as <c>email</c>.</param>
/// <param name="Code">Stable, for programs: <c>required</c>, <c>too_short</c>, <c>too_long</c> or <c>invalid</c>.</param>
/// <param name="Message">For people. Never repeats the value.</param>
internal readonly record struct FieldError(string Field, string Code, string Message);

/// <summary>
/// Checks what a new account is made of. Not for logins: there a value that could never have been registered is merely wrong, and
/// limits may have changed since the account was made. Characters are Unicode code points. Stateless, thread-safe, never throws.
/// </summary>
internal sealed class Credentials(CredentialLimits limits)
{
    // RFC 5321 sections 4.5.3.1.1 to 4.5.3.1.3: 64 for the local part, 256 for the path with its angle brackets.
    private const int EmailCharsMax = 254;
    private const int LocalPartCharsMax = 64;
    private const int DomainLabelCharsMax = 63;

    /// <param name="text">As the client sent it; white space around it is dropped.</param>
    /// <param name="email">The address in the case it was written in; the store compares without case.</param>
    /// <param name="error">When false.</param>
    public static bool TryReadEmail(string? text, out string email, out FieldError error)
    {
        email = text?.Trim() ?? "";
        error = default;
        if (email.Length == 0)
        {
            error = new FieldError("email", "required", "An e-mail address is required.");
        }
        else if (email.Length > EmailCharsMax)
        {
            error = new FieldError("email", "too_long", $"An e-mail address has at most {EmailCharsMax} characters.");
        }
        else if (!IsEmail(email))
        {
            error = new FieldError("email", "invalid", "This is not an e-mail address such as name@example.com.");
        }
        return error == default;
    }

    /// <param name="text">As the client sent it; kept as it is, white space included.</param>
    /// <param name="password">Equal to <paramref name="text"/>.</param>
    /// <param name="error">When false.</param>
    public bool TryReadPassword(string? text, out string password, out FieldError error)
    {
        password = text ?? "";
        error = default;
        if (password.Length == 0)
        {
            error = new FieldError("password", "required", "A password is required.");
        }
        else if (!TryCountChars(password, out var count) || password.Contains('\0'))
        {
            error = new FieldError("password", "invalid", "The password is not valid Unicode text, or has a NUL in it.");
        }
        else if (count < limits.PasswordCharsMin)
        {
            error = new FieldError("password", "too_short", $"A password has at least {limits.PasswordCharsMin} characters.");
        }
        else if (count > limits.PasswordCharsMax)
        {
            error = new FieldError("password", "too_long", $"A password has at most {limits.PasswordCharsMax} characters.");
        }
        return error == default;
    }

    /// <param name="text">As the client sent it; white space around it is dropped.</param>
    /// <param name="username">What to store and show.</param>
    /// <param name="error">When false.</param>
    public bool TryReadUsername(string? text, out string username, out FieldError error)
    {
        username = text?.Trim() ?? "";
        error = default;
        if (username.Length == 0)
        {
            error = new FieldError("username", "required", "A username is required.");
        }
        else if (!TryCountChars(username, out var count) || HasInvisibleControl(username))
        {
            error = new FieldError("username", "invalid", "A username has no control characters and is valid Unicode text.");
        }
        else if (count > limits.UsernameCharsMax)
        {
            error = new FieldError("username", "too_long", $"A username has at most {limits.UsernameCharsMax} characters.");
        }
        return error == default;
    }

    /// <summary>False for a lone surrogate, which has no UTF-8 form.</summary>
    private static bool TryCountChars(ReadOnlySpan<char> text, out int count)
    {
        for (count = 0; !text.IsEmpty; count++)
        {
            if (Rune.DecodeFromUtf16(text, out _, out var consumed) != OperationStatus.Done)
            {
                return false;
            }
            text = text[consumed..];
        }
        return true;
    }

    // Line and paragraph separators and the controls of writing direction let a name rewrite the line it is shown in.
    private static bool HasInvisibleControl(string text)
    {
        foreach (var c in text)
        {
            var isDirection = c is >= '\u202A' and <= '\u202E' or >= '\u2066' and <= '\u2069';
            if (isDirection || char.GetUnicodeCategory(c)
                is UnicodeCategory.Control or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator)
            {
                return true;
            }
        }
        return false;
    }

    /// <summary>
    /// The shape that mail servers in use accept: dot-atom @ domain. Quoted local parts and address literals
    /// (RFC 5322 section 3.4.1) are refused.
    /// </summary>
    private static bool IsEmail(ReadOnlySpan<char> email)
    {
        var at = email.IndexOf('@');
        return at > 0 && at <= LocalPartCharsMax && IsDotAtom(email[..at]) && IsDomain(email[(at + 1)..]);
    }

    private static bool IsDotAtom(ReadOnlySpan<char> local)
    {
        foreach (var range in local.Split('.'))
        {
            var atom = local[range];
            if (atom.IsEmpty || atom.ContainsAnyExcept(AtomChars))
            {
                return false;
            }
        }
        return true;
    }

    private static bool IsDomain(ReadOnlySpan<char> domain)
    {
        var labels = 0;
        foreach (var range in domain.Split('.'))
        {
            var label = domain[range];
            labels++;
            if (label.IsEmpty || label.Length > DomainLabelCharsMax || label.ContainsAnyExcept(LabelChars)
                || label[0] == '-' || label[^1] == '-')
            {
                return false;
            }
        }
        return labels >= 2;
    }

    private static readonly SearchValues<char> LabelChars =
        SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-");

    // RFC 5322 section 3.2.3.
    private static readonly SearchValues<char> AtomChars =
        SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-/=?^_`{|}~");
}
